"""One detector training run as frozen values, read from YAML by the rules of the recogniser's.

config = load_detect_config("configs/detect_s_2.yaml", ["schedule.minutes=10"])
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from arcid.train.config.file import at_least, load, parse, refuse, share
from arcid.train.config.recipe import AugmentConfig
from arcid.train.detector.solo import config as solo
from arcid.train.detector.solo.config import SoloConfig

STRIDES = (8, 16, 32)
CANVAS_STEP = 32  # sides of a training canvas are multiples of the coarsest stride
#: Changes of a crop that placing pictures on a canvas replaces.
PLACED = ("flip", "jitter", "warp", "mask", "occlusion", "pose")


@dataclass(frozen=True, slots=True)
class FurtherConfig:
    """More pictures to train on, never to measure on: aligned crops, for instance."""

    path: str
    labels: str

    def __post_init__(self) -> None:
        if not self.path or not self.labels:
            refuse("scenes.further", "needs a path and its labels for every source")


@dataclass(frozen=True, slots=True)
class ScenesConfig:
    """Whole pictures named ``folder/picture`` and what is known about the faces in them."""

    path: str = "${ARCID_DATA}/data/scenes.tar"  # .tar, folder of folders or another source
    labels: str = ""  # JSON lines written by ``arcid detector label``
    further: tuple[FurtherConfig, ...] = ()
    further_share: float = 0.3  # of the places with faces, where there are further pictures
    reserve: float = 0.15  # share of every folder kept for validation, chosen by hash of the name
    weights: Mapping[str, Any] = field(default_factory=dict)  # folder → how often; default 1
    pictures: int = 0  # 0 all; otherwise only so many training pictures
    batch: int = 32  # pictures a step on a canvas of ``views.sizes[0]``
    workers: int = 1  # threads that draw views
    prefetch: int = 3  # batches made ahead

    def __post_init__(self) -> None:
        if not self.path:
            refuse("scenes.path", "is empty; name the archive of pictures")
        if not 0 < self.reserve < 1:
            refuse("scenes.reserve", f"must lie between 0 and 1, got {self.reserve:g}")
        for name, weight in self.weights.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
                refuse(f"scenes.weights.{name}", f"must be a number of at least 0, got {weight!r}")
        at_least("scenes.pictures", self.pictures, 0)
        share("scenes.further_share", self.further_share)
        for key in ("batch", "workers", "prefetch"):
            at_least(f"scenes.{key}", getattr(self, key), 1)


@dataclass(frozen=True, slots=True)
class ViewsConfig:
    """How pictures are put on a canvas. Pixels are those the network sees."""

    sizes: tuple[int, ...] = (320,)  # canvas sides; a step takes one, with as many pixels a batch
    mosaic: float = 0.35  # share of canvases cut into four
    crowd: float = 0.15  # share of canvases cut into 9 to 25: many small faces
    tight: float = 0.0  # share of canvases that one face fills or leaves: ID photos, avatars
    empty: float = 0.1  # share of places that get a picture without faces
    face_px: float = 12.0  # smallest size a chosen face is brought to …
    face_share: float = 0.9  # … and the largest, as a share of its place
    upscale: float = 2.5  # how far a picture may be enlarged
    ignore_px: float = 8.0  # faces below this size are neither wanted nor held against it
    visible: float = 0.6  # a face less visible is ignored
    flip: float = 0.5
    rotate: float = 0.5  # share turned by up to rotate_deg; the others by up to a fifth of it
    rotate_deg: float = 45.0
    mask: float = 0.1  # share of faces of 24 px and more that get a drawn mask
    lettering: float = 0.0  # share of canvases with writing on them, beside the faces
    photo: AugmentConfig = field(default_factory=lambda: AugmentConfig(flip=0.0))

    def __post_init__(self) -> None:
        if not self.sizes:
            refuse("views.sizes", "is empty; give at least one canvas side in pixels")
        for size in self.sizes:
            if size < 2 * CANVAS_STEP or size % CANVAS_STEP:
                refuse("views.sizes", f"must be multiples of {CANVAS_STEP} from 64 on, got {size}")
        for name in (
            "mosaic", "crowd", "tight", "empty", "visible", "flip", "rotate", "mask", "lettering",
        ):  # fmt: skip
            share(f"views.{name}", getattr(self, name))
        if self.mosaic + self.crowd + self.tight > 1:
            refuse("views.crowd", "views.mosaic and views.tight are more than all canvases")
        at_least("views.ignore_px", self.ignore_px, 1)
        at_least("views.face_px", self.face_px, self.ignore_px)
        at_least("views.upscale", self.upscale, 1)
        if not 0.1 <= self.face_share <= 1.5:
            refuse("views.face_share", f"must lie in 0.1–1.5, got {self.face_share:g}")
        if not 0 <= self.rotate_deg <= 180:
            refuse("views.rotate_deg", f"must lie in 0–180, got {self.rotate_deg:g}")
        for name in PLACED:
            if getattr(self.photo, name):
                refuse(f"views.photo.{name}", "must be 0; views has a setting of its own for that")


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Size of the network; every number is in channels or blocks."""

    stem: int = 16  # channels at stride 2
    quarter: int = 32  # first channels at stride 4
    channels: int = 64  # where a part ends: strides 8, 16 and 32, the pyramid and the head
    inner: int = 96  # inside the levels and the head
    blocks: int = 3  # separable convolutions of a level
    head: int = 2  # of a head, before score and box; the points have one more

    def __post_init__(self) -> None:
        for name in ("stem", "quarter", "channels", "inner"):
            at_least(f"network.{name}", getattr(self, name), 4)
        for name in ("blocks", "head"):
            at_least(f"network.{name}", getattr(self, name), 1)


@dataclass(frozen=True, slots=True)
class DetectTeacherConfig:
    """A YuNet whose answers are learned, beside the labels or part by part."""

    model: str = ""  # name or bundle; empty: labels only
    forced: bool = False  # every part is fed the teacher's maps and learns its next; no labels
    weight: float = 1.0  # of its scores and boxes, beside the labels
    maps: float = 4.0  # forced: of a map's squared error over the map's own square

    def __post_init__(self) -> None:
        for name in ("weight", "maps"):
            if not getattr(self, name) > 0:
                refuse(f"teacher.{name}", f"must be above 0, got {getattr(self, name):g}")
        if self.forced and not self.model:
            refuse("teacher.forced", "needs teacher.model, whose maps the parts are fed")


@dataclass(frozen=True, slots=True)
class DetectLossConfig:
    """Weights of the parts of the loss."""

    score: float = 1.0  # quality focal loss
    box: float = 2.0  # 1 - DIoU
    points: float = 0.5  # smooth L1 in units of the face's size
    points_beta: float = 0.02  # where it turns from square to straight

    def __post_init__(self) -> None:
        for name in ("score", "box", "points"):
            at_least(f"loss.{name}", getattr(self, name), 0)
        if not self.points_beta > 0:
            refuse("loss.points_beta", f"must be above 0, got {self.points_beta:g}")


@dataclass(frozen=True, slots=True)
class DetectValidationConfig:
    """What is measured on reserved pictures while training."""

    FORMER: ClassVar[Mapping[str, str]] = {"alarms": "fppi"}

    minutes: float = 10.0  # how often; 0 only at the end
    pictures: int = 200  # 0 all reserved ones
    size: int = 640  # longer side of the network's input
    fppi: float = 0.1  # false positives per image at which recall is read

    def __post_init__(self) -> None:
        for name in ("minutes", "pictures"):
            at_least(f"validation.{name}", getattr(self, name), 0)
        at_least("validation.size", self.size, CANVAS_STEP)
        if not self.fppi > 0:
            refuse("validation.fppi", f"must be above 0, got {self.fppi:g}")


@dataclass(frozen=True, slots=True)
class DetectConfig(SoloConfig):
    """Everything that decides a run."""

    out: str = "runs/detect"
    scenes: ScenesConfig = field(default_factory=ScenesConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    teacher: DetectTeacherConfig = field(default_factory=DetectTeacherConfig)
    loss: DetectLossConfig = field(default_factory=DetectLossConfig)
    validation: DetectValidationConfig = field(default_factory=DetectValidationConfig)


#: Settings that may change when a run goes on.
FREE = (
    *solo.FREE,
    *(f"scenes.{name}" for name in ("workers", "prefetch", "path", "labels", "further")),
)


def load_detect_config(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> DetectConfig:
    """Read a YAML file and apply ``key.sub=value`` overrides. Raises ``ConfigError``,
    ``MissingExtra``."""
    return load(DetectConfig, path, overrides)


def parse_detect_config(
    text: str, overrides: Iterable[str] = (), *, name: str = "the config"
) -> DetectConfig:
    """``load_detect_config`` on YAML text; ``name`` stands in the messages."""
    return parse(DetectConfig, text, overrides, name)


__all__ = [
    "FREE",
    "PLACED",
    "STRIDES",
    "DetectConfig",
    "DetectLossConfig",
    "DetectTeacherConfig",
    "DetectValidationConfig",
    "FurtherConfig",
    "NetworkConfig",
    "ScenesConfig",
    "ViewsConfig",
    "load_detect_config",
    "parse_detect_config",
]
