"""``clean``: train or open a network with sub-centres, judge its photos, write what was found.

    OUT/kept.csv          key,identity: hand it to data.keep and train again with one centre
    OUT/dropped.csv       key,identity,angle_deg,sub_centre, worst first
    OUT/identities.csv    every identity: photos, share of the dominant sub-centre, dropped
    OUT/report.html/.md/.json
    OUT/sheets/*.jpg      the dropped photos beside their identity's most typical one

The lists name people and the sheets show them: all are readable by their owner only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from arcid.errors import CheckpointMismatch, ConfigError, UsageError
from arcid.evaluate.metrics import IndexArray, Mask
from arcid.files import write_csv
from arcid.train.clean.report import write_report
from arcid.train.clean.result import KEPT, CleanResult
from arcid.train.clean.rule import Rule, Verdict, judge
from arcid.train.clean.sheets import write_sheets
from arcid.train.config.recipe import TrainConfig
from arcid.train.data.dataset import SampleSet, TrainData, open_data
from arcid.train.data.features import embed_samples
from arcid.train.heads.classifier import Classifier, reshard_state
from arcid.train.objectives.losses import loss_spec
from arcid.train.objectives.objective import create_classifier
from arcid.train.ranks import Ranks
from arcid.train.recogniser.job import train
from arcid.train.weights.checkpoint import Checkpoint, class_facts, open_checkpoint
from arcid.train.weights.restore import restore_backbone

Tell = Callable[[str], None]


def clean(
    source: TrainConfig | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    rule: Rule | None = None,
    *,
    run: Callable[[TrainConfig], Path] | None = None,
    sheet_photos: int = 600,
    tell: Tell = lambda line: None,
) -> CleanResult:
    """Judge the photos that a network with sub-centres was trained on.

    ``source``: a config, which is trained first (or gone on with, where its run exists), or the
    folder of a checkpoint or run. ``run`` trains a config and returns its checkpoint; by default
    ``arcid.train.recogniser.job.train``. ``out`` defaults to ``clean`` inside the run. At most
    ``sheet_photos`` dropped photos are drawn, those farthest away.

    Raises ``ConfigError`` where the config or checkpoint has one centre an identity or none, what
    training and opening data raise, ``CheckpointMismatch`` where the data is another now, and
    ``KeyboardInterrupt`` where training was interrupted.
    """
    rule = rule or Rule()
    if isinstance(source, TrainConfig):
        require_sub_centres(source)
        tell("training with sub-centres")
        opened = (run or _train)(source)
    else:
        opened = Path(source)
    checkpoint = open_checkpoint(opened)
    require_sub_centres(checkpoint.config)
    data = open_data(checkpoint.config.data.but(cache="none"))
    before, now = checkpoint.extra, class_facts(data.classes)
    if before.get("names_sha256") != now["names_sha256"]:
        raise CheckpointMismatch(
            f"{checkpoint.path.name} was trained on {before.get('classes', 0)} identities, its "
            f"sources now give {now['classes']} or others; bring the data back",
            path=str(checkpoint.path),
        )
    folder = Path(out) if out is not None else checkpoint.path.parent.parent / "clean"
    tell(f"looking at {len(data.train)} photos of {len(data.classes)} identities")
    cosines, rows, unreadable = sub_centre_cosines(checkpoint, data.train)
    labels = data.train.labels[rows]
    verdict = judge(cosines, labels, len(data.classes), rule)
    keys = tuple(data.train.key(int(row)) for row in rows)
    dropped = {key for key, keep in zip(keys, verdict.keep, strict=True) if not keep}
    everything = _everything(checkpoint.config, data)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = ((key, name) for key, name in everything if key not in dropped)
        write_csv(folder / KEPT, ("key", "identity"), kept, private=True)
        _write_dropped(folder / "dropped.csv", data, keys, labels, verdict)
        _write_identities(folder / "identities.csv", data.classes, labels, verdict)
        sheets = write_sheets(folder / "sheets", data.train, rows, verdict, data.classes,
                              limit=sheet_photos)  # fmt: skip
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from None
    result = CleanResult(
        folder=folder,
        checkpoint=checkpoint.path,
        step=checkpoint.step,
        rule=rule,
        centres=_centres(checkpoint.config),
        classes=data.classes,
        verdict=verdict,
        keys=keys,
        labels=labels,
        unreadable=unreadable,
        other_photos=len(everything) - len(data.train),
        sheets=tuple(sheets),
    )
    write_report(result)
    return result


def require_sub_centres(config: TrainConfig) -> None:
    """Refuse a config whose identities have no or one centre. Raises ``ConfigError``."""
    if config.distil.teachers and not config.distil.margin:
        raise ConfigError(
            "distillation without distil.margin has no class centres to judge photos by"
        )
    if _centres(config) < 2:
        raise ConfigError(
            f"loss {config.loss.name} keeps {_centres(config)} centre an identity, cleaning needs "
            "several; set loss.name=subcenter_arcface, or classifier.centres=3",
            key="classifier.centres",
        )


def sub_centre_cosines(
    checkpoint: Checkpoint[TrainConfig], samples: SampleSet
) -> tuple[IndexArray, IndexArray, tuple[tuple[str, str], ...]]:
    """(M,K) cosines to the own identity's sub-centres, (M,) rows of the set, and who failed.

    The weights as trained, not their average: the centres belong to them.
    """
    backbone = restore_backbone(checkpoint.path, averaged=False).backbone
    centres = restore_centres(checkpoint)
    found, rows, failed = [np.zeros((0, centres.k))], list[int](), list[tuple[str, str]]()
    everyone = np.arange(len(samples))
    cpu = torch.device("cpu")
    for features, read, unusable in embed_samples(backbone, samples, everyone, cpu):
        failed += [(samples.key(row), error.message) for row, error in unusable]
        if read:
            own = torch.from_numpy(samples.labels[read])
            found.append(centres.sub_centre_cosines(features, own).numpy().astype(np.float64))
            rows += read
    return np.concatenate(found), np.array(rows, np.int64), tuple(failed)


def restore_centres(checkpoint: Checkpoint[TrainConfig]) -> Classifier:
    """All class centres of a checkpoint on one rank, whoever wrote it."""
    ranks = Ranks(0, 1, torch.device("cpu"))
    centres = create_classifier(checkpoint.config, checkpoint.extra["classes"], ranks)
    parts = [part["classifier"] for part in checkpoint.ranks()]
    centres.load_state_dict(reshard_state(parts, 0, 1))
    return centres.eval()


def _train(config: TrainConfig) -> Path:
    result = train(config)
    if result.stopped:
        raise KeyboardInterrupt
    return result.checkpoint


def _centres(config: TrainConfig) -> int:
    return config.classifier.centres or loss_spec(config.loss.name, **config.loss.options).k


def _everything(config: TrainConfig, data: TrainData) -> list[tuple[str, str]]:
    """(key, identity) of every photo the run could choose from, so that the list takes none away;
    no identity where it shows nobody."""
    whole = open_data(
        config.data.but(cache="none", min_images=1, identities=0, max_images=0,
            holdout=0.0, holdout_identities=0,
        )
    )  # fmt: skip
    names = [whole.classes[label] for label in whole.train.labels.tolist()]
    labelled = zip(whole.train.rows.tolist(), names, strict=True)
    nobody = ((row, "") for row in whole.unlabelled.rows.tolist())
    both = sorted([*labelled, *nobody])
    return [(whole.train.store.key(row), name) for row, name in both]


def _write_dropped(
    path: Path, data: TrainData, keys: Sequence[str], labels: IndexArray, verdict: Verdict
) -> None:
    gone = np.flatnonzero(~verdict.keep)
    worst = gone[np.argsort(-verdict.angle_deg[gone], kind="stable")]
    rows = (
        (
            keys[i],
            data.classes[labels[i]],
            f"{verdict.angle_deg[i]:.2f}",
            int(verdict.nearest[i]),
        )
        for i in worst.tolist()
    )
    write_csv(path, ("key", "identity", "angle_deg", "sub_centre"), rows, private=True)


def _write_identities(
    path: Path, classes: Sequence[str], labels: IndexArray, verdict: Verdict
) -> None:
    gone: Mask = ~verdict.keep
    lost = np.bincount(labels[gone], minlength=len(classes))
    rows = (
        (
            name,
            int(verdict.photos[i]),
            "yes" if verdict.judged[i] else "no",
            f"{verdict.share[i]:.4f}" if verdict.judged[i] else "",
            int(lost[i]),
        )
        for i, name in enumerate(classes)
    )
    write_csv(
        path, ("identity", "photos", "judged", "dominant_share", "dropped"), rows, private=True
    )


__all__ = ["clean", "require_sub_centres", "restore_centres", "sub_centre_cosines"]
