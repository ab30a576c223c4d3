"""What ``arcid models`` says about one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from arcid.cli.output import (
    print_table,
)

if TYPE_CHECKING:
    from arcid.models.trust import Trust
    from arcid.models.weights import Bundle


VERIFIED: dict[Trust, str] = {
    "packaged": "yes: packaged",
    "signed": "yes: signed",
    "catalogue": "yes: catalogue",
    "accepted": "yes: accepted",
    "unverified": "NO",
    "changed": "NO: changed",
}


def print_info(
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
        ("licence", licence_words(bundle)),
        ("training data", manifest.training_data),
        *_listed("accuracy", manifest.accuracy),
        *_listed("measured", model_facts.summary(bundle)["measured"] or {}),
        ("source", manifest.source),
        *_listed("provenance", manifest.provenance),
        *_listed("options", manifest.options),
    ]
    print_table(("", ""), [(key, value) for key, value in rows if value])


def licence_words(bundle: Bundle) -> str:
    licence = bundle.manifest.licence
    use = {
        True: "commercial use is allowed under its terms",
        False: "commercial use is NOT allowed",
        None: "whether commercial use is allowed is not stated",
    }[licence.commercial_use]
    where = f"; text: {licence.url}" if licence.url else ""
    return f"{licence.name}; {use}{where}"


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
