"""Pictures with their labels: split for training and validation, decoded once, kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.image import load_image
from arcid.train.config.recipe import SourceConfig, expand_path
from arcid.train.data.sources import ImageSource, open_source
from arcid.train.detector.config import ScenesConfig
from arcid.train.detector.labels import PictureLabels, read_labels, reserved
from arcid.types import Image


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One labelled picture; the pixels are read when asked for."""

    labels: PictureLabels
    source: ImageSource
    index: int  # in the source
    further: bool = False  # of another archive than the scenes


class Scenes:
    """The pictures of one side of the split; threads may share it."""

    def __init__(self, scenes: list[Scene]) -> None:
        self.scenes = scenes
        self._cache: dict[tuple[int, int], Image] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.scenes)

    def labels(self, row: int) -> PictureLabels:
        return self.scenes[row].labels

    def image(self, row: int, halvings: int = 0) -> Image:
        """(H,W,3) uint8 RGB, decoded once, its sides halved so often by averaging, rounded up.

        Raises ``ImageError``, ``DatasetInvalid``.
        """
        image = self._cache.get((row, halvings))
        if image is None:
            image = _halved(self.image(row, halvings - 1)) if halvings else self._read(row)
            image.flags.writeable = False
            with self._lock:
                self._cache[row, halvings] = image
        return image

    def _read(self, row: int) -> Image:
        scene, labels = self.scenes[row], self.labels(row)
        image = read_picture(scene.source, scene.index)
        if image.shape[:2] != labels.size:
            raise DatasetInvalid(
                f"{labels.picture} has {image.shape[1]}×{image.shape[0]} pixels, its labels are "
                f"for {labels.size[1]}×{labels.size[0]}; label the pictures again",
                picture=labels.picture,
            )
        return image


def _halved(image: Image) -> Image:
    """Mean of every four pixels; the last row or column of an odd side stands twice."""
    import cv2

    even = cv2.copyMakeBorder(
        image, 0, image.shape[0] % 2, 0, image.shape[1] % 2, cv2.BORDER_REPLICATE
    )
    half = (even.shape[1] // 2, even.shape[0] // 2)
    return np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), np.uint8)


def read_picture(source: ImageSource, index: int) -> Image:
    """One picture of a source as (H,W,3) uint8 RGB. Raises ``ImageError``."""
    return load_image(source.read(index))


def pictures(config: ScenesConfig) -> tuple[int, Iterator[tuple[str, Image]]]:
    """How many pictures there are, and each with its name, unlabelled. Raises
    ``DatasetInvalid``, ``ImageError``."""
    source = open_scenes(config.path)
    return len(source), ((source.key(i), read_picture(source, i)) for i in range(len(source)))


def open_scenes(path: str) -> ImageSource:
    """An archive of pictures."""
    return open_source(SourceConfig(path=str(expand_path(path)), labelled=False))


def split(config: ScenesConfig) -> tuple[Scenes, Scenes]:
    """(for training, reserved for validation), neither empty. Raises ``DatasetInvalid``."""
    training, validation = labelled(config)
    if not len(training) or not len(validation):
        raise DatasetInvalid(
            f"{len(training)} pictures to train on, {len(validation)} reserved; both are needed"
        )
    return training, validation


def labelled(config: ScenesConfig) -> tuple[Scenes, Scenes]:
    """The same, and either may be empty. Raises ``DatasetInvalid``."""
    if not config.labels:
        raise DatasetInvalid("scenes.labels is empty; make labels first: arcid detector label")
    training: list[Scene] = []
    validation: list[Scene] = []
    for scene in _scenes(config.path, config.labels, "scenes.path"):
        name = scene.labels.like or scene.labels.picture
        (validation if reserved(name, config.reserve) else training).append(scene)
    if config.pictures:
        training = training[:: max(1, len(training) // config.pictures)][: config.pictures]
    for more in config.further:
        scenes = _scenes(more.path, more.labels, "scenes.further")
        training += [replace(scene, further=True) for scene in scenes]
    for labels in (scene.labels for scene in training):
        if not np.isfinite(labels.points).all():
            raise DatasetInvalid(
                f"{labels.picture} is to be trained on, but a face of it has no points; give all "
                "five or move its box to ignore",
                picture=labels.picture,
            )
    return Scenes(training), Scenes(validation)


def _scenes(path: str, labels: str, key: str) -> Iterator[Scene]:
    """Every labelled picture of one archive."""
    source = open_scenes(path)
    index = {source.key(i): i for i in range(len(source))}
    for one in read_labels(expand_path(labels)):
        if one.picture not in index:
            raise DatasetInvalid(
                f"{one.picture} has labels but is not among the {len(index)} pictures of {key}",
                picture=one.picture,
            )
        yield Scene(one, source, index[one.picture])


__all__ = ["Scene", "Scenes", "labelled", "open_scenes", "pictures", "read_picture", "split"]
