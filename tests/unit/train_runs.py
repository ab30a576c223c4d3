"""Small training runs on real crops, for the tests; and one rank of a run of several.

torchrun --nproc-per-node 2 train_runs.py FOLDER     the jobs of FOLDER/jobs.json
python train_runs.py FOLDER                          the same on one rank
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from arcid.train.config.recipe import TrainConfig, parse_config
from arcid.train.engine.model import Model
from arcid.train.recogniser.job import train
from arcid.train.weights.checkpoint import CheckpointStore

BASE = """
data:
  sources: ["${ARCID_DATA}/data/train/vgg.tar"]
  size: 32
  batch: 16
  workers: 1
  identities: 8
  max_images: 12
augment: {flip: 0.5, jitter: 0.5, jitter_px: 4, colour: 0.3}
model: {backbone: mobilefacenet_relu_x0.5, dim: 32, options: {width: 0.25}}
loss: {name: arcface, options: {m2: 0.2, s: 16}}
optim: {lr: 0.02}
schedule: {steps: 6}
validation: {every: 0}
checkpoint: {every: 3}
"""


def config(out: Path, *overrides: str) -> TrainConfig:
    return parse_config(
        BASE, [f"out={out}", f"data.index_cache={out.parent / 'index'}", *overrides]
    )


def state(run: Path, step: int) -> dict[str, Any]:
    """Everything a checkpoint of one rank holds, but the time it took."""
    store = CheckpointStore(run / "checkpoints")
    (path,) = (p for p in store.paths() if p.name == f"step-{step:08d}")
    shared = torch.load(path / "shared.pt", weights_only=True)
    return {"shared": shared, "own": torch.load(path / "rank-00000.pt", weights_only=True)}


def tensors(tree: Any, name: str = "") -> dict[str, Tensor]:
    """Every tensor and number of a nested state, by its path."""
    if isinstance(tree, Tensor):
        return {name: tree}
    if isinstance(tree, (int, float)):
        return {name: torch.tensor(tree)}
    items: Any = ()
    if isinstance(tree, Mapping):
        items = tree.items()
    elif isinstance(tree, (list, tuple)):
        items = enumerate(tree)
    return {k: v for key, value in items for k, v in tensors(value, f"{name}/{key}").items()}


def unlike(a: Any, b: Any) -> list[str]:
    """Paths at which two states differ in a bit."""
    one, two = tensors(a), tensors(b)
    return [k for k in {*one, *two} if k not in one or k not in two or not one[k].equal(two[k])]


def kept_until(run: Path, step: int, copy: Path) -> Path:
    """A copy of a run whose newest checkpoint is that of ``step``."""
    shutil.copytree(run, copy)
    for path in CheckpointStore(copy / "checkpoints").paths():
        if path.name > f"step-{step:08d}":
            shutil.rmtree(path)
    return copy


def kill_at(step: int) -> None:
    """From now on this process ends without notice as it begins update ``step``."""
    original = Model.step

    def deadly(self: Model, batch: Any, at: int, run: Path) -> dict[str, float]:
        if at == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, batch, at, run)

    Model.step = deadly  # type: ignore[assignment,method-assign]


def main() -> None:
    folder, rank = Path(sys.argv[1]), os.environ.get("RANK", "0")
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        torch.distributed.init_process_group("gloo")
    for job in json.loads((folder / "jobs.json").read_text()):
        out = folder / job["name"]
        if "copy" in job and rank == "0":
            kept_until(folder / job["copy"], job["step"], out)
        if "kill_at" in job:
            kill_at(job["kill_at"])
        if "RANK" in os.environ:
            torch.distributed.barrier()
        train(config(out, *job["overrides"]))
    if "RANK" in os.environ:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
