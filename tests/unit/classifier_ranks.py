"""One rank of a two-rank classifier run; started by test_train_classifier.py, one per process.

    python classifier_ranks.py RANK WORLD_SIZE FOLDER

Runs every case of ``CASES`` on this rank's half of the batch and saves what came out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from arcid.errors import InvalidArray
from arcid.train.heads.classifier import Classifier
from arcid.train.heads.partial import PartialClassifier, RowSGD
from arcid.train.objectives.losses import loss_spec

CLASSES, DIM, BATCH, STEPS = 23, 8, 12, 3

#: name → (loss, classifier options, type)
CASES: dict[str, tuple[str, dict[str, Any], torch.dtype]] = {
    "arcface": ("arcface", {}, torch.float64),
    "arcface_float32": ("arcface", {}, torch.float32),
    "softmax": ("softmax", {}, torch.float64),
    "sub_centres": ("subcenter_arcface", {"k": 3, "chunk": 7}, torch.float64),
    "adaface": ("adaface", {}, torch.float64),
    "magface": ("magface", {}, torch.float64),
    "curricular": ("curricularface", {"chunk": 4}, torch.float64),
    "partial_whole": ("cm1", {"sample_rate": 1.0}, torch.float64),
    "filtered": ("cosface", {"filter_cosine": 0.3}, torch.float64),
    "nameless": ("adaface", {}, torch.float64),  # some photos belong to nobody
}


def batch(step: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The global batch of a step."""
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(BATCH, 5, generator=generator, dtype=torch.float64) * 4
    return inputs.to(dtype), torch.randint(CLASSES, (BATCH,), generator=generator)


def run(name: str, rank: int, world_size: int) -> dict[str, Any]:
    """A linear backbone and a classifier trained together for three steps."""
    loss_name, options, dtype = CASES[name]
    torch.manual_seed(0)
    linear = nn.Linear(5, DIM, dtype=dtype)
    backbone: nn.Module = DistributedDataParallel(linear) if world_size > 1 else linear
    kind = PartialClassifier if "sample_rate" in options else Classifier
    loss: Any = loss_spec(loss_name).build().to(dtype)
    classifier = kind(CLASSES, DIM, loss, seed=5, dtype=dtype, **options)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.01)
    centres = RowSGD([classifier.weight], lr=0.01)
    kept: dict[str, Any] = {"loss": [], "losses": [], "correct": []}
    mine = slice(rank * BATCH // world_size, (rank + 1) * BATCH // world_size)
    for step in range(STEPS):
        inputs, labels = batch(step, dtype)
        if name == "nameless":
            labels[[0, 1, 2, 9]] = -1  # three of the first rank's photos, one of the second's
        optimizer.zero_grad()
        centres.zero_grad()
        out = classifier(backbone(inputs[mine]), labels[mine])
        out.loss.backward()
        kept["loss"].append(out.loss.detach())
        kept["losses"].append(out.losses)
        kept["correct"].append(out.correct)
        assert classifier.weight.grad is not None
        kept["centre_gradient"] = classifier.weight.grad.clone()
        assert linear.weight.grad is not None
        kept["backbone_gradient"] = linear.weight.grad.clone()
        optimizer.step()
        centres.step()
    inputs, labels = batch(99, dtype)
    with torch.no_grad():
        features = linear(inputs[mine])
    kept["predicted"] = classifier.predict(features)
    kept["own_cosines"] = classifier.sub_centre_cosines(features, labels[mine])
    kept["backbone"] = linear.weight.detach()
    kept["state"] = classifier.state_dict()
    return kept


def refuses_unequal_batches(rank: int) -> bool:
    loss: Any = loss_spec("arcface").build()
    classifier = Classifier(CLASSES, DIM, loss)
    rows = 2 + rank
    try:
        classifier(torch.ones(rows, DIM), torch.zeros(rows, dtype=torch.int64))
    except InvalidArray:
        return True
    return False


def main() -> None:
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world_size)
    found: dict[str, Any] = {name: run(name, rank, world_size) for name in CASES}
    found["refuses_unequal_batches"] = refuses_unequal_batches(rank)
    torch.save(found, folder / f"rank{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
