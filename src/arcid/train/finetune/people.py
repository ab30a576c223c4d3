"""Who is learnt from, who stops the run and who judges it: three groups without a person in two."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arcid.errors import DatasetInvalid, UsageError
from arcid.files import guarded, write_text
from arcid.train.config.recipe import DataConfig
from arcid.train.data.dataset import open_data
from arcid.train.export.crops import LabelledCrops, people_crops
from arcid.train.weights.checkpoint import CheckpointStore
from arcid.types import Crops

#: 2 · (1/2)^n, the chance that n people all agree by luck, is below 5 % from six people on.
JUDGES = 6
STOPPERS = 4
LEAST = 2 * (JUDGES + STOPPERS)  # half of them at least are learnt from
MOST_JUDGES, MOST_STOPPERS = 400, 200
JUDGES_LIST = "judges.txt"
PHOTOS = 1500  # of a group, at most


@dataclass(frozen=True, slots=True)
class Groups:
    """The people of a folder, counted, and those by name who judge."""

    judges: tuple[str, ...]  # source/identity
    stoppers: int
    learnt: int
    small: int  # people with fewer photos than data.min_images, left out
    min_images: int

    def to_dict(self) -> dict[str, int]:
        """How many are in each group, and left out."""
        return {
            "learnt_from": self.learnt,
            "stopped_by": self.stoppers,
            "judged_by": len(self.judges),
            "too_few_photos": self.small,
        }

    def lines(self) -> list[str]:
        """For people to read."""
        told = [
            f"{self.learnt} people to learn from, {self.stoppers} to stop by, {len(self.judges)} "
            "to judge by at the end; nobody is in two groups"
        ]
        if self.small:
            told.append(
                f"{self.small} people have fewer than {self.min_images} photos and are left out"
            )
        return told


def group(data: DataConfig, seed: int) -> Groups:
    """Divide the people of ``data``, by their names and ``seed`` alone.

    Raises ``DatasetInvalid`` below twenty people: six to judge by, four to stop by, ten to learn
    from.
    """
    found = open_data(_everybody(data), need_identities=False)
    count, small = len(found.classes), found.report.small_identities
    if count < LEAST:
        raise DatasetInvalid(
            f"{count} people have {data.min_images} photos or more ({small} have fewer); "
            f"fine-tuning needs {LEAST}: {JUDGES} to judge by, since what fewer agree on may be "
            f"chance, {STOPPERS} to stop by, and as many again to learn from. Add people; fifty "
            "with four photos each are a beginning. Until then: arcid calibrate",
            people=count,
            needed=LEAST,
        )
    judges = min(max(JUDGES, count // 4), MOST_JUDGES)
    stoppers = min(max(STOPPERS, count // 6), MOST_STOPPERS)
    order = np.random.default_rng((seed, 3)).permutation(count)
    names = sorted(found.classes)
    return Groups(
        tuple(sorted(names[i] for i in order[:judges])),
        stoppers,
        count - judges - stoppers,
        small,
        data.min_images,
    )


def keep_judges(run: Path, groups: Groups) -> None:
    """Write the list ``JUDGES_LIST`` of a run, which ``data.leave_out`` names.

    Raises ``UsageError`` where the run learns already, with others left out.
    """
    path, text = run / JUDGES_LIST, "".join(f"{guarded(name)}\n" for name in groups.judges)
    begun = path.is_file() and CheckpointStore(run / "checkpoints").paths()
    if begun and path.read_text("utf-8", "surrogateescape") != text:
        raise UsageError(
            f"{run} was begun with other people or another seed; bring them back, or name another "
            "place with --out"
        )
    write_text(path, text)


def judging_crops(data: DataConfig, judges: Collection[str], list_: str) -> LabelledCrops:
    """The judges' photos; ``list_`` is what leaves them out of ``data``."""
    kept = tuple(path for path in data.leave_out if path != list_)
    found = open_data(_everybody(data.but(leave_out=kept)), need_identities=False)
    wanted = [number for number, name in enumerate(found.classes) if name in judges]
    rows = np.flatnonzero(np.isin(found.train.labels, wanted))
    name = f"{len(judges)} people kept for judging"
    return people_crops(name, found.train.take(rows), PHOTOS)


def joined(sets: Sequence[LabelledCrops], name: str) -> LabelledCrops:
    """Sets of different people as one."""
    labels, start = [], 0
    for part in sets:
        labels.append(part.labels + start)
        start += int(part.labels.max()) + 1
    pixels = np.concatenate([part.crops.pixels for part in sets])
    return LabelledCrops(name, Crops(pixels), np.concatenate(labels))


def _everybody(data: DataConfig) -> DataConfig:
    return data.but(
        holdout=0.0, holdout_identities=0, identities=0, max_images=0, cache="none",
        small_identities="drop",
    )  # fmt: skip


__all__ = ["LEAST", "Groups", "group", "joined", "judging_crops", "keep_judges"]
