"""The report of a study: HTML and Markdown, with curves, intervals and the rule for the winner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from arcid.evaluate.metrics import Array
from arcid.evaluate.report import Document, write
from arcid.evaluate.report.document import Card, Figure, Table, interval, number, share
from arcid.evaluate.report.svg import Plot, Role, count_tick, forest, linear, logarithmic, signed
from arcid.train.config.file import flat
from arcid.train.objectives.losses import loss_spec
from arcid.train.study.result import Round, Run, StudyResult

RULE = (
    "A is placed above B only where the interval of A − B leaves out zero; the intervals of all "
    "pairs of a round hold together with 95 % (max-t). They resample the people never trained on "
    "and the seeds, the same for all losses. A loss wins a round when it is placed above every "
    "other, and the study when it wins the largest round and no loss is placed above it in any."
)
#: Ten lines that can be told apart: five colours, full and dashed.
_LOOKS: tuple[tuple[Role, bool], ...] = tuple(
    (role, dashed)
    for dashed in (False, True)
    for role in ("genuine", "impostor", "third", "fourth", "neutral")
)
_FACTS = (
    "data.size", "data.batch", "data.min_images", "data.max_images", "data.holdout",
    "data.holdout_identities", "model.backbone", "model.dim", "optim.name", "optim.lr",
    "optim.weight_decay", "schedule.name", "schedule.steps", "schedule.minutes", "augment.flip",
)  # fmt: skip
Points = Sequence[tuple[float, float, float, float]]  # (x, value, low, high)


def write_report(result: StudyResult) -> dict[str, str]:
    """``report.html``, ``.md`` and ``.json`` in the study's folder; returns their paths."""
    return write(result.folder, document(result), record(result))


def record(result: StudyResult) -> dict[str, Any]:
    """The numbers, for machines."""
    return {
        "kind": "study",
        "fmr": result.study.fmr,
        "losses": {loss.title: {"name": loss.name, "options": dict(loss.options),
                                "set": list(loss.set)} for loss in result.study.losses},
        "seeds": list(result.study.seeds),
        "rule": RULE,
        "winner": result.winner,
        "statement": result.statement,
        "strangers": {"people": result.strangers[0], "photos": result.strangers[1]},
        "rounds": [
            {
                "identities": found.identities,
                "photos": found.photos,
                "ranking": found.ranking.to_dict(),
                "runs": [run.to_dict() for run in found.runs],
            }
            for found in result.rounds
        ],
        "config": result.config.to_dict(),
    }  # fmt: skip


def document(result: StudyResult) -> Document:
    """The same for people."""
    study, last = result.study, result.rounds[-1]
    some = last.runs[0]
    people, photos = result.strangers
    tar = f"TAR at FMR {study.fmr:g}"
    cards = [
        Card("Winner", result.winner or "none", result.statement),
        Card("Runs", f"{sum(len(r.runs) for r in result.rounds)}",
             f"{len(study.losses)} losses × {len(result.rounds)} rounds × {len(study.seeds)} "
             "seeds"),
        Card("Budget of a run", f"{some.steps:,} steps", f"{some.photos:,} photos seen"),
        Card("Judged on", f"{people} people", f"{photos:,} photos, none of them trained on"),
    ]  # fmt: skip
    return Document(
        title="Comparative study of losses",
        lede=(
            f"{len(study.losses)} losses, the same network, data, budget and seeds. They are "
            f"judged by {tar} on people never trained on."
        ),
        cards=cards,
        figures=_figures(result, tar),
        tables=[
            *(_round_table(found, tar) for found in result.rounds),
            _differences(last, tar),
            _by_seed(result),
        ],
        warnings=_warnings(result),
        facts=_facts(result),
    )


def _warnings(result: StudyResult) -> list[str]:
    found = []
    if len(result.study.seeds) < 3:
        found.append(
            f"{len(result.study.seeds)} seed(s): what training again would change is not, or "
            "hardly, in the intervals. Use three or more."
        )
    if result.strangers[0] < 30:
        found.append(
            f"Only {result.strangers[0]} people to judge on: the bootstrap over so few is too "
            "narrow. Raise data.holdout_identities."
        )
    minutes = result.config.schedule.unit == "minutes"
    if minutes:
        found.append("The budget is wall-clock time: the runs saw different numbers of photos.")
    return found


def _facts(result: StudyResult) -> dict[str, str]:
    study = result.study
    config = flat(result.config.to_dict())
    sources = ", ".join(source.path for source in result.config.data.sources)
    own = [
        " ".join([f"{loss.title}: {loss_spec(loss.name, **loss.options)!r}", *loss.set])
        for loss in study.losses
    ]
    shown = {key: str(config[key]) for key in _FACTS if config.get(key)}
    return {
        "rule": RULE,
        "losses": "; ".join(own),
        "seeds": ", ".join(map(str, study.seeds)),
        "sources": sources,
        "bootstrap": f"{study.replicates:,} replicates",
        **shown,
    }


def _figures(result: StudyResult, tar: str) -> list[Figure]:
    last = result.rounds[-1]
    found = [_differences_plot(last, tar)]
    if len(result.rounds) > 1:
        found += _by_identities(
            f"Strangers: {tar}",
            "More identities in the same budget. Whiskers: 95 % intervals over people and seeds.",
            tar,
            result,
            _triple,
        )
        found += _by_identities(
            "Closed set: photos trained on",
            "Mean over seeds; whiskers reach from the lowest to the highest seed.",
            "accuracy",
            result,
            lambda r, name: _spread([run.train_accuracy for run in r.of(name)]),
        )
        found += _by_identities(
            "Closed set: photos held out",
            "The same people as in training, other photos. Whiskers: lowest and highest seed.",
            "accuracy",
            result,
            lambda r, name: _spread([run.holdout_accuracy for run in r.of(name)]),
        )
    at = f"{last.identities} identities"
    found += _curves(last, "train_accuracy", f"Training accuracy by step, {at}",
                     "Share of training photos whose own class, margin aside, was nearest, as they "
                     "were trained on. Losses without class centres have no line.",
                     lambda run: run.curve)  # fmt: skip
    found += _curves(last, "held_auc", f"AUC on strangers while training, {at}",
                     "People never trained on, all pairs. Mean over seeds.",
                     lambda run: run.history)  # fmt: skip
    return found


def _groups(names: Sequence[str]) -> list[Sequence[str]]:
    """As many names as one plot can tell apart, again and again."""
    return [names[i : i + len(_LOOKS)] for i in range(0, len(names), len(_LOOKS))]


def _triple(found: Round, name: str) -> tuple[float, float, float]:
    own = found.ranking.values[name]
    return own.value, own.low, own.high


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return float(np.mean(values)), min(values), max(values)


def _by_identities(
    title: str,
    caption: str,
    label: str,
    result: StudyResult,
    read: Callable[[Round, str], tuple[float, float, float]],
) -> list[Figure]:
    names = result.rounds[-1].ranking.names
    points: dict[str, Points] = {
        name: [(found.identities, *read(found, name)) for found in result.rounds] for name in names
    }
    seen = [v for line in points.values() for p in line for v in p[1:] if np.isfinite(v)]
    if not seen:
        return []
    sizes = [found.identities for found in result.rounds]
    x = logarithmic("identities trained on", min(sizes) / 1.2, max(sizes) * 1.2, rate=False)
    ticks = tuple((float(size), count_tick(size)) for size in sizes)
    x = type(x)(x.label, x.low, x.high, "log", ticks)
    pad = 0.08 * (max(seen) - min(seen)) + 1e-3
    y = linear(label, max(0.0, min(seen) - pad), min(1.0, max(seen) + pad), share=True)
    found = []
    for group in _groups(names):
        plot = Plot(title, caption, x, y)
        for place, (name, (role, dashed)) in enumerate(zip(group, _LOOKS, strict=False)):
            line = np.array(points[name], np.float64)
            aside = line[:, 0] * 1.02 ** (place - (len(group) - 1) / 2)
            plot.line(aside, line[:, 1], role, name, dashed=dashed)
            for at, (size, value, low, high) in zip(aside, points[name], strict=True):
                if np.isfinite(value):
                    note = f"{name}, {size:g} identities: {share(value)} ({interval(low, high)})"
                    plot.point(float(at), value, role, low=low, high=high, note=note)
        rows = [
            (name, f"{size:g}", share(value), interval(low, high))
            for name in group
            for size, value, low, high in points[name]
        ]
        columns = ("loss", "identities", label, "range")
        found.append(Figure(title, plot.svg(), caption, Table(title, columns, rows)))
    return found


def _curves(
    found: Round,
    key: str,
    title: str,
    caption: str,
    read: Callable[[Run], Sequence[Mapping[str, float]]],
) -> list[Figure]:
    lines: dict[str, tuple[Array, Array]] = {}
    for name in found.ranking.names:
        by_step: dict[float, list[float]] = {}
        for run in found.of(name):
            for row in read(run):
                if key in row:
                    by_step.setdefault(row["step"], []).append(row[key])
        most = max(map(len, by_step.values()), default=0)
        steps = sorted(step for step, values in by_step.items() if len(values) == most)
        if len(steps) > 1:  # a run that was interrupted has a row the others lack
            lines[name] = np.array(steps), np.array([np.mean(by_step[s]) for s in steps])
    if not lines:
        return []
    top = max(float(steps.max()) for steps, _ in lines.values())
    values = np.concatenate([v for _, v in lines.values()])
    low = max(0.0, float(values.min()) - 0.02)
    figures = []
    for group in _groups(found.ranking.names):
        plot = Plot(
            title, caption, linear("step", 0, top),
            linear("", low, min(1.0, float(values.max()) + 0.02), share=True),
        )  # fmt: skip
        shown = [name for name in group if name in lines]
        for name, (role, dashed) in zip(group, _LOOKS, strict=False):
            if name in lines:
                plot.line(*lines[name], role, name, dashed=dashed)
        rows = [
            (name, f"{lines[name][0][i]:g}", share(float(lines[name][1][i])))
            for name in shown
            for i in np.unique(np.linspace(0, len(lines[name][0]) - 1, 6).astype(int))
        ]
        table = Table(title, ("loss", "step", "value"), rows)
        if shown:
            figures.append(Figure(title, plot.svg(), caption, table))
    return figures


def _differences_plot(found: Round, tar: str) -> Figure:
    ranking = found.ranking
    first = ranking.names[0]
    rows = []
    for name in ranking.names[1:]:
        gap = ranking.differences[first, name]
        note = f"{first} − {name}: {share(gap.value)} ({interval(gap.low, gap.high)})"
        rows.append((name, -gap.value, -gap.high, -gap.low, note))
    title = f"Behind {first}, {found.identities} identities"
    svg = forest(title, f"{tar} of each loss less that of {first}", rows,
                 f"{tar} less that of {first}", axis=signed)  # fmt: skip
    return Figure(
        title,
        svg,
        "Whiskers: the simultaneous 95 % intervals of the rule. Where one reaches zero, "
        f"{first} is not placed above that loss.",
        _differences(found, tar),
    )


def _round_table(found: Round, tar: str) -> Table:
    rows = []
    for name in found.ranking.names:
        own, runs = found.ranking.values[name], found.of(name)
        best, worst = found.ranking.places(name)
        rows.append(
            (
                name,
                f"{best}" if best == worst else f"{best}–{worst}",
                share(own.value),
                interval(own.low, own.high),
                share(_mean(runs, "eer")),
                number(_mean(runs, "auc"), 4),
                share(_mean(runs, "train_accuracy")),
                share(_mean(runs, "holdout_accuracy")),
            )
        )
    epochs = ", ".join(sorted({f"{run.epochs:.1f}" for run in found.runs}))
    return Table(
        f"{found.identities} identities",
        ("loss", "place", tar, "95 % interval", "EER", "AUC", "closed set, trained on",
         "closed set, held out"),
        rows,
        f"{found.photos:,} training photos, {epochs} epochs, {len(found.runs) // len(rows)} "
        "seeds. Place: the best and worst the rule leaves open. Closed set: share of photos "
        "nearest to the mean feature of their own identity's training photos.",
    )  # fmt: skip


def _differences(found: Round, tar: str) -> Table:
    rows = [
        (
            f"{a} − {b}",
            share(gap.value),
            interval(gap.low, gap.high),
            f"{a} above {b}" if gap.low > 0 else "not separate",
        )
        for (a, b), gap in found.ranking.differences.items()
    ]
    return Table(
        f"Differences at {found.identities} identities",
        ("", tar, "simultaneous 95 % interval", ""),
        rows,
    )


def _by_seed(result: StudyResult) -> Table:
    rows = [
        (
            run.loss,
            f"{found.identities}",
            f"{run.seed}",
            share(run.tar),
            share(run.eer),
            number(run.auc, 4),
            share(run.train_accuracy),
            share(run.holdout_accuracy),
            f"{run.seconds:.0f} s",
        )
        for found in result.rounds
        for run in found.runs
    ]
    columns = ("loss", "identities", "seed", "TAR", "EER", "AUC", "trained on", "held out", "time")
    return Table("Every run", columns, rows)


def _mean(runs: Sequence[Run], name: str) -> float:
    return float(np.mean([getattr(run, name) for run in runs]))


__all__ = ["RULE", "document", "record", "write_report"]
