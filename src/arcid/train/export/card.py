"""MODEL_CARD.md: what was trained on, what it may be used for, what was measured and what not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from arcid.models.manifest import Manifest
from arcid.train.config.recipe import TrainConfig
from arcid.train.export.measure import Accuracy, Measured
from arcid.train.export.tolerance import Agreement

NOT_STATED = "not stated"


def model_card(
    manifest: Manifest,
    config: TrainConfig | None,
    data_report: str,
    agreements: Mapping[str, Agreement],
    reference: str,
    measured: Measured | None,
) -> str:
    """The card of one bundle, in Markdown. Whatever nobody said or measured is called so."""
    lines = [
        f"# {manifest.name}",
        "",
        manifest.description or "A face recognition network written by `arcid export`.",
        "",
        *_facts(manifest),
        *_training(manifest, config, data_report),
        *_terms(manifest),
        *_use(),
        *_accuracy(measured),
        *_agreement(agreements, reference),
        *_limits(manifest, measured.after if measured else None),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _facts(manifest: Manifest) -> Iterator[str]:
    made, spec = manifest.provenance, manifest.input
    size = spec.size or (0, 0)
    yield "| | |"
    yield "|---|---|"
    yield f"| network | {made.get('backbone')} {_plain(made.get('options', {}))} |"
    yield f"| vector | {manifest.output.dim if manifest.output else 0} numbers, unit norm |"
    yield (
        f"| input | {size[0]}×{size[1]} {spec.colour}, (pixel − {spec.mean[0]:g}) / "
        f"{spec.std[0]:g}, aligned to the five-point template |"
    )
    yield f"| stored as | {manifest.precision} |"
    yield f"| contract | `{manifest.contract_id}` |"
    yield f"| written by | arcid {made.get('arcid')} from {manifest.source} |"
    yield ""


def _training(manifest: Manifest, config: TrainConfig | None, report: str) -> Iterator[str]:
    yield "## Training"
    yield ""
    yield manifest.training_data or f"The training data is {NOT_STATED}."
    yield ""
    if config is not None:
        tree = config.to_dict()
        sources = ", ".join(s.name or s.path.rsplit("/", 1)[-1] for s in config.data.sources)
        yield f"- sources: {sources or NOT_STATED}"
        if not config.distil.teachers or config.distil.margin:
            yield f"- loss: {config.loss.name} {_plain(tree['loss']['options'])}".rstrip()
        yield (
            f"- optimiser: {config.optim.name}, learning rate {config.optim.lr:g}, weight decay "
            f"{config.optim.weight_decay:g}, batch {config.data.batch}"
        )
        minutes = manifest.provenance.get("minutes")
        after = "" if minutes is None else f", after {minutes:g} minutes of training"
        yield f"- step: {manifest.provenance.get('step')}{after}"
        if config.init_from:
            yield f"- started from: {config.init_from.rsplit('/', 1)[-1]}"
        if config.distil.teachers:
            yield f"- taught by: {', '.join(t.rsplit('/', 1)[-1] for t in config.distil.teachers)}"
            named = ("cosine", "relational", "neighbours", "features", "margin")
            terms = {name: tree["distil"].get(name) for name in named}
            yield f"- weights of its terms: {_plain({n: w for n, w in terms.items() if w})}"
        yield ""
    if report.strip():
        yield "```text"
        yield report.strip()
        yield "```"
        yield ""


def _terms(manifest: Manifest) -> Iterator[str]:
    licence = manifest.licence
    commercial = {True: "allowed", False: "not allowed", None: NOT_STATED}[licence.commercial_use]
    yield "## Terms"
    yield ""
    yield f"Licence of the weights: {licence.name}" + (f" ({licence.url})" if licence.url else "")
    yield f"Commercial use: {commercial}. The terms of the training data may narrow it further."
    yield ""


def _use() -> Iterator[str]:
    yield "## Intended use"
    yield ""
    yield (
        "Comparing faces of people who know of it and agreed to it: unlocking, attendance, "
        "finding one's own photos. Not meant for identifying people without their knowledge, for "
        "guessing traits of a person, or as the only ground for a decision that harms someone."
    )
    yield (
        "A cosine means nothing without a calibration on data like yours: `arcid calibrate`. "
        "Vectors of another contract must never be compared with this one's."
    )
    yield ""


def _accuracy(measured: Measured | None) -> Iterator[str]:
    yield "## Measured accuracy"
    yield ""
    if measured is None:
        yield "None was measured when this file was written. Measure before use: `arcid evaluate`."
        yield ""
        return
    before, after, pairs = measured.before, measured.after, measured.after.pairs
    yield (
        f"{after.dataset}: {after.photos} photos of {after.people} people, all pairs "
        f"({len(pairs.genuine):,} genuine, {len(pairs.impostor):,} impostor), aligned crops, "
        "intervals 95 % over identities; measured when this file was written. On other crops: "
        "`arcid export … --evaluate CROPS`; with a detector before it: `arcid evaluate`."
    )
    yield ""
    yield "| | float | this file |"
    yield "|---|---|---|"
    yield f"| AUC | {before.auc:.5f} | {after.auc:.5f} |"
    for row, point in enumerate(after.points):
        cells = f"{_tar(before, row)} | {_tar(after, row)}"
        yield f"| TAR at FMR {point.target_fmr:g} | {cells} |"
    yield ""
    told = measured.difference.describe()
    yield f"Float (A) against this file (B) on the same pairs: {told}."
    yield ""


def _tar(measured: Accuracy, row: int) -> str:
    tar = measured.points[row].tar
    weak = ", few errors behind it" if tar.support != "measured" else ""
    return f"{100 * tar.value:.2f} % ({100 * tar.low:.2f}–{100 * tar.high:.2f}{weak})"


def _agreement(agreements: Mapping[str, Agreement], reference: str) -> Iterator[str]:
    yield "## Agreement with the trained network"
    yield ""
    yield f"Cosine of this file's vectors to the network's, {reference}:"
    yield ""
    for runtime, seen in agreements.items():
        yield f"- {runtime}: {seen.minimum:.5f} at least, {seen.mean:.5f} on average"
    yield ""


def _limits(manifest: Manifest, after: Accuracy | None) -> Iterator[str]:
    yield "## Where it fails"
    yield ""
    if after is not None and after.points:
        tar = after.points[0].tar
        yield (
            f"- At FMR {after.points[0].target_fmr:g} it missed {tar.trials - tar.count:,} of "
            f"{tar.trials:,} genuine pairs of {after.dataset}."
        )
    yield (
        "- Not measured here: children, groups of age, skin tone and sex, masks, profile views, "
        "faces under 32 pixels, twins. Expect more errors there until `arcid evaluate` with "
        "groups says otherwise."
    )
    yield "- It says nothing about whether a face is live; a photograph of a face is a face to it."
    if manifest.precision == "int8":
        yield "- Int8 arithmetic differs a little between processors; `arcid models verify` checks."
    yield ""


def _plain(options: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in dict(options).items())


__all__ = ["model_card"]
