"""One rank of two that wait and overflow; started by test_train_ranks.py, one per process.

python ranks_together.py RANK FOLDER
"""

from __future__ import annotations

import math
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import _set_pg_timeout as set_timeout

from arcid.train.config.recipe import parse_config
from arcid.train.data.dataset import TrainData
from arcid.train.data.loader import Batch
from arcid.train.engine.model import Model
from arcid.train.objectives.create import MarginObjective
from arcid.train.ranks import Ranks, start_ranks
from arcid.train.weights.restore import backbone_of

SCALE = 16.0
IMPATIENCE, PATIENCE = timedelta(seconds=1), timedelta(minutes=5)
RECIPE = """
model: {backbone: mobilefacenet_relu_x0.5, dim: 32}
data: {size: 32, batch: 8}
optim: {lr: 0.1, clip: 5}
precision: {autocast: fp16}
"""


def overflow(ranks: Ranks, folder: Path) -> dict[int, Any]:
    """A step in which the second rank's centres alone have no finite gradient, and one after."""
    config = parse_config(RECIPE)
    data = SimpleNamespace(train=None, classes=range(20))
    objective = MarginObjective(config, cast(TrainData, data), ranks)
    model = Model(config, backbone_of(config), objective, ranks)
    model.set_rate(1.0)
    scaler = model._scaler  # begun where the network itself does not overflow
    scaler.load_state_dict(scaler.state_dict() | {"scale": SCALE})
    assert objective.centres is not None
    weight: Any = objective.centres.weight
    found: dict[int, Any] = {}
    generator = torch.Generator().manual_seed(ranks.rank)
    images = torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(20, (8,), generator=generator)
    batch = Batch(images.contiguous(memory_format=torch.channels_last), labels, np.arange(8))
    for step, factor in enumerate((math.inf, 1.0)):
        before = weight.detach().clone()
        hook = weight.register_hook(lambda g, f=factor: g * f if ranks.rank else g)
        model.step(batch, step, folder)
        hook.remove()
        shared = model.shared_state()
        found[step] = {
            "scale": shared["scaler"]["scale"],
            "moved": not weight.equal(before),
            "backbone": {name: value.clone() for name, value in shared["backbone"].items()},
        }
    return found


def main() -> None:
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", store, rank=rank, world_size=2)
    with start_ranks() as ranks:
        set_timeout(IMPATIENCE)
        if ranks.first:
            time.sleep(2 * IMPATIENCE.total_seconds())
        ranks.barrier()
        set_timeout(PATIENCE)
        torch.save(overflow(ranks, folder), folder / f"rank{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
