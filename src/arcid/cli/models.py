"""``arcid models …``: what is installed, what can be had, and whether it is sound."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.output import (
    MODEL,
    Exit,
    Json,
    error_dict,
    note,
    print_json,
    print_table,
    say,
)
from arcid.progress import progress_bar

if TYPE_CHECKING:
    from arcid.errors import ManifestInvalid
    from arcid.models.pull import Offer
    from arcid.models.trust import Trust
    from arcid.models.weights import Bundle

app = typer.Typer(
    help="List, check, pull and import models.\n\n"
    "Models are bundles with a manifest (docs/concepts/models.md). Nothing is downloaded unless "
    "pull is called.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="Name of the model.", metavar="NAME")]
SHORT = 12  # digits of hashes shown
VERIFIED: dict[Trust, str] = {
    "packaged": "yes: packaged",
    "catalogue": "yes: catalogue",
    "accepted": "yes: accepted",
    "unverified": "NO",
    "changed": "NO: changed",
}


COMMERCIAL = {True: "yes", False: "no", None: "unclear"}


@app.command("list")
def list_(
    commercial: Annotated[
        bool,
        typer.Option("--commercial", help="Only models whose licence allows commercial use."),
    ] = False,
    json: Json = False,
) -> None:
    """What is installed, which is the default, and what can be pulled.

    Commercial use is what the licence of the weights says; unclear where it says nothing. TAR: of
    recognisers measured here, the share of genuine pairs accepted at FMR 1e-4 on LFW View 1 DevTest
    behind scrfd_2.5g, with its 95 % interval.

    Example: arcid models list --commercial
    """
    from arcid.apps import model_facts
    from arcid.models import pull as fetch
    from arcid.models import weights

    broken: dict[str, ManifestInvalid] = {}
    defaults = model_facts.defaults()
    here = [model_facts.summary(bundle, defaults) for bundle in weights.installed(broken)]
    names = {row["name"] for row in here}
    offers = [fetch.offer(name) for name in sorted(weights.pullable())]
    to_pull = [model_facts.offer(o) for o in offers if not {e.name for e in o.models} <= names]
    if commercial:
        here = [row for row in here if row["commercial_use"]]
        to_pull = [row for row in to_pull if row["commercial_use"]]
    if json:
        problems = {name: error_dict(error) for name, error in broken.items()}
        print_json({"installed": here, "unusable": problems, "available": to_pull})
        return
    nothing = "Nothing of that kind is installed." if commercial else "Nothing is installed yet."
    say("Installed:" if here else nothing)
    if here:
        print_table(
            (
                *("name", "task", "what", "precision", "dim", "contract"),
                *("calibrated", "from", "verified", "TAR", "commercial", "licence"),
            ),
            [
                (
                    row["name"] + (" (default)" if row["default"] else ""),
                    row["task"],
                    _brief(row["description"] or row["family"]),
                    row["precision"],
                    row["dim"] or "",
                    (row["contract_id"] or "")[:SHORT],
                    row["calibration"] or "",
                    row["origin"],
                    VERIFIED[row["trust"]],
                    _tar(row),
                    COMMERCIAL[row["commercial_use"]],
                    row["licence"],
                )
                for row in here
            ],
        )  # fmt: skip
    for name, error in broken.items():
        say(f"{name} cannot be used: {error.message}")
    say("\nTo pull (arcid models pull NAME):")
    print_table(
        ("name", "what", "dim", "size", "TAR", "commercial", "licence"),
        [
            (
                row["name"],
                _brief(row["description"] or ", ".join(row["models"])),
                row["dim"] or "",
                _megabytes(row["size_bytes"]),
                _tar(row),
                COMMERCIAL[row["commercial_use"]],
                row["licence"],
            )
            for row in to_pull
        ],
    )


@app.command()
def info(name: Name, json: Json = False) -> None:
    """Everything about one model: its manifest, files, calibration and licence.

    Example: arcid models info mobilefacenet_128
    """
    from arcid.apps import model_facts
    from arcid.errors import CalibrationError
    from arcid.models import weights

    # Not resolve() alone: a file with a wrong hash is to be shown, not refused.
    found = (b for b in weights.installed({}) if b.name == name)
    bundle = next(found, None) or weights.resolve(name, judging=True)
    manifest = bundle.manifest
    files = model_facts.files(bundle)
    calibration: dict[str, Any] | None = None
    problem = None
    if manifest.task == "recognition":
        try:
            calibration = model_facts.calibration(bundle)
        except CalibrationError as error:
            problem = error.message
    if json:
        print_json(
            {
                **model_facts.summary(bundle),
                "path": str(bundle.path),
                "manifest": manifest.to_dict(),
                "files": files,
                "calibration": calibration,
                "calibration_problem": problem,
            }
        )
    else:
        _print_info(bundle, files, calibration, problem)
    if any(file["state"] != "ok" for file in files):
        raise Exit(MODEL)


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models; default: all installed.", metavar="NAME")
    ] = None,
    json: Json = False,
) -> None:
    """Check the hashes, load every model and run recognisers on made-up crops.

    Exit code 4 when one fails.

    Example: arcid models verify
    """
    from arcid.apps import model_facts
    from arcid.errors import ArcidError
    from arcid.models import weights

    broken: dict[str, ManifestInvalid] = {}
    found = [bundle.name for bundle in weights.installed(broken)]
    chosen = names or sorted({*found, *broken})
    results: list[dict[str, Any]] = []
    with progress_bar("verifying", len(chosen), quiet=json) as advance:
        for name in chosen:
            try:
                checked = model_facts.check(weights.resolve(name, judging=True))
                results.append({"name": name, "ok": True, "checked": checked})
            except ArcidError as error:
                results.append({"name": name, "ok": False, "error": error_dict(error)})
            advance(1)
    failed = [row for row in results if not row["ok"]]
    if json:
        print_json({"ok": not failed, "models": results})
    else:
        for row in results:
            what = row["checked"] if row["ok"] else "FAILED: " + row["error"]["message"]
            say(f"{row['name']}: {what}")
        say(f"{len(results) - len(failed)} of {len(results)} models are sound")
    if failed:
        raise Exit(MODEL)


@app.command()
def accept(
    name: Name,
    undo: Annotated[bool, typer.Option("--undo", help="Vouch for it no longer.")] = False,
    json: Json = False,
) -> None:
    """Vouch for a model on this machine, as it is now; it is checked and run first.

    Until then a bundle that was imported, converted or found is unverified. What you accept is
    remembered by its content in ARCID_HOME: a changed manifest, calibration or model file is
    unverified again.

    Example: arcid models accept mymodel
    """
    from arcid.apps import model_facts
    from arcid.errors import UsageError
    from arcid.models import trust, weights

    if undo:
        gone = trust.withdraw(name)
        if not gone:
            raise UsageError(f"{name} was not accepted on this machine; arcid models list says so")
        if json:
            print_json({"name": name, "accepted": False})
        else:
            say(f"{name} is unverified again")
        return
    bundle = weights.resolve(name, judging=True)
    if bundle.folder is None or bundle.trust in ("packaged", "catalogue"):
        checked, sha256 = "vouched for already", None
    else:
        checked, sha256 = model_facts.check(bundle), trust.accept(bundle.name, bundle.folder)
    if json:
        print_json({**model_facts.summary(weights.resolve(name)), "digest": sha256})
        return
    say(f"{bundle.name} from {bundle.path.parent}: {checked}")
    if sha256:
        say(f"licence  {_licence_words(bundle)}")
        say(f"accepted as {sha256[:SHORT]}; arcid models accept {name} --undo takes it back")


@app.command()
def pull(
    names: Annotated[
        list[str],
        typer.Argument(help="Packs or models, as arcid models list shows them.", metavar="NAME"),
    ],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read and accept the licences.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            help="A mirror, of a model of two files the folder of both; the sha256 stays the same.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Fetch known models over https, ask for their licence to be accepted, check and install them.

    Goes on where it was stopped.

    Example: arcid models pull yunet_2023mar face-reidentification-retail-0095 --accept-licence
    """
    from arcid.errors import UsageError
    from arcid.models import pull as fetch

    if url and len(names) > 1:
        raise UsageError("a mirror (--url) is the address of one model; pull them one by one")
    offers = [fetch.offer(name) for name in names]  # none is fetched where one is unknown
    rows = [_pull(offer, accept_licence, url, json) for offer in offers]
    if json:
        print_json(rows[0] if len(rows) == 1 else {"pulled": rows})
        return
    for row in rows:
        how = "installed in" if row["fetched"] else "is installed and sound in"
        for model in row["models"]:
            say(f"{model['name']}: {how} {model['path']}")


def _pull(offer: Offer, accepted: bool, url: str | None, quiet: bool) -> dict[str, Any]:
    from arcid import paths
    from arcid.models import pull as fetch

    root = paths.models_dir()
    fetched = not fetch.installed(offer, root)
    folders = [root / entry.name for entry in offer.models]
    if fetched:
        accepted = accepted or _ask(offer, url, quiet)
        with progress_bar(f"fetching {offer.name}", offer.size_bytes, quiet=quiet) as advance:
            seen = 0

            def progress(done: int, total: int | None) -> None:
                nonlocal seen
                advance(done - seen)
                seen = done

            folders = fetch.pull(offer, root, accept_licence=accepted, url=url, progress=progress)
    models = [{"name": folder.name, "path": str(folder)} for folder in folders]
    return {"name": offer.name, "fetched": fetched, "models": models}


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="An ONNX recogniser, or the .xml of an OpenVINO one with its .bin beside it.",
            metavar="FILE",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the new bundle.")],
    like: Annotated[
        str,
        typer.Option(
            "--like",
            help="How it wants its pixels: arcface, mobilefacenet, adaface, sface, facenet, omz or "
            "luxonis. Options below override single points.",
        ),
    ],
    dim: Annotated[int | None, typer.Option("--dim", help="Dimension of the vector.")] = None,
    input_name: Annotated[str | None, typer.Option("--input", help="Name of the input.")] = None,
    output_name: Annotated[str | None, typer.Option("--output", help="Name of the output.")] = None,
    mean: Annotated[
        str | None, typer.Option("--mean", help="Subtracted: one number, or three with commas.")
    ] = None,
    std: Annotated[
        str | None, typer.Option("--std", help="Divided by: one number, or three with commas.")
    ] = None,
    colour: Annotated[str | None, typer.Option("--colour", help="RGB or BGR.")] = None,
    size: Annotated[int | None, typer.Option("--size", min=16, help="Side of the crop.")] = None,
    layout: Annotated[str, typer.Option("--layout", help="NCHW or NHWC.")] = "NCHW",
    flip: Annotated[
        bool, typer.Option("--flip", help="Test-time flip: average with the mirrored face.")
    ] = False,
    licence: Annotated[str, typer.Option("--licence", help="Terms of the weights.")] = "",
    description: Annotated[str, typer.Option("--description", help="A sentence to keep.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace a bundle so named.")] = False,
    json: Json = False,
) -> None:
    """Make a bundle of any ONNX or OpenVINO recogniser, after running it.

    Example: arcid models import mymodel.onnx --name mymodel --like arcface --dim 512
    """
    from arcid import paths
    from arcid.apps import model_facts
    from arcid.models.importer import Request, import_model
    from arcid.pipeline import load_embedder

    request = Request(
        name=name,
        like=like,
        dim=dim,
        input_name=input_name,
        output_name=output_name,
        colour=colour,
        mean=_three("--mean", mean),
        std=_three("--std", std),
        size=size,
        layout=layout,
        flip=flip,
        licence=licence,
        description=description,
    )
    bundle = import_model(file, request, paths.models_dir(), load_embedder, replace=replace)
    row = model_facts.summary(bundle)
    if json:
        print_json({**row, "path": str(bundle.path), "batch": bundle.manifest.input.batch})
        return
    batch = bundle.manifest.input.batch
    say(f"{name}: {row['dim']}-d, batch {batch or 'of any size'}, contract {row['contract_id']}")
    say(f"installed in {bundle.folder}")
    say(f"its scores are not calibrated yet: arcid calibrate FOLDER --model {name}")
    if not bundle.vouched:
        say(f"it is unverified until you accept it: arcid models accept {name}")


def _print_info(
    bundle: Bundle,
    files: list[dict[str, Any]],
    calibration: dict[str, Any] | None,
    problem: str | None,
) -> None:
    from arcid.apps import model_facts

    manifest = bundle.manifest
    spec = manifest.input
    size = "any size" if spec.size is None else f"{spec.size[1]}×{spec.size[0]}"
    rows: list[tuple[str, Any]] = [
        ("name", bundle.name),
        ("what", f"{manifest.task}, {manifest.family}, {manifest.precision}"),
        ("description", manifest.description),
        ("from", f"{bundle.origin}: {bundle.path.parent}"),
        ("verified", VERIFIED[bundle.trust]),
        *((f"file {f['file']}", f"{f['state']}, sha256 {f['sha256']}") for f in files),
        ("input", f"{spec.name or 'the only one'}: {spec.layout} {spec.colour} {size}, batch "
                  f"{spec.batch or 'any'}, (x - {_short(spec.mean)}) / {_short(spec.std)}"),
    ]  # fmt: skip
    if output := manifest.output:
        flip = ", averaged with its mirror" if manifest.flip else ""
        rows += [
            ("output", f"{output.name or 'the only one'}: {output.dim}-d, unit norm"),
            ("template", manifest.template + flip),
            ("contract", manifest.contract_id),
            *([("calibration", problem)] if problem else _listed("calibration", calibration or {})),
        ]  # fmt: skip
    rows += [
        ("licence", _licence_words(bundle)),
        ("training data", manifest.training_data),
        *_listed("accuracy", manifest.accuracy),
        *_listed("measured", model_facts.summary(bundle)["measured"] or {}),
        ("source", manifest.source),
        *_listed("provenance", manifest.provenance),
        *_listed("options", manifest.options),
    ]
    print_table(("", ""), [(key, value) for key, value in rows if value])


def _licence_words(bundle: Bundle) -> str:
    licence = bundle.manifest.licence
    use = {
        True: "commercial use is allowed under its terms",
        False: "commercial use is NOT allowed",
        None: "whether commercial use is allowed is not stated",
    }[licence.commercial_use]
    where = f"; text: {licence.url}" if licence.url else ""
    return f"{licence.name}; {use}{where}"


def _brief(text: str) -> str:
    return textwrap.shorten(text, 60, placeholder=" …")


def _tar(row: Mapping[str, Any]) -> str:
    """TAR and its interval in per cent, where it was measured."""
    if not (found := row["measured"]):
        return ""
    low, high = 100 * found["tar_low"], 100 * found["tar_high"]
    return f"{100 * found['tar']:.1f} % ({low:.1f}-{high:.1f})"


def _ask(offer: Offer, url: str | None, json: bool) -> bool:
    """Show what would be fetched under which terms; True when a person at the terminal agrees."""
    if json or not sys.stdin.isatty():
        return False
    note(f"{offer.name}: {', '.join(e.name for e in offer.models)}, {_megabytes(offer.size_bytes)}")
    for file in offer.files:
        note(f"from     {offer.address(file, url)}")
        note(f"sha256   {file.sha256}")
    note(
        f"licence  {offer.licence.name}" + (f" ({offer.licence.url})" if offer.licence.url else "")
    )
    if offer.licence.commercial_use is False:
        note("         commercial use is NOT allowed")
    return typer.confirm("Do you accept this licence, and shall it be fetched?", err=True)


def _three(option: str, text: str | None) -> tuple[float, float, float] | None:
    from arcid.errors import UsageError

    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        raise UsageError(f"{option} takes one number or three with commas, got {text!r}")
    return values[0], values[1], values[2]


def _short(values: tuple[float, ...]) -> str:
    listed = [f"{value:g}" for value in values]
    return listed[0] if len(set(listed)) == 1 else f"({', '.join(listed)})"


def _listed(name: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """One row a value; what is nested stands in one row, lists of objects one row an object."""
    for key, value in values.items():
        row = f"{name}: {key.replace('_', ' ')}"
        objects = isinstance(value, (list, tuple)) and all(isinstance(v, Mapping) for v in value)
        for entry in value if objects else (value,):
            if entry not in ("", None, {}, []):
                yield row, _words(entry)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_words(v)}" for key, v in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _megabytes(size: int | None) -> str:
    return "size not published" if size is None else f"{size / 1e6:.1f} MB"
