"""One training run as frozen values, read from YAML: what is not spelled here cannot be set.

    config = load_config("configs/small.yaml", ["optim.lr=0.05", "out=runs/try"])

Later wins: the defaults below, the file, the overrides. Unknown keys are refused and the nearest
known one is named. Paths may hold ``${ARCID_DATA}`` and other environment variables; relative ones
are meant from the folder the command is started in.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from arcid.errors import ConfigError
from arcid.train.config.file import (
    at_least,
    build,
    load,
    parse,
    refuse,
    share,
)

Options = Mapping[str, Any]  # handed to the named loss or backbone, which checks them


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Where aligned crops come from. In a list, a plain string stands for its ``path``."""

    SHORTHAND: ClassVar[str] = "path"

    path: str  # folder of folders, .tar or pattern of .tar, .rec or its folder, .parquet
    format: Literal["auto", "folder", "tar", "recordio", "parquet"] = "auto"
    labelled: bool = True  # False: photos without identity, for distillation only
    name: str = ""  # people of sources with one name are one person; default: the path's last part
    margin_px: int = -1  # rim around the template, in the crop's pixels; -1: 8 of 128, else 0
    image_column: str = "image"  # Parquet
    label_column: str = "label"  # Parquet

    def __post_init__(self) -> None:
        if not self.path:
            refuse("data.sources.path", "is empty; name a folder, .tar, .rec or .parquet")
        at_least("data.sources.margin_px", self.margin_px, -1)


@dataclass(frozen=True, slots=True)
class DataConfig:
    """The photographs, which of them are used, and how they are read."""

    sources: tuple[SourceConfig, ...] = ()
    batch: int = 128  # photos a step over all ranks together
    per_identity: int = 0  # 0 single photos; K: batches of batch/K identities × K (triplets)
    size: int = 112  # pixels a side that reach the network
    min_images: int = 2  # identities with fewer photos are dropped …
    small_identities: Literal["drop", "unlabelled"] = "drop"  # … or kept without identity
    keep: str = ""  # CSV with the columns key[,identity]: only these photos, so relabelled
    leave_out: tuple[str, ...] = ()  # lists of SOURCE/IDENTITY or SOURCE/PHOTO, never trained on
    identities: int = 0  # 0 all; otherwise so many, and a larger choice holds the smaller one
    max_images: int = 0  # 0 all; otherwise at most so many photos of one identity
    holdout: float = 0.0  # share of every identity's photos kept for closed-set accuracy
    holdout_identities: int = 0  # identities never trained on, for verification
    split_seed: int = 1  # chooses identities and held-out photos; runs that share it compare
    class_balance: float = 0.0  # 0 every photo equally often … 1 every identity equally often
    cache: Literal["none", "memory"] = "none"  # memory: decoded once, 49 kB a photo
    workers: int = 2  # 0 reads in the training thread
    worker_kind: Literal["thread", "process"] = "thread"
    prefetch: int = 4  # batches made ahead
    max_corrupt: float = 0.01  # share of unreadable photos that ends the run
    index_cache: str = ""  # folder that keeps the offsets of scanned archives

    def __post_init__(self) -> None:
        at_least("data.batch", self.batch, 1)
        at_least("data.size", self.size, 16)
        at_least("data.min_images", self.min_images, 1)
        if self.per_identity and (self.per_identity < 2 or self.batch % self.per_identity):
            refuse("data.per_identity", f"must be at least 2 and divide the batch of {self.batch}")
        for name in ("identities", "max_images", "holdout_identities", "workers", "split_seed"):
            at_least(f"data.{name}", getattr(self, name), 0)
        at_least("data.prefetch", self.prefetch, 1)
        for name in ("holdout", "class_balance", "max_corrupt"):
            share(f"data.{name}", getattr(self, name))
        if self.identities == 1:
            refuse("data.identities", "one identity cannot be told from others; use at least 2")
        if self.cache == "memory" and self.worker_kind == "process":
            refuse("data.cache", "memory is shared by threads only; set worker_kind to thread")


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Augmentation: ``NAME`` is how often (0–1), ``NAME_*`` how much, drawn evenly between.

    Pixels are those of the 112-pixel template and scale with ``data.size``.
    """

    flip: float = 0.5
    jitter: float = 0.0  # the cut moves within the rim
    jitter_px: float = 8.0
    warp: float = 0.0  # slight misalignment
    warp_deg: float = 6.0
    warp_scale: float = 0.06
    colour: float = 0.0
    colour_brightness: float = 0.2  # each a factor within 1 ± this
    colour_contrast: float = 0.2
    colour_saturation: float = 0.3
    colour_hue_deg: float = 8.0
    gamma: float = 0.0
    gamma_range: float = 0.4  # exponent within exp(± this)
    dark: float = 0.0  # little light: darkened, with the grain of a camera at high gain
    dark_gain: float = 0.25  # darkest factor; the lightest is 0.7
    dark_noise: float = 12.0  # strongest grain, grey levels (standard deviation)
    blur: float = 0.0
    blur_sigma_px: float = 1.8
    motion: float = 0.0
    motion_px: float = 9.0
    lowres: float = 0.0
    lowres_px: float = 28.0  # smallest width the face is shrunk to; the largest is 84
    jpeg: float = 0.0
    jpeg_quality: int = 25  # lowest quality; the highest is 90
    grey: float = 0.0
    occlusion: float = 0.0
    occlusion_share: float = 0.25  # largest covered share of the crop
    mask: float = 0.0  # a drawn face mask over nose and mouth
    pose: float = 0.0  # the head turned, by a generic one's depth; ``distil.clean`` undoes it
    pose_yaw_deg: float = 60.0
    pose_pitch_deg: float = 15.0

    def __post_init__(self) -> None:
        for name in AUGMENTATIONS:
            share(f"augment.{name}", getattr(self, name))
        for limit in dataclasses.fields(self):
            at_least(f"augment.{limit.name}", getattr(self, limit.name), 0)
        for name in ("colour_brightness", "colour_contrast", "warp_scale", "occlusion_share"):
            share(f"augment.{name}", getattr(self, name))
        if self.jitter_px > 8:
            refuse("augment.jitter_px", f"the rim is 8 px wide, got {self.jitter_px:g}")
        if self.pose_yaw_deg > 75 or self.pose_pitch_deg > 30:
            refuse("augment.pose", "pose_yaw_deg reaches to 75 and pose_pitch_deg to 30")
        if not 1 <= self.jpeg_quality <= 90:
            refuse("augment.jpeg_quality", f"must lie in 1–90, got {self.jpeg_quality}")
        if not 8 <= self.lowres_px <= 84:
            refuse("augment.lowres_px", f"must lie in 8–84, got {self.lowres_px:g}")
        if not 0 < self.dark_gain <= 0.7:
            refuse("augment.dark_gain", f"must lie in 0–0.7, got {self.dark_gain:g}")


AUGMENTATIONS = (
    "flip", "jitter", "warp", "colour", "gamma", "dark", "blur", "motion", "lowres", "jpeg",
    "grey", "occlusion", "mask", "pose",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The network from aligned crop to embedding."""

    backbone: str = "iresnet50"
    dim: int = 512
    dropout: float = 0.0  # in the head BN–Dropout–FC–BN
    freeze_norm: bool = False  # batch norms keep the statistics they start with (fine-tuning)
    options: Options = field(default_factory=dict)  # of the backbone, such as width

    def __post_init__(self) -> None:
        at_least("model.dim", self.dim, 2)
        share("model.dropout", self.dropout)


@dataclass(frozen=True, slots=True)
class LossConfig:
    """The margin loss; ``options`` are its own, such as s and m."""

    name: str = "arcface"
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClassifierConfig:
    """The class centres, one or more an identity."""

    kind: Literal["full", "partial"] = "full"
    rate: float = 1.0  # share of the negative centres in a step (partial)
    centres: int = 0  # sub-centres an identity, K; 0: as the loss was published
    chunk: int = 0  # centres a block of logits; 0 chooses
    filter_cosine: float = 1.0  # partial: negatives closer than this are left out; 1 keeps all
    start: Literal["random", "imprint"] = "random"  # imprint: means of init_from's features

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            refuse("classifier.rate", f"must lie in 0–1 and above 0, got {self.rate:g}")
        if self.kind == "full" and self.rate != 1:
            refuse("classifier.rate", f"{self.rate:g} needs classifier.kind=partial")
        at_least("classifier.centres", self.centres, 0)
        at_least("classifier.chunk", self.chunk, 0)
        if not -1 <= self.filter_cosine <= 1:
            refuse(
                "classifier.filter_cosine",
                f"is a cosine and must lie in -1–1, got {self.filter_cosine:g}",
            )


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """How the weights move."""

    name: Literal["sgd", "adamw", "muon"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.9  # sgd
    betas: tuple[float, float] = (0.9, 0.999)  # adamw
    weight_decay: float = 5e-4
    clip: float = 5.0  # largest gradient norm; 0 leaves it alone
    accumulate: int = 1  # data.batch is split into so many forward passes
    ema: float = 0.0  # decay of the averaged weights; 0 keeps none

    def __post_init__(self) -> None:
        for name in ("lr", "momentum", "weight_decay", "clip"):
            at_least(f"optim.{name}", getattr(self, name), 0)
        at_least("optim.accumulate", self.accumulate, 1)
        for name in ("momentum", "ema"):
            if not 0 <= getattr(self, name) < 1:
                refuse(f"optim.{name}", f"must lie in 0–1, below 1, got {getattr(self, name):g}")
        if not all(0 <= beta < 1 for beta in self.betas):
            refuse("optim.betas", f"must lie in 0–1, below 1, got {list(self.betas)}")


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """The run's length (exactly one of epochs, steps, minutes) and its learning rate over it."""

    name: Literal["cosine", "poly", "step"] = "cosine"
    epochs: float = 0.0
    steps: int = 0
    minutes: float = 0.0  # wall clock: such a run is not repeatable step by step
    warmup: float = 0.0  # linear rise, in the unit of the length
    final: float = 0.0  # cosine and poly end at this share of optim.lr
    power: float = 2.0  # poly
    milestones: tuple[float, ...] = ()  # step: in the unit of the length
    gamma: float = 0.1  # step: factor at each milestone

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "minutes", "warmup", "final", "power", "gamma"):
            at_least(f"schedule.{name}", getattr(self, name), 0)
        given = [name for name in ("epochs", "steps", "minutes") if getattr(self, name)]
        if len(given) > 1:
            refuse("schedule", f"{' and '.join(given)} are both set; give one length")
        share("schedule.final", self.final)
        length = self.length
        if length and self.warmup >= length:
            refuse("schedule.warmup", f"{self.warmup:g} does not end before {length:g}")
        if self.name == "step" and list(self.milestones) != sorted(set(self.milestones)):
            refuse("schedule.milestones", f"must rise, got {list(self.milestones)}")
        if self.name != "step" and self.milestones:
            refuse("schedule.milestones", "are for schedule.name=step")
        if (
            length
            and self.milestones
            and not 0 < self.milestones[0] <= self.milestones[-1] < length
        ):
            refuse(
                "schedule.milestones",
                f"must lie between 0 and {length:g}, got {list(self.milestones)}",
            )

    @property
    def unit(self) -> Literal["epochs", "steps", "minutes"]:
        """What the length, the warm-up and the milestones are counted in."""
        return "steps" if self.steps else "minutes" if self.minutes else "epochs"

    @property
    def length(self) -> float:
        """The run's length in its unit; 0 when none is set."""
        return self.epochs or float(self.steps) or self.minutes


@dataclass(frozen=True, slots=True)
class PrecisionConfig:
    """Number formats and memory layout; the margin itself is always computed in float32."""

    autocast: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False  # torch.compile
    channels_last: bool = True
    gradient_checkpointing: bool = False  # less memory, about a third more time


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """What is measured while training, by ``arcid.evaluate``."""

    pairs: tuple[str, ...] = ()  # LFW-style folders, .bin files or pair lists
    every: float = 1.0  # epochs; 0 only at the end
    holdout: bool = True  # closed-set accuracy on data.holdout, where there is one
    photos: int = 4000  # at most so many of each held-out set; 0 all

    def __post_init__(self) -> None:
        at_least("validation.every", self.every, 0)


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """When the run's state is stored."""

    every: int = 0  # steps; 0 at the end of every epoch
    keep: int = 3

    def __post_init__(self) -> None:
        at_least("checkpoint.every", self.every, 0)
        at_least("checkpoint.keep", self.keep, 1)


@dataclass(frozen=True, slots=True)
class DistilConfig:
    """Learning from the embeddings of ready models."""

    teachers: tuple[str, ...] = ()  # names or folders of bundles
    cosine: float = 1.0  # weight of 1 - cosine to the teacher
    relational: float = 0.0  # weight of the difference between pairwise cosines in the batch
    margin: float = 0.0  # weight of the margin loss on labelled photos
    features: float = 0.0  # weight of the difference between feature maps
    maps: tuple[str, ...] = ()  # STAGE=TENSOR: what of the student is compared with what of teacher
    forced: bool = False  # every stage is fed the teacher's map, not the student's own
    positions: int = 0  # photos compared after a stage: about so many map positions; 0 all
    clean: float = 0.0  # share of photos that the teacher sees without blur, masks, turned heads …
    mix: float = 0.0  # share of batches whose photos are blended in pairs, for both to look at
    flip: bool = False  # test-time flip: teachers' vectors are sums over photo and mirror image
    stored: str = ""  # folder: teachers look once, at the unchanged photo and its mirror image
    joined: bool = False  # one target: stored vectors side by side, on model.dim principal axes

    def __post_init__(self) -> None:
        for name in ("cosine", "relational", "margin", "features", "positions"):
            at_least(f"distil.{name}", getattr(self, name), 0)
        for name in ("clean", "mix"):
            share(f"distil.{name}", getattr(self, name))
        if self.teachers and self.cosine + self.relational + self.margin + self.features == 0:
            refuse(
                "distil",
                "cosine, relational, margin and features are all 0; nothing would be learned",
            )
        if bool(self.maps) != bool(self.features):
            refuse("distil.maps", "and distil.features go together: set both or neither")
        if self.maps and len(self.teachers) > 1 and not self.stored:
            refuse("distil.maps", f"need one teacher or distil.stored, got {len(self.teachers)}")
        if self.stored and self.mix:
            refuse("distil.mix", "needs teachers that look at every step, distil.stored has none")
        if self.joined and not self.stored:
            refuse("distil.joined", "needs distil.stored, the folder of the teachers' vectors")
        if self.forced and not self.maps:
            refuse("distil.forced", "needs distil.maps, which say what a stage is fed")
        for pair in self.maps:
            if not all(part.strip() for part in pair.partition("=")):
                refuse("distil.maps", f"must read STAGE=TENSOR, got {pair!r}")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a run. Two runs of one config on one machine are the same run."""

    out: str = "runs/train"
    seed: int = 1
    init_from: str = ""  # bundle or checkpoint whose weights the run starts from
    parity: Literal["", "arcface_torch"] = ""  # compute each step as that trainer does
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    precision: PrecisionConfig = field(default_factory=PrecisionConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    distil: DistilConfig = field(default_factory=DistilConfig)

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        if not self.out:
            refuse("out", "is empty; name the folder of the run")
        if self.classifier.start == "imprint" and not self.init_from:
            refuse("classifier.start", "imprint needs init_from, a network that knows faces")


def load_config(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> TrainConfig:
    """Read a YAML file and apply ``key.sub=value`` overrides, whose values are YAML too.

    Raises ``ConfigError`` for a file that is missing or no YAML, an unknown key, a value of the
    wrong type or out of range; ``MissingExtra`` without PyYAML.
    """
    return load(TrainConfig, path, overrides)


def parse_config(
    text: str, overrides: Iterable[str] = (), *, name: str = "the config"
) -> TrainConfig:
    """``load_config`` on YAML text; ``name`` stands in the messages."""
    return parse(TrainConfig, text, overrides, name)


def config_from_dict(tree: Mapping[str, Any]) -> TrainConfig:
    """Build the config from plain mappings and lists. Raises ``ConfigError``."""
    return build(TrainConfig, tree)


def expand_path(text: str) -> Path:
    """``${NAME}`` and ``~`` replaced.

    Raises ``ConfigError`` for a variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        variable = match[1] or match[2]
        if variable not in os.environ:
            raise ConfigError(f"{text!r} names the environment variable {variable}, not set here")
        return os.environ[variable]

    return Path(re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)).expanduser()


__all__ = [
    "AUGMENTATIONS",
    "AugmentConfig",
    "CheckpointConfig",
    "ClassifierConfig",
    "DataConfig",
    "DistilConfig",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "PrecisionConfig",
    "ScheduleConfig",
    "SourceConfig",
    "TrainConfig",
    "ValidationConfig",
    "config_from_dict",
    "expand_path",
    "load_config",
    "parse_config",
]
