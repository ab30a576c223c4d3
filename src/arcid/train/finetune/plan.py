"""What is going to be trained: a recipe, laid on a ready network and somebody's own people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from arcid.errors import UsageError
from arcid.models import weights
from arcid.models.install import check_name
from arcid.train.config.recipe import TrainConfig, expand_path, parse_config
from arcid.train.finetune.crops import crops_in
from arcid.train.finetune.people import JUDGES_LIST, Groups, group, keep_judges
from arcid.train.weights.initial import Initial, open_initial

EPOCHS = 20.0
WARM_UP = 0.05  # of the run
RECIPE = """
data:
  min_images: 2
  holdout_identities: 4
  batch: 32
  class_balance: 0.5
augment:
  flip: 0.5
  jitter: 0.5
  jitter_px: 3
  warp: 0.2
  warp_deg: 4
  colour: 0.3
  gamma: 0.2
  dark: 0.05
  blur: 0.1
  motion: 0.03
  lowres: 0.15
  jpeg: 0.1
  grey: 0.05
  occlusion: 0.1
  mask: 0.05
model:
  freeze_norm: true
loss:
  name: arcface
  options: {m2: 0.3, s: 32}
classifier:
  start: imprint
optim:
  name: adamw
  lr: 1e-4
  weight_decay: 1e-4
  ema: 0.98
schedule:
  name: cosine
validation:
  every: 1
  patience: 5
"""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A run that can begin, or go on."""

    config: TrainConfig
    original: Initial
    name: str  # of the bundle to be
    groups: Groups
    judges_list: str  # as data.leave_out names it

    @property
    def run(self) -> Path:
        return expand_path(self.config.out)


def make_plan(
    place: Path,
    model: str = "",
    *,
    out: str = "",
    name: str = "",
    seed: int = 1,
    epochs: float = 0.0,
    minutes: float = 0.0,
    overrides: Iterable[str] = (),
) -> Plan:
    """Adopt backbone, dimension, options and size of ``model``, and divide the people of ``place``.

    ``model``: what ``open_initial`` takes; "": the default recogniser. ``overrides``: settings of
    ``TrainConfig`` as ``key=value``, which win. The list of judges is written into the run's
    folder.

    Raises ``DatasetInvalid`` for whole photos and too few people, ``ConfigError``, ``UsageError``,
    ``ModelNotFound``, and ``CheckpointMismatch`` for a model that cannot be trained on.
    """
    if epochs and minutes:
        raise UsageError("--epochs and --minutes are both given; give one length")
    model = model or weights.resolve_default("recognition").name
    original = open_initial(model)
    name = name or f"{original.label}-own"
    check_name(name)
    given = list(overrides)
    ours = [
        f"seed={seed}",
        f"data.split_seed={seed}",
        f"init_from={json.dumps(model)}",
        f"out={json.dumps(out or 'runs/finetune')}",
        *original.overrides,
    ]
    if not any(o.startswith("data.sources") for o in given):
        ours.append(f"data.sources=[{json.dumps(crops_in(place).to_dict())}]")
    if not any(o.startswith(("schedule.epochs", "schedule.steps", "schedule.min")) for o in given):
        unit, length = ("minutes", minutes) if minutes else ("epochs", epochs or EPOCHS)
        ours += [f"schedule.{unit}={length}", f"schedule.warmup={WARM_UP * length}"]
    config = parse_config(RECIPE, [*ours, *given], name="the recipe of fine-tuning")
    groups = group(config.data, seed)
    path = f"{config.out}/{JUDGES_LIST}"
    keep_judges(expand_path(config.out), groups)
    data = config.data.but(
        leave_out=(*config.data.leave_out, path), holdout_identities=groups.stoppers
    )
    return Plan(config.but(data=data), original, name, groups, path)


__all__ = ["EPOCHS", "Plan", "make_plan"]
