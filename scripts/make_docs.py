"""Write the reference pages from the code: ``python scripts/make_docs.py [--check]``.

    docs/commands.md      every command: its help, arguments, options, defaults, an example
    docs/rest-routes.md   every route: what it takes, what it answers, who may ask
    docs/settings.md      every ARCID_ variable: default and meaning
    docs/catalogue.md     every model arcid knows: licence, commercial use, what was measured
    docs/schemas/*.json   what a recipe may say, for editors

``--check`` writes nothing and ends with 1 where a page is not what the code says.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic.json_schema import GenerateJsonSchema

from arcid import files
from arcid.cli import app
from arcid.models import catalogue, measured, weights
from arcid.models.catalogue import Entry
from arcid.models.manifest import Licence
from arcid.server.app import create_app
from arcid.server.settings import Settings
from arcid.train.config.recipe import TrainConfig
from arcid.train.config.section import Section
from arcid.train.detector.config import DetectConfig
from arcid.train.detector.landmarks.config import PointsConfig
from arcid.train.study.config import StudyConfig

DOCS = Path(__file__).resolve().parents[1] / "docs"
NOTICE = "<!-- Made from the code by scripts/make_docs.py: change it there, then run that. -->"
#: Variables that are no settings of the service.
VARIABLES = {
    "ARCID_HOME": ("the user's data folder", "What arcid writes: gallery, models, cache."),
    "ARCID_MODELS": ("models in ARCID_HOME", "Models pulled, imported or converted."),
    "ARCID_COMPILED": (
        "cache/models in ARCID_HOME", "Folder of models that OpenVINO compiled, which the next "
        "process need not; at most 1 GiB, their owner's alone. off: none are kept.",
    ),
    "ARCID_ROOT_KEY": (
        "file root.key in ARCID_HOME",
        "Where the root key is: file:PATH, env:NAME, credential:NAME, pkcs11:URI, command:PROGRAM.",
    ),
    "ARCID_INDEX": (
        "exact", "exact, pgvector, pgvector-hnsw, milvus, milvus-hnsw, milvus-ivf or chroma: what "
        "carries the index of a gallery.",
    ),
    "ARCID_INDEX_BLIND": (
        "0", "1: vectors are turned by a secret rotation before they go to that database.",
    ),
    "ARCID_INDEX_URL": (
        "the gallery's PostgreSQL", "Where that database is: a postgresql or http address, or the "
        "folder of a Chroma in this process.",
    ),
    "ARCID_KEY_STORE": ("beside the gallery", "Path or SQLAlchemy URL of the key store."),
    "ARCID_DATA": ("none", "For development: photographs in data/, others' weights in models/."),
    "ARCID_RUNTIME": ("OpenVINO where it is installed", "openvino, onnxruntime or auto."),
    "ARCID_DEVICE": ("cpu", "Where models run: cpu, GPU or NPU (OpenVINO), cuda or tensorrt."),
    "ARCID_THREADS": ("one per core", "Threads of models, and photos prepared at a time."),
    "ARCID_ALLOW_LINK_LOCAL": (
        "off", "1: cameras and receivers may be at link-local addresses.",
    ),
    "ARCID_MIGRATION_COPY": (
        "on", "off: no copy of the gallery is made before a newer arcid changes its tables.",
    ),
    "ARCID_API_KEY": ("none", "The key that `arcid mcp` shows to the service."),
    "ARCID_IMPORT_KEY": ("none", "API key of the system that `arcid import` fetches people from."),
    "ARCID_MONGODB_URL": ("none", "MongoDB with who people are: mongodb://USER:PASSWORD@HOST."),
    "ARCID_WEBHOOK_SECRET": ("none", "Signs what webhooks are sent."),
    "ARCID_DOOR_SECRET": ("none", "Signs what relays of doors are sent."),
    "ARCID_OSDP_KEY": ("none", "Encrypts the lines of doors: 32 hexadecimal digits."),
    "ARCID_MQTT_USERNAME": ("none", "Signs in at the MQTT broker."),
    "ARCID_MQTT_PASSWORD": ("none", "The password beside it."),
    "ARCID_SMTP_USERNAME": ("none", "Signs in at the mail server."),
    "ARCID_SMTP_PASSWORD": ("none", "The password beside it; sent encrypted only."),
}  # fmt: skip


# commands


def commands() -> Iterator[tuple[str, Any]]:
    """("gallery", group), ("gallery list", command) … in the order of ``arcid --help``."""

    def walk(group: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name, inner in group.commands.items():
            yield " ".join((*path, name)), inner
            if hasattr(inner, "commands"):
                yield from walk(inner, (*path, name))

    yield from walk(typer.main.get_command(app), ())


def example_of(command: Any) -> str:
    """The last paragraph of a command's help."""
    return str(command.help).rpartition("Example: ")[2].strip()


def commands_page() -> str:
    parts = [
        "# Commands",
        "What `arcid COMMAND --help` shows. What all commands share (exit codes, JSON, which face, "
        "where files go): [the command line](concepts/command-line.md). Variables: "
        "[settings](settings.md).",
    ]
    for name, command in commands():
        level = "#" * (2 + name.count(" "))
        if hasattr(command, "commands"):
            parts += [f"{level} arcid {name} …", *_paragraphs(command.help)]
            continue
        words = str(command.help).rpartition("Example: ")[0]
        parts += [
            f"{level} arcid {name}",
            *_paragraphs(words),
            _table(("argument, option", "meaning"), map(_parameter, _shown(command.params))),
            f"```bash\n{example_of(command)}\n```",
        ]
    return "\n\n".join(parts)


def _paragraphs(text: str) -> Iterator[str]:
    return (_linked(" ".join(p.split())) for p in text.strip().split("\n\n"))


def _shown(params: Iterable[Any]) -> list[Any]:
    return [p for p in params if "--help" not in p.opts]


def _parameter(param: Any) -> tuple[str, str]:
    if param.opts[0].startswith("-"):
        names = ", ".join(f"`{flag}`" for flag in (*param.opts, *param.secondary_opts))
        required = " Required." if param.required else ""
    else:
        names, required = f"`{param.metavar or param.name.upper()}`", ""
    annotation = param.type_descriptor.annotation
    kinds = get_args(annotation) if get_origin(annotation) is Literal else ()
    choices = "" if all(k in param.help for k in kinds) else f" One of: {', '.join(kinds)}."
    return names, _linked(param.help) + choices + required + _default(param)


def _default(param: Any) -> str:
    value = param.default
    if value in (None, "", False, ()) or callable(value) or "default:" in param.help.lower():
        return ""
    if value is True:
        return f" Default: {'on' if param.secondary_opts else 'yes'}."
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f" Default: `{shown}`."


def _linked(text: str) -> str:
    """Flags and variables as code, pages of the documentation as links."""
    text = re.sub(r"docs/(concepts/([a-z-]+)\.md)", r"[\2](\1)", text)
    return re.sub(r"(?<![`\w-])(--[a-z][a-z-]*|ARCID_[A-Z_]*[A-Z])(?![\w`])", r"`\1`", text)


# routes


def routes_page() -> str:
    described = create_app(Settings.load()).openapi()
    needed = described["security"]
    rows = []
    for path, item in described["paths"].items():
        for method, operation in item.items():
            free = operation.get("security", needed) == [{}] or "x-arcid-needs" not in operation
            rows.append(
                (
                    f"`{method.upper()} {path}`",
                    " ".join(operation["description"].split()),
                    _takes(operation, described),
                    _answers(operation),
                    "anybody" if free else _needed(operation["x-arcid-needs"]),
                )
            )
    columns = ("route", "what it does", "takes", "answers", "who may ask")
    return "\n\n".join(
        [
            "# REST routes",
            "What `/openapi.json` of a running service says; `/docs` is the same to try out. How "
            "the service behaves: [REST](concepts/rest.md). Who may ask: an API key with "
            "[this verb](concepts/security.md#api-keys), **for all** where it has to reach all "
            "collections; without keys only programs of this machine.",
            _table(columns, rows),
        ]
    )


def _needed(need: dict[str, str]) -> str:
    verbs = " and ".join(f"`{need[part]}`" for part in ("verb", "also") if part in need)
    return verbs + (" for all" if need["reach"] == "all" else "")


def _takes(operation: dict[str, Any], described: dict[str, Any]) -> str:
    parts = []
    for place in ("query", "header"):
        names = [p["name"] for p in operation.get("parameters", ()) if p["in"] == place]
        if names:
            parts.append(f"{place}: {_codes(names)}")
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        body = next(iter(content.values()))  # a form, and the same fields in JSON
        if body["schema"].get("format") == "binary":
            return "; ".join([*parts, *(f"`{media}`" for media in content)])
        schema = described["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
        kinds = " or ".join("form" if "form" in media else "JSON" for media in content)
        parts.append(f"{kinds}: {_codes(schema.get('properties', {}))}")
    return "; ".join(parts)


def _answers(operation: dict[str, Any]) -> str:
    found = []
    for status, answer in operation["responses"].items():
        if not status.startswith("2"):
            continue
        kinds = [
            f"`{name.rpartition('/')[2]}`"
            if (name := body.get("schema", {}).get("$ref", ""))
            else f"`{media}`"
            for media, body in answer.get("content", {}).items()
        ]
        found.append(" ".join([status, " or ".join(kinds)]).strip())
    return ", ".join(found)


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# settings


def settings_page() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        plain = field.default
        if isinstance(plain, tuple):
            plain = ",".join(plain)
        default = "" if plain in (None, "") else f"`{plain}`"
        rows.append((f"`ARCID_{name.upper()}`", default, _linked(field.description or "")))
    everywhere = [
        (f"`{name}`", _linked(default), _linked(meaning))
        for name, (default, meaning) in VARIABLES.items()
    ]
    columns = ("variable", "default", "meaning")
    return "\n\n".join(
        [
            "# Settings",
            "Environment variables. Options of a command come before them; an empty one counts as "
            "not set.",
            "## Everywhere",
            _table(columns, everywhere),
            "## The service",
            "What `arcid serve` reads. `ARCID_DATABASE`, `ARCID_DETECTOR` and `ARCID_RECOGNISER` "
            "also say what the other commands take where no option is given.",
            _table(columns, rows),
        ]
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in r)} |" for r in lines)


# catalogue


def catalogue_page() -> str:
    of_task: dict[str, list[Entry]] = {}
    for entry in catalogue.ENTRIES.values():
        of_task.setdefault(entry.manifest.task, []).append(entry)
    packs = [
        (f"`{pack.name}`", _codes(pack.models), _commercial(pack.licence))
        for pack in catalogue.PACKS.values()
    ]
    return "\n\n".join(
        [
            "# The catalogue",
            "Models of others that arcid knows by their sha256. `arcid models pull NAME` fetches "
            "those marked so; a file of another lies in `ARCID_MODELS` under its name, or is "
            "converted by `scripts/convert_weights.py`. **Commercial** is what the licence of the "
            "weights says, and unclear where it says nothing; it says nothing about the "
            "photographs a model was trained on. What that leaves open, and which two models to "
            "take: [commercial use](concepts/models.md#commercial-use).",
            "## Recognisers",
            _measured_words(),
            _table(
                ("name", "what", "dim", "commercial", "trained on", "get it", "accuracy", "TAR"),
                [
                    (*_known(entry, dim=True), *_numbers(entry))
                    for entry in sorted(of_task["recognition"], key=lambda e: e.name)
                ],
            ),
            *(
                part
                for task, title in (
                    ("detection", "Detectors"),
                    ("liveness", "Liveness"),
                    ("landmarks", "Landmarks"),
                )
                for part in (
                    f"## {title}",
                    _table(
                        ("name", "what", "commercial", "trained on", "get it"),
                        [_known(e) for e in sorted(of_task[task], key=lambda e: e.name)],
                    ),
                )
            ),
            "## Packs",
            _table(("name", "holds", "commercial"), packs),
        ]
    )


def _known(entry: Entry, *, dim: bool = False) -> tuple[str, ...]:
    manifest = entry.manifest
    how = f"`{entry.files[0].filename}`"
    if entry.name in weights.pullable():
        sizes = [file.size_bytes for file in entry.files]
        size = "" if None in sizes else f", {sum(s or 0 for s in sizes) / 1e6:.1f} MB"
        how = f"pull{size}"
    elif entry.package:
        how = f"`pip install {entry.package.replace('_', '-')}`"
    return (
        f"`{entry.name}`",
        manifest.description,
        *((str(manifest.output.dim),) if dim and manifest.output else ()),
        _commercial(manifest.licence),
        manifest.training_data or "not stated",
        how,
    )


def _commercial(licence: Licence) -> str:
    word = {True: "yes", False: "no", None: "unclear"}[licence.commercial_use]
    return f"**{word}**: " + (f"[{licence.name}]({licence.url})" if licence.url else licence.name)


def _numbers(entry: Entry) -> tuple[str, str]:
    found = measured.of(entry.manifest)
    if found is None:
        return "", ""
    return (
        _share(found.accuracy, found.accuracy_low, found.accuracy_high),
        _share(found.tar, found.tar_low, found.tar_high),
    )


def _share(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _measured_words() -> str:
    one = next(iter(json.loads(measured.FILE.read_text("utf-8"))))
    return (
        f"Measured here: {one['dataset']}, {one['photos']:,} photos behind `{one['detector']}`, no "
        "flip, 95 % intervals over people (`benchmarks/catalogue.py`). Accuracy: of the 1,000 "
        "listed pairs, each tenth decided by the threshold best on the others. TAR: at FMR 1e-4 "
        f"over all pairs, {one['genuine_pairs']:,} genuine and {one['impostor_pairs']:,} "
        "impostor. Empty: not measured here."
    )


# schemas


class Plain(GenerateJsonSchema):
    """JSON Schema without what an editor would only repeat: titles, defaults of whole sections."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: Any) -> dict[str, Any]:
        if isinstance(schema.get("default"), Section):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def schema(kind: type[Section]) -> str:
    """JSON Schema of a recipe's file, which need not say everything itself."""
    made = kind.model_json_schema(schema_generator=Plain)
    base = {"description": "recipe this one is laid on, from this file's folder", "type": "string"}
    made["properties"] = {"base": base, **made["properties"]}
    about = {"$schema": Plain.schema_dialect, "$comment": NOTICE.strip("<!-> ")}
    return json.dumps({**about, **made}, indent=1, ensure_ascii=False)


SCHEMAS: Mapping[str, type[Section]] = {
    "train": TrainConfig,
    "detector": DetectConfig,
    "points": PointsConfig,
    "study": StudyConfig,
}
PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "rest-routes.md": routes_page,
    "settings.md": settings_page,
    "catalogue.md": catalogue_page,
    **{f"schemas/{name}.json": partial(schema, kind) for name, kind in SCHEMAS.items()},
}


def page(name: str) -> str:
    """What a page of ``PAGES`` should hold, whatever this machine's own settings are."""
    kept = {k: os.environ.pop(k) for k in list(os.environ) if k.startswith("ARCID_")}
    try:
        text = f"{PAGES[name]()}\n"
        return text if name.endswith(".json") else f"{NOTICE}\n\n{text}"
    finally:
        os.environ.update(kept)


def main(argv: Sequence[str]) -> int:
    stale = []
    for name in PAGES:
        path, text = DOCS / name, page(name)
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in argv:
            path.parent.mkdir(exist_ok=True)
            files.write_text(path, text)
    if "--check" in argv and stale:
        print(f"not what the code says: {', '.join(stale)}; run: python scripts/make_docs.py")
        return 1
    print(f"written: {', '.join(stale) or 'nothing, all are as the code says'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
