"""Photographs an export needs: some to quantise with, others to measure on."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from arcid.errors import DatasetInvalid, ExportRefused
from arcid.train.config.recipe import DataConfig, SourceConfig
from arcid.train.data.crops import Unusable
from arcid.train.data.dataset import SampleSet, open_data
from arcid.types import Crops, Image

_LOG = logging.getLogger(__name__)
RESERVED = "lfw-dev"  # only ever measured on
PER_PERSON = 20  # photos of one person in a set to measure on


@dataclass(frozen=True, slots=True, eq=False)
class LabelledCrops:
    """Crops in a fixed order, who is on them, and what the set is called."""

    name: str
    crops: Crops  # (N,S,S,3)
    labels: npt.NDArray[np.int64] = field(repr=False)  # (N,), -1 without identity

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, rows: slice) -> LabelledCrops:
        return LabelledCrops(self.name, Crops(self.crops.pixels[rows]), self.labels[rows])

    def digests(self) -> set[bytes]:
        """One hash a photo, to find photos that two sets share."""
        return {hashlib.sha256(p.tobytes()).digest() for p in self.crops.pixels}


def calibration_crops(path: str, size: int, count: int) -> LabelledCrops:
    """``count`` photos drawn from a folder or archive, identities unused.

    Raises ``DatasetInvalid``, and ``ExportRefused`` for the set that is only ever measured on.
    """
    refuse_reserved(path)
    return _drawn(_named(path), _all_photos(_config(path, size)), count)


def training_crops(config: DataConfig, count: int) -> LabelledCrops:
    """``count`` photos a run was trained on."""
    for source in config.sources:
        refuse_reserved(source.path)
    return _drawn("the run's training photos", _all_photos(config), count)


def held_out_crops(config: DataConfig, count: int) -> LabelledCrops | None:
    """Photos of the identities a run never saw (data.holdout_identities); None without any."""
    if not config.holdout_identities:
        return None
    data = open_data(config.but(cache="none"), need_identities=False)
    name = f"{config.holdout_identities} identities held out of training"
    return people_crops(name, data.held, count)


def labelled_crops(path: str, size: int, count: int) -> LabelledCrops:
    """Up to ``count`` photos of whole identities of a folder or archive, two or more of each."""
    data = open_data(_config(path, size).but(min_images=2), need_identities=False)
    crops = people_crops(_named(path), data.train, count)
    if len(set(crops.labels.tolist())) < 2:
        raise DatasetInvalid(
            f"{_named(path)} has fewer than two people with at least two photos each; accuracy "
            "needs folders (or archive folders) named after people"
        )
    return crops


def require_disjoint(calibration: LabelledCrops, evaluation: LabelledCrops) -> None:
    """Raise ``ExportRefused`` where a photo to measure on was also quantised with."""
    shared = len(calibration.digests() & evaluation.digests())
    if shared:
        raise ExportRefused(
            f"{shared} photos of {evaluation.name} are also in {calibration.name}; measure on "
            "photos that were not calibrated with",
            shared=shared,
        )


def refuse_reserved(path: str) -> None:
    """Raise ``ExportRefused`` for the development set, which nothing may be fitted to."""
    if RESERVED in PurePath(path).parts:
        raise ExportRefused(
            f"{RESERVED} is there to compare finished models; calibrate with other photos"
        )


def _config(path: str, size: int) -> DataConfig:
    return DataConfig(sources=(SourceConfig(path=path),), size=size, min_images=1)


def _all_photos(config: DataConfig) -> SampleSet:
    data = open_data(config.but(cache="none"), need_identities=False)
    return data.train.joined(data.unlabelled)


def _drawn(name: str, photos: SampleSet, count: int) -> LabelledCrops:
    order = np.random.default_rng(0).permutation(len(photos))
    return _read(name, photos, order, count)


def people_crops(name: str, photos: SampleSet, count: int) -> LabelledCrops:
    """Up to ``count`` photos: whole people in shuffled order, ``PER_PERSON`` of each at most."""
    rng = np.random.default_rng(0)
    chosen: list[int] = []
    for person in rng.permutation(np.unique(photos.labels)):
        rows = np.flatnonzero(photos.labels == person)
        take = rng.permutation(rows)[:PER_PERSON]
        if len(chosen) + len(take) > count:
            break
        chosen += sorted(int(row) for row in take)
    return _read(name, photos, np.asarray(chosen, np.int64), len(chosen))


def _read(name: str, photos: SampleSet, order: npt.NDArray[np.int64], count: int) -> LabelledCrops:
    crops: list[Image] = []
    labels: list[int] = []
    failed = 0
    for index in order:
        if len(crops) == count:
            break
        try:
            crops.append(photos.crop(index))
            labels.append(int(photos.labels[index]))
        except Unusable:
            failed += 1
    if failed:
        _LOG.warning("%d photos of %s cannot be read and were passed over", failed, name)
    if not crops:
        raise DatasetInvalid(f"no photo of {name} can be read")
    return LabelledCrops(name, Crops(np.stack(crops)), np.asarray(labels, np.int64))


def _named(path: str) -> str:
    return PurePath(path).name


__all__ = [
    "LabelledCrops",
    "calibration_crops",
    "held_out_crops",
    "labelled_crops",
    "people_crops",
    "refuse_reserved",
    "require_disjoint",
    "training_crops",
]
