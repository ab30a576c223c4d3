"""One training run as frozen values, read from YAML: what is not spelled here cannot be set.

    config = load_config("configs/small.yaml", ["optim.lr=0.05", "out=runs/try"])

Later wins: the defaults below, the ``base`` a file names, the file, the overrides. Unknown keys are
refused and the nearest known one is named. Paths may hold ``${ARCID_DATA}`` and other environment
variables; relative ones are meant from the folder the command is started in, ``base`` from the
file's.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from arcid.train.config.base import Recipe, expand_path
from arcid.train.config.section import (
    Decay,
    Options,
    Section,
    Share,
    key,
    needed,
    refuse,
    shorthand,
)


class SourceConfig(Section):
    """Where aligned crops come from. In a list, a plain string stands for its ``path``."""

    path: str = needed(
        "folder of folders, .tar or pattern of .tar, .rec or its folder, .parquet", min_length=1
    )
    format: Literal["auto", "folder", "tar", "recordio", "parquet"] = key("auto", "of the path")
    labelled: bool = key(True, "false: photos without identity, for distillation only")
    name: str = key("", "sources of one name share their people; default: the path's last part")
    margin_px: int = key(-1, "rim around the template, in pixels; -1: 8 of 128, else 0", ge=-1)
    image_column: str = key("image", "of Parquet")
    label_column: str = key("label", "of Parquet")


class DataConfig(Section):
    """The photographs, which of them are used, and how they are read."""

    sources: Annotated[tuple[SourceConfig, ...], shorthand(SourceConfig, "path")] = key(
        (), "where the photos are"
    )
    batch: int = key(128, "photos a step over all ranks together", ge=1)
    per_identity: int = key(0, "0 single photos; K: batch/K people × K photos (triplets)", ge=0)
    size: int = key(112, "pixels a side that reach the network", ge=16)
    min_images: int = key(2, "identities with fewer photos are small", ge=1)
    small_identities: Literal["drop", "unlabelled"] = key("drop", "… or kept without identity")
    keep: str = key("", "CSV of key[,identity]: only these photos, so relabelled")
    leave_out: tuple[str, ...] = key((), "lists of SOURCE/IDENTITY or /PHOTO never trained on")
    identities: int = key(0, "0 all; otherwise so many, a larger choice holds the smaller", ge=0)
    max_images: int = key(0, "0 all; otherwise at most so many photos of one identity", ge=0)
    holdout: Share = key(0.0, "share of each identity's photos kept for closed-set accuracy")
    holdout_identities: int = key(0, "identities never trained on, for verification", ge=0)
    split_seed: int = key(1, "chooses held-out people and photos; same seed, same choice", ge=0)
    class_balance: Share = key(0.0, "0 every photo equally often … 1 every identity")
    together: int = key(1, "so many photos of an identity follow one another", ge=1)
    cache: Literal["none", "memory"] = key("none", "memory: decoded once, 49 kB a photo")
    workers: int = key(2, "0 reads in the training thread", ge=0)
    worker_kind: Literal["thread", "process"] = key("thread", "what a worker is")
    prefetch: int = key(4, "batches made ahead, at least one a worker", ge=1)
    max_corrupt: Share = key(0.01, "share of unreadable photos that ends the run")
    index_cache: str = key("", "folder that keeps the offsets of scanned archives")

    def check(self) -> None:
        if self.per_identity and (self.per_identity < 2 or self.batch % self.per_identity):
            refuse("per_identity", f"must be at least 2 and divide the batch of {self.batch}")
        if self.together > 1 and (self.class_balance or self.per_identity):
            refuse("together", "goes with neither class_balance nor per_identity")
        if self.identities == 1:
            refuse("identities", "one identity cannot be told from others; use at least 2")
        if self.cache == "memory" and self.worker_kind == "process":
            refuse("cache", "memory is shared by threads only; set worker_kind to thread")


class AugmentConfig(Section):
    """Augmentation: ``NAME`` is how often (0–1), ``NAME_*`` how much, drawn evenly between.

    Pixels are those of the 112-pixel template and scale with ``data.size``.
    """

    flip: Share = key(0.5, "mirrored")
    jitter: Share = key(0.0, "the cut moves within the rim")
    jitter_px: float = key(8.0, "how far; the rim is 8 px wide", ge=0, le=8)
    warp: Share = key(0.0, "slight misalignment")
    warp_deg: float = key(6.0, "turned within ± this", ge=0)
    warp_scale: Share = key(0.06, "scaled by a factor within 1 ± this")
    colour: Share = key(0.0, "other brightness, contrast, saturation and hue")
    colour_brightness: Share = key(0.2, "a factor within 1 ± this")
    colour_contrast: Share = key(0.2, "a factor within 1 ± this")
    colour_saturation: float = key(0.3, "a factor within 1 ± this", ge=0)
    colour_hue_deg: float = key(8.0, "turned within ± this", ge=0)
    gamma: Share = key(0.0, "another tone curve")
    gamma_range: float = key(0.4, "exponent within exp(± this)", ge=0)
    dark: Share = key(0.0, "little light: darkened, with the grain of a camera at high gain")
    dark_gain: float = key(0.25, "darkest factor; the lightest is 0.7", gt=0, le=0.7)
    dark_noise: float = key(12.0, "strongest grain, grey levels (standard deviation)", ge=0)
    blur: Share = key(0.0, "out of focus")
    blur_sigma_px: float = key(1.8, "strongest blur (standard deviation)", ge=0)
    motion: Share = key(0.0, "blurred in one direction")
    motion_px: float = key(9.0, "longest way", ge=0)
    lowres: Share = key(0.0, "shrunk and enlarged again")
    lowres_px: float = key(28.0, "smallest width it is shrunk to; the largest is 84", ge=8, le=84)
    jpeg: Share = key(0.0, "compressed")
    jpeg_quality: int = key(25, "lowest quality; the highest is 90", ge=1, le=90)
    grey: Share = key(0.0, "without colour")
    occlusion: Share = key(0.0, "something before the face")
    occlusion_share: Share = key(0.25, "largest covered share of the crop")
    mask: Share = key(0.0, "a drawn face mask over nose and mouth")
    pose: Share = key(0.0, "turned, by a generic head's depth; distil.clean undoes it")
    pose_yaw_deg: float = key(60.0, "farthest to the side", ge=0, le=75)
    pose_pitch_deg: float = key(15.0, "farthest up and down", ge=0, le=30)


AUGMENTATIONS = (
    "flip", "jitter", "warp", "colour", "gamma", "dark", "blur", "motion", "lowres", "jpeg",
    "grey", "occlusion", "mask", "pose",
)  # fmt: skip


class ModelConfig(Section):
    """The network from aligned crop to embedding."""

    backbone: str = key("iresnet50", "one of arcid backbones")
    dim: int = key(512, "numbers of an embedding", ge=2)
    dropout: Share = key(0.0, "in the head BN–Dropout–FC–BN")
    freeze_norm: bool = key(False, "batch norms keep their statistics (fine-tuning)")
    options: Options = key({}, "of the backbone, such as width")


class LossConfig(Section):
    """The margin loss."""

    name: str = key("arcface", "one of docs/concepts/losses.md")
    options: Options = key({}, "its own, such as s and m2")


class ClassifierConfig(Section):
    """The class centres, one or more an identity."""

    kind: Literal["full", "partial"] = key("full", "all centres in a step, or some negative ones")
    rate: float = key(1.0, "share of the negative centres in a step (partial)", gt=0, le=1)
    centres: int = key(0, "sub-centres an identity, K; 0: as the loss was published", ge=0)
    chunk: int = key(0, "centres a block of logits; 0 chooses", ge=0)
    filter_cosine: float = key(1.0, "partial: closer negatives are left out; 1: none", ge=-1, le=1)
    start: Literal["random", "imprint"] = key("random", "imprint: means of init_from's features")

    def check(self) -> None:
        if self.kind == "full" and self.rate != 1:
            refuse("rate", f"{self.rate:g} needs classifier.kind=partial")


class OptimConfig(Section):
    """How the weights move."""

    name: Literal["sgd", "adamw", "muon"] = key("sgd", "the optimiser")
    lr: float = key(0.1, "learning rate at the schedule's height", ge=0)
    momentum: Decay = key(0.9, "of sgd")
    betas: tuple[Decay, Decay] = key((0.9, 0.999), "of adamw and muon")
    weight_decay: float = key(5e-4, "of weights; biases and norms have none", ge=0)
    clip: float = key(5.0, "largest gradient norm; 0 leaves it alone", ge=0)
    accumulate: int = key(1, "data.batch is split into so many forward passes", ge=1)
    only: tuple[str, ...] = key((), "modules that learn, such as head or blocks.14; empty: all")
    ema: Decay = key(0.0, "decay of the averaged weights; 0 keeps none")


class ScheduleConfig(Section):
    """The run's length (exactly one of epochs, steps, minutes) and its learning rate over it."""

    name: Literal["cosine", "poly", "step"] = key("cosine", "how the rate falls")
    epochs: float = key(0.0, "length in passes over the photos", ge=0)
    steps: int = key(0, "length in updates", ge=0)
    minutes: float = key(0.0, "length by the clock: not repeatable step by step", ge=0)
    warmup: float = key(0.0, "linear rise, in the unit of the length", ge=0)
    final: Share = key(0.0, "cosine and poly end at this share of optim.lr")
    power: float = key(2.0, "of poly", ge=0)
    milestones: tuple[float, ...] = key((), "of step, in the unit of the length")
    gamma: float = key(0.1, "of step: factor at each milestone", ge=0)

    def check(self) -> None:
        given = [name for name in ("epochs", "steps", "minutes") if getattr(self, name)]
        if len(given) > 1:
            refuse("", f"{' and '.join(given)} are both set; give one length")
        length, milestones = self.length, list(self.milestones)
        if length and self.warmup >= length:
            refuse("warmup", f"{self.warmup:g} does not end before {length:g}")
        if milestones and self.name != "step":
            refuse("milestones", "are for schedule.name=step")
        if milestones != sorted(set(milestones)):
            refuse("milestones", f"must rise, got {milestones}")
        if length and milestones and not 0 < milestones[0] <= milestones[-1] < length:
            refuse("milestones", f"must lie between 0 and {length:g}, got {milestones}")

    @property
    def unit(self) -> Literal["epochs", "steps", "minutes"]:
        """What the length, the warm-up and the milestones are counted in."""
        return "steps" if self.steps else "minutes" if self.minutes else "epochs"

    @property
    def length(self) -> float:
        """The run's length in its unit; 0 when none is set."""
        return self.epochs or float(self.steps) or self.minutes


class PrecisionConfig(Section):
    """Number formats and memory layout; the margin itself is always computed in float32."""

    autocast: Literal["fp32", "bf16", "fp16"] = key("fp32", "format of the network's arithmetic")
    compile: bool = key(False, "torch.compile")
    graphs: bool = key(False, "GPUs: compiled code as CUDA graphs, a step launched in few calls")
    channels_last: bool = key(True, "NHWC order")
    gradient_checkpointing: bool = key(False, "less memory, about a third more time")
    exchange: Literal["fp32", "fp16", "bf16"] = key("fp32", "gradients on their way between ranks")
    tf32: bool = key(True, "GPUs: float32 products by tensor cores, with 10 bits of mantissa")

    def check(self) -> None:
        if self.graphs and not self.compile:
            refuse("graphs", "needs precision.compile, whose code it records")


class MeasuringConfig(Section):
    """When the network is measured; at the end it always is."""

    every: float = key(1.0, "epochs; 0: not by epochs", ge=0)
    minutes: float = key(0.0, "of training; 0: not by the clock", ge=0)
    patience: int = key(0, "the run ends after so many in a row that are no better", ge=0)


class ValidationConfig(MeasuringConfig):
    """What is measured while training, by ``arcid.evaluate``."""

    pairs: tuple[str, ...] = key(
        (), "LFW-style folders, .bin files or pair lists; a plain name is a .bin beside a .rec"
    )
    holdout: bool = key(True, "closed-set accuracy on data.holdout, where there is one")
    photos: int = key(4000, "at most so many of each held-out set; 0 all")
    flip: bool = key(False, "vectors are sums over photo and mirror image, but in the closed set")


class CheckpointConfig(Section):
    """When the run's state is stored."""

    every: int = key(0, "steps; 0 without minutes: at the end of every epoch", ge=0)
    minutes: float = key(0.0, "of training; 0: not by the clock", ge=0)
    keep: int = key(3, "so many newest ones", ge=1)


class DistilConfig(Section):
    """Learning from the embeddings of ready models."""

    teachers: tuple[str, ...] = key((), "names or folders of bundles")
    cosine: float = key(1.0, "weight of 1 - cosine to the teacher", ge=0)
    relational: float = key(0.0, "weight of the difference of pairwise cosines in the batch", ge=0)
    neighbours: float = key(0.0, "weight of whom a photo is near among those of late", ge=0)
    memory: int = key(16_384, "photos of the last steps, among which neighbours are sought", ge=1)
    temperature: float = key(0.05, "cosine by which a neighbour weighs e times as much", gt=0)
    margin: float = key(0.0, "weight of the margin loss on labelled photos", ge=0)
    features: float = key(0.0, "weight of the difference between feature maps", ge=0)
    maps: tuple[str, ...] = key((), "STAGE=TENSOR: which of the student's and the teacher's maps")
    forced: bool = key(False, "every stage is fed the teacher's map, not the student's own")
    positions: int = key(0, "about so many map positions are compared after a stage; 0 all", ge=0)
    clean: Share = key(0.0, "share of photos the teacher sees without blur, masks, turned heads …")
    mix: Share = key(0.0, "share of batches whose photos are blended in pairs, for both to see")
    flip: bool = key(False, "teachers' vectors are sums over photo and mirror image")
    stored: str = key("", "folder: teachers look once, at the unchanged photo and its mirror image")
    joined: bool = key(False, "one target: stored vectors side by side, on model.dim main axes")

    def check(self) -> None:
        terms = ("cosine", "relational", "neighbours", "margin", "features")
        if self.teachers and not any(getattr(self, term) for term in terms):
            refuse("", f"{', '.join(terms)} are all 0; nothing would be learned")
        if self.neighbours and self.mix:
            refuse("mix", "blended photos are nobody's neighbours; set it or neighbours to 0")
        if bool(self.maps) != bool(self.features):
            refuse("maps", "and distil.features go together: set both or neither")
        if self.maps and len(self.teachers) > 1 and not self.stored:
            refuse("maps", f"need one teacher or distil.stored, got {len(self.teachers)}")
        if self.stored and self.mix:
            refuse("mix", "needs teachers that look at every step, distil.stored has none")
        if self.joined and not self.stored:
            refuse("joined", "needs distil.stored, the folder of the teachers' vectors")
        if self.forced and not self.maps:
            refuse("forced", "needs distil.maps, which say what a stage is fed")
        for pair in self.maps:
            if not all(part.strip() for part in pair.partition("=")):
                refuse("maps", f"must read STAGE=TENSOR, got {pair!r}")


class RunConfig(Recipe):
    """What every run can be told, whatever it trains.

    ``free`` names the settings that may change when a run goes on: they decide neither a weight's
    shape nor its past.
    """

    free: ClassVar[tuple[str, ...]] = (
        "out", "init_from", "threads", "schedule", "validation", "checkpoint", "optim.accumulate",
        "precision",
    )  # fmt: skip
    out: str = key("runs/train", "folder of the run", min_length=1)
    seed: int = key(1, "of weights, order and augmentation", ge=0)
    init_from: str = key("", "bundle or checkpoint whose weights the run starts from")
    threads: int = key(0, "of the arithmetic; 0 leaves torch's own choice", ge=0)
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    precision: PrecisionConfig = PrecisionConfig()
    validation: MeasuringConfig = MeasuringConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()


class TrainConfig(RunConfig):
    """Everything that decides a run. Two runs of one config on one machine are the same run."""

    free: ClassVar[tuple[str, ...]] = (
        *RunConfig.free, "data.cache", "data.workers", "data.worker_kind", "data.prefetch",
        "data.index_cache", "data.max_corrupt", "classifier.chunk",
    )  # fmt: skip
    parity: Literal["", "arcface_torch"] = key("", "compute each step as that trainer does")
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    validation: ValidationConfig = ValidationConfig()
    distil: DistilConfig = DistilConfig()

    def check(self) -> None:
        if self.classifier.start == "imprint" and not self.init_from:
            refuse("classifier.start", "imprint needs init_from, a network that knows faces")
        if self.validation.patience and not self.data.holdout_identities:
            refuse("validation.patience", "needs data.holdout_identities, people to stop by")


load_config, parse_config = TrainConfig.load, TrainConfig.parse

__all__ = [
    "AUGMENTATIONS",
    "AugmentConfig",
    "CheckpointConfig",
    "ClassifierConfig",
    "DataConfig",
    "DistilConfig",
    "LossConfig",
    "MeasuringConfig",
    "ModelConfig",
    "OptimConfig",
    "Options",
    "PrecisionConfig",
    "RunConfig",
    "ScheduleConfig",
    "SourceConfig",
    "TrainConfig",
    "ValidationConfig",
    "expand_path",
    "load_config",
    "parse_config",
]
