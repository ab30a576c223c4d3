"""One detector training run as frozen values, read from YAML by the rules of the recogniser's.

config = load_detect_config("configs/detect_s_2.yaml", ["schedule.minutes=10"])
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import AliasChoices, Field, NonNegativeFloat

from arcid.train.config.recipe import (
    AugmentConfig,
    CheckpointConfig,
    MeasuringConfig,
    OptimConfig,
    PrecisionConfig,
    RunConfig,
)
from arcid.train.config.section import Decay, Section, Share, key, needed, refuse

STRIDES = (8, 16, 32)
CANVAS_STEP = 32  # sides of a training canvas are multiples of the coarsest stride
#: Changes of a crop that placing pictures on a canvas replaces.
PLACED = ("flip", "jitter", "warp", "mask", "occlusion", "pose")


def refuse_placed(photo: AugmentConfig, names: Iterable[str] = PLACED) -> None:
    """Refuse changes of a picture that the views make themselves."""
    for name in names:
        if getattr(photo, name):
            refuse(f"photo.{name}", "must be 0; views has a setting of its own for that")


class FurtherConfig(Section):
    """More pictures to train on, never to measure on: aligned crops, for instance."""

    path: str = needed("archive or folder of the pictures", min_length=1)
    labels: str = needed("their labels", min_length=1)


class ScenesConfig(Section):
    """Whole pictures named ``folder/picture`` and what is known about the faces in them."""

    path: str = key(
        "${ARCID_DATA}/data/scenes.tar", ".tar, folder of folders or another source", min_length=1
    )
    labels: str = key("", "JSON lines written by arcid detector label")
    further: tuple[FurtherConfig, ...] = key((), "more pictures to train on, never to measure on")
    further_share: Share = key(0.3, "of the places with faces, where there are further pictures")
    reserve: float = key(0.15, "share of each folder kept for validation, by hash", gt=0, lt=1)
    weights: dict[str, NonNegativeFloat] = key({}, "folder → how often; default 1")
    pictures: int = key(0, "0 all; otherwise only so many training pictures", ge=0)
    batch: int = key(32, "pictures a step on a canvas of views.sizes[0]", ge=1)
    workers: int = key(1, "threads that draw views", ge=1)
    prefetch: int = key(3, "batches made ahead", ge=1)


class ViewsConfig(Section):
    """How pictures are put on a canvas. Pixels are those the network sees."""

    sizes: tuple[Annotated[int, Field(ge=2 * CANVAS_STEP, multiple_of=CANVAS_STEP)], ...] = key(
        (320,), "canvas sides; a step takes one, with as many pixels a batch"
    )
    mosaic: Share = key(0.35, "share of canvases cut into four")
    crowd: Share = key(0.15, "share of canvases cut into 9 to 25: many small faces")
    tight: Share = key(0.0, "share of canvases that one face fills or leaves: ID photos, avatars")
    empty: Share = key(0.1, "share of places that get a picture without faces")
    face_px: float = key(12.0, "smallest size a chosen face is brought to …")
    face_share: float = key(0.9, "… and the largest, as a share of its place", ge=0.1, le=1.5)
    upscale: float = key(2.5, "how far a picture may be enlarged", ge=1)
    ignore_px: float = key(8.0, "smaller faces are neither wanted nor held against it", ge=1)
    visible: Share = key(0.6, "a face less visible is ignored")
    flip: Share = key(0.5, "mirrored")
    rotate: Share = key(0.5, "share turned by up to rotate_deg; the others by up to a fifth of it")
    rotate_deg: float = key(45.0, "farthest turn", ge=0, le=180)
    mask: Share = key(0.1, "share of faces of 24 px and more that get a drawn mask")
    lettering: Share = key(0.0, "share of canvases with writing on them, beside the faces")
    photo: AugmentConfig = AugmentConfig(flip=0.0)

    def check(self) -> None:
        if not self.sizes:
            refuse("sizes", "is empty; give at least one canvas side in pixels")
        if self.mosaic + self.crowd + self.tight > 1:
            refuse("crowd", "views.mosaic and views.tight are more than all canvases")
        if self.face_px < self.ignore_px:
            refuse("face_px", f"must be at least {self.ignore_px:g}, got {self.face_px:g}")
        refuse_placed(self.photo)


class NetworkConfig(Section):
    """Size of the network; every number is in channels or blocks."""

    stem: int = key(16, "channels at stride 2", ge=4)
    quarter: int = key(32, "first channels at stride 4", ge=4)
    channels: int = key(64, "where a part ends: the strides, the pyramid and the head", ge=4)
    inner: int = key(96, "inside the levels and the head", ge=4)
    blocks: int = key(3, "separable convolutions of a level", ge=1)
    head: int = key(2, "of a head, before score and box; the points have one more", ge=1)


class DetectTeacherConfig(Section):
    """A YuNet whose answers are learned, beside the labels or part by part."""

    model: str = key("", "name or bundle; empty: labels only")
    forced: bool = key(False, "every part is fed the teacher's maps and learns its next; no labels")
    weight: float = key(1.0, "of its scores and boxes, beside the labels", gt=0)
    maps: float = key(4.0, "forced: of a map's squared error over the map's own square", gt=0)

    def check(self) -> None:
        if self.forced and not self.model:
            refuse("forced", "needs teacher.model, whose maps the parts are fed")


class DetectLossConfig(Section):
    """Weights of the parts of the loss."""

    score: float = key(1.0, "quality focal loss", ge=0)
    box: float = key(2.0, "1 - DIoU", ge=0)
    points: float = key(0.5, "smooth L1 in units of the face's size", ge=0)
    points_beta: float = key(0.02, "where it turns from square to straight", gt=0)


class AdamConfig(OptimConfig):
    """How the weights move: by AdamW, unless told otherwise, and averaged."""

    name: Literal["sgd", "adamw", "muon"] = key("adamw", "the optimiser")
    lr: float = key(2e-3, "learning rate at the schedule's height", ge=0)
    weight_decay: float = key(0.02, "of weights; biases and norms have none", ge=0)
    clip: float = key(10.0, "largest gradient norm; 0 leaves it alone", ge=0)
    ema: Decay = key(0.999, "decay of the averaged weights, lower in the first steps")


class OftenConfig(CheckpointConfig):
    """When the run's state is stored."""

    minutes: float = key(3.0, "of training; 0: not by the clock", ge=0)


class ReservedConfig(MeasuringConfig):
    """When the network is measured on reserved pictures; at the end it always is."""

    every: float = key(0.0, "epochs; 0: not by epochs", ge=0)
    minutes: float = key(10.0, "of training; 0: not by the clock", ge=0)


class ScenesRun(RunConfig):
    """What the runs of detector and landmark refiner share."""

    free: ClassVar[tuple[str, ...]] = (
        *RunConfig.free,
        *(f"scenes.{name}" for name in ("workers", "prefetch", "path", "labels", "further")),
    )
    optim: AdamConfig = AdamConfig()
    checkpoint: OftenConfig = OftenConfig()
    scenes: ScenesConfig = ScenesConfig()

    def check(self) -> None:
        if self.optim.accumulate > 1:
            refuse("optim.accumulate", "must be 1: a batch of views is not divided")
        if self.precision.but(channels_last=True) != PrecisionConfig():
            refuse("precision", "has channels_last alone here; these networks learn in fp32")


class DetectValidationConfig(ReservedConfig):
    """What is measured on reserved pictures while training."""

    pictures: int = key(200, "0 all reserved ones", ge=0)
    size: int = key(640, "longer side of the network's input", ge=CANVAS_STEP)
    fppi: float = key(0.1, "false positives per image at which recall is read", gt=0,
                      validation_alias=AliasChoices("fppi", "alarms"))  # fmt: skip


class DetectConfig(ScenesRun):
    """Everything that decides a run."""

    out: str = key("runs/detect", "folder of the run", min_length=1)
    views: ViewsConfig = ViewsConfig()
    network: NetworkConfig = NetworkConfig()
    teacher: DetectTeacherConfig = DetectTeacherConfig()
    loss: DetectLossConfig = DetectLossConfig()
    validation: DetectValidationConfig = Field(
        default=DetectValidationConfig(), validation_alias=AliasChoices("validation", "judge")
    )


load_detect_config, parse_detect_config = DetectConfig.load, DetectConfig.parse

__all__ = [
    "PLACED",
    "STRIDES",
    "DetectConfig",
    "DetectLossConfig",
    "DetectTeacherConfig",
    "DetectValidationConfig",
    "FurtherConfig",
    "NetworkConfig",
    "ReservedConfig",
    "ScenesConfig",
    "ScenesRun",
    "ViewsConfig",
    "load_detect_config",
    "parse_detect_config",
    "refuse_placed",
]
