"""What runs here, under which licence, how good it is, and what its scores mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from arcid.calibration import Calibration
from arcid.decide import DEFAULT_FMR
from arcid.evaluate.report.svg import Plot, Role, linear, logarithmic
from arcid.models.manifest import Manifest
from arcid.models.weights import Bundle
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._calibrations import Calibrations
from arcid.server.console.pages._models import Machine
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import card, chip, element, facts, html, note, table_head, text


async def models(context: ConsoleContext) -> None:
    """The two models and the calibration; admins change them."""
    with frame(context, S.MODELS, "/models", lead=S.MODELS_LEAD):
        pipeline = context.services.pipeline
        embedder, made_with = pipeline.embedder, pipeline.provenance
        with element("div", "columns even"):
            _model(
                S.MODEL_RECOGNITION,
                made_with["model"],
                pipeline.manifest,
                pipeline.bundle,
                [
                    (S.MODEL_RUNTIME, f"{made_with['runtime']} · {made_with['device']}"),
                    (S.MODEL_PRECISION, made_with["precision"]),
                    (S.MODEL_DIM, S.MODEL_DIM_TEXT.format(n=embedder.dim)),
                    (S.MODEL_CONTRACT, embedder.contract_id[:16]),
                ],
            )
            known = pipeline.detector_bundle
            detector = known.manifest if known else None
            _model(S.MODEL_DETECTION, made_with["detector"], detector, known, [])
        calibration = context.services.calibration()
        if calibration is None:
            note(S.NO_CALIBRATION, "warn")
        else:
            if pipeline.calibration_replaced:
                note(S.CALIBRATION_REPLACED, "warn")
            _calibration(calibration)
        if context.may("system"):
            if pipeline.bundle is not None:
                await Calibrations(context, pipeline.bundle).build()
            await Machine(context).build()


def _model(
    role: str,
    name: str,
    manifest: Manifest | None,
    bundle: Bundle | None,
    rows: list[tuple[str, str]],
) -> None:
    with card(role):
        text(name, "model-name", tag="p")
        if manifest is None:
            facts(rows)
            return
        if bundle is not None and not bundle.vouched:
            chip(S.MODEL_UNVERIFIED, "warn")
            text(S.MODEL_TRUST[bundle.trust], "soft small", tag="p")
            rows = [*rows, (S.MODEL_ACCEPT, f"arcid models accept {bundle.name}")]
        elif bundle is not None:
            rows = [*rows, (S.MODEL_VOUCHED, S.MODEL_TRUST[bundle.trust])]
        text(manifest.description, "soft", tag="p")
        licence = manifest.licence
        words = licence.name
        if not licence.commercial_use:
            words = S.MODEL_RESEARCH_ONLY.format(name=licence.name)
        facts(
            [
                *rows,
                (S.MODEL_LICENCE, words),
                (S.MODEL_TRAINED_ON, manifest.training_data or S.UNKNOWN_VALUE),
            ]
        )
        if manifest.accuracy:
            text(S.MODEL_ACCURACY, "person-name", tag="h3")
            facts([row for key, value in manifest.accuracy.items() for row in _stated(key, value)])


def _stated(key: str, value: Any) -> list[tuple[str, str]]:
    """A manifest's number in words; ``tar`` is a list with one row a false match rate."""
    if key == "tar" and isinstance(value, list):
        return [
            (
                S.MODEL_TAR.format(rate=S.rate(row["fmr"])),
                S.MODEL_TAR_TEXT.format(**{k: S.percent(row[k]) for k in ("value", "low", "high")}),
            )
            for row in value
        ]
    name = S.MODEL_ACCURACY_NAMES.get(key, key.replace("_", " ").capitalize())
    if isinstance(value, int):
        return [(name, f"{value:,}")]
    return [(name, f"{value:.4g}" if isinstance(value, float) else str(value))]


def _calibration(calibration: Calibration) -> None:
    data = calibration.data
    with element("div", "columns even"):
        with card(S.CALIBRATION):
            if calibration.provisional:
                chip(S.CALIBRATION_PROVISIONAL, "warn")
            pairs = S.CALIBRATION_PAIRS_TEXT.format(
                genuine=data["genuine_pairs"], impostor=data["impostor_pairs"]
            )
            people = S.CALIBRATION_PEOPLE_TEXT.format(people=data["people"], photos=data["photos"])
            facts(
                [
                    (S.CALIBRATION_DATA, str(data["dataset"]["name"])),
                    (S.CALIBRATION_PEOPLE, people),
                    (S.CALIBRATION_PAIRS, pairs),
                    *_combined(calibration),
                    (S.CALIBRATION_SMALLEST, S.rate(calibration.smallest_supported_fmr)),
                    (S.CALIBRATION_DAY, str(data["date"])),
                ]
            )
            if data.get("notes"):
                text(str(data["notes"]), "soft small", tag="p")
        with card(S.CALIBRATION_TABLE):
            _thresholds(calibration)
    with element("div", "columns even"):
        _curves(calibration)


def _combined(calibration: Calibration) -> list[tuple[str, str]]:
    if not calibration.combined:
        return []
    packaged, own = calibration.data["combined_with"], calibration.smallest_measured_fmr
    words = S.CALIBRATION_COMBINED_TEXT.format(
        dataset=packaged["dataset"], people=packaged["people"]
    )
    alone = S.rate(own) if own < 1 else S.CALIBRATION_MEASURED_NONE
    return [(S.CALIBRATION_COMBINED_WITH, words), (S.CALIBRATION_MEASURED, alone)]


def _thresholds(calibration: Calibration) -> None:
    with element("div", "table-box"), element("table"):
        table_head(S.CALIBRATION_TABLE_HEAD)
        with element("tbody"):
            for row in calibration.data["thresholds"]:
                with element("tr"):
                    with element("td"):
                        text(S.rate(row["fmr"]))
                        if row["extrapolated"]:
                            text(S.CALIBRATION_BEYOND, "soft small beyond")
                        elif row.get("source") == "combined":
                            text(S.CALIBRATION_COMBINED, "soft small beyond")
                    text(f"{row['cosine']:.3f}", "number", tag="td")
                    text(S.percent(row["fnmr"]) if "fnmr" in row else "", "number", tag="td")


def _curves(calibration: Calibration) -> None:
    data = calibration.data
    lowest = 10.0 ** -len(str(round(1 / calibration.smallest_supported_fmr)))
    x = linear(S.CURVE_X, -0.2, 1.0)
    rates = Plot(S.CALIBRATION_CURVE, S.CURVE_TEXT, x, logarithmic(S.CURVE_Y, lowest, 1.0))
    curves: tuple[tuple[str, Role, str], ...] = (
        ("fmr", "impostor", S.CURVE_FMR),
        ("fnmr", "genuine", S.CURVE_FNMR),
    )
    for kind, role, name in curves:
        table = np.array([(row["cosine"], row[kind]) for row in data[f"{kind}_table"]])
        inside = table[(table[:, 0] >= x.low) & (table[:, 1] >= lowest)]
        rates.line(inside[:, 0], inside[:, 1], role, name)
    steps = np.linspace(x.low, x.high, 241)
    likely = [calibration.probability(step) for step in steps]
    y = linear(S.PROBABILITY, 0.0, 1.0, share=True)
    odds = Plot(S.PROBABILITY_CURVE, S.PROBABILITY_CURVE_TEXT, x, y)
    odds.line(steps, likely, "genuine", S.CURVE_PROBABILITY)
    at = calibration.threshold_at_fmr(max(DEFAULT_FMR, calibration.smallest_supported_fmr))
    for plot in (rates, odds):
        plot.vertical(at.cosine, S.rate(at.fmr))
        with card(plot.title):
            text(plot.description, "soft small", tag="p")
            html(plot.svg(), tag="div", cls="chart")
