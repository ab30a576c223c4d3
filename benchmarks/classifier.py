"""Memory and time of one classifier step as classes grow, against the whole logit matrix.

    python benchmarks/classifier.py [--classes 10000,100000,1000000] [--dims 128,512] [--batch 64]
                                    [--steps 2] [--device cpu|cuda] [--limit-gib N]

Every row is one process: ArcFace (m 0.5, s 64), forward and backward, median of ``--steps`` steps
after one to warm up. ``full_matrix`` is the usual way, as in arcface_torch on one device:
normalise all centres, one (B,C) product, margin, cross-entropy. ``chunked`` is ``Classifier``,
``partial_0.1`` is ``PartialClassifier`` at rate 0.1. ``extra_mib`` is the peak above the centres
themselves, so it holds their gradient; ratios are to ``full_matrix`` of the same size and run.
Sizes whose full matrix would need more than ``--limit-gib`` are left out for that method. Writes
``benchmarks/results/classifier-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.bench import hardware_slug
from arcid.train.heads.classifier import Classifier
from arcid.train.heads.margin import ClassificationLoss
from arcid.train.heads.partial import PartialClassifier
from arcid.train.objectives.losses import loss_spec

METHODS = ("full_matrix", "chunked", "partial_0.1")
GPU_METHODS = (*METHODS, "fused", "fused_0.1")
FIELDS = (
    "device", "classes", "dim", "batch", "method", "step_ms", "extra_mib", "centres_mib",
    "time_ratio", "memory_ratio", "torch",
)  # fmt: skip


class FullMatrix(nn.Module):
    """ArcFace over one (B,C) logit matrix, by ordinary autograd."""

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, dim) * 0.01)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        cosine = F.linear(F.normalize(features), F.normalize(self.weight)).clamp(-1, 1)
        index = torch.arange(len(labels), device=labels.device)
        theta = torch.acos(cosine[index, labels])
        logits = cosine.index_put((index, labels), torch.cos(theta + 0.5))
        return F.cross_entropy(logits * 64, labels)


def build(method: str, classes: int, dim: int) -> nn.Module:
    if method == "full_matrix":
        return FullMatrix(classes, dim)
    loss = loss_spec("arcface").build()
    if not isinstance(loss, ClassificationLoss):
        raise TypeError("arcface is a classification loss")
    found = (
        PartialClassifier(classes, dim, loss, sample_rate=0.1)
        if method.endswith("0.1")
        else Classifier(classes, dim, loss)
    )
    found.fused = method.startswith("fused")
    return found


def measure(method: str, classes: int, dim: int, batch: int, steps: int, device: str) -> Any:
    torch.manual_seed(0)
    on_gpu = device == "cuda"
    model = build(method, classes, dim).to(device)
    features = torch.randn(batch, dim, device=device)
    labels = torch.randint(classes, (batch,), device=device)
    before = torch.cuda.memory_allocated() if on_gpu else psutil.Process().memory_info().rss
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(steps + 1):
        model.zero_grad(set_to_none=True)
        x = features.clone().requires_grad_()
        began = time.perf_counter()
        out = model(x, labels)
        (out if isinstance(out, Tensor) else out.loss).backward()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - began))
    peak = (
        torch.cuda.max_memory_allocated()
        if on_gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "step_ms": round(statistics.median(times[1:]), 1),
        "extra_mib": round((peak - before) / 2**20, 1),
        "centres_mib": round(classes * dim * 4 / 2**20, 1),
    }


def numbers(text: str) -> list[int]:
    return [int(n) for n in text.split(",")]


def needed_gib(classes: int, dim: int, batch: int) -> float:
    """Centres, unit centres and two gradients; four copies of the matrix."""
    return classes * (4 * dim + 4 * batch) * 4 / 2**30


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for dim in options.dims:
        for classes in options.classes:
            peer: dict[str, Any] | None = None
            for method in GPU_METHODS if options.device == "cuda" else METHODS:
                too_large = needed_gib(classes, dim, options.batch) > options.limit_gib
                if method == "full_matrix" and too_large:
                    continue
                command = [
                    sys.executable, __file__, "--device", options.device, "--one",
                    f"{method},{classes},{dim},{options.batch},{options.steps}",
                ]  # fmt: skip
                found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                peer = found if method == "full_matrix" else peer
                ratios = (
                    round(found["step_ms"] / peer["step_ms"], 2) if peer else math.nan,
                    round(found["extra_mib"] / peer["extra_mib"], 2) if peer else math.nan,
                )
                row = {
                    "device": options.device, "classes": classes, "dim": dim,
                    "batch": options.batch, "method": method, **found,
                    "time_ratio": ratios[0], "memory_ratio": ratios[1],
                    "torch": torch.__version__,
                }  # fmt: skip
                rows.append(row)
                print(
                    f"{classes:>9,} × {dim:<4} {method:12} {found['step_ms']:>9.1f} ms "
                    f"{found['extra_mib']:>9.1f} MiB   ×{ratios[0]} time ×{ratios[1]} memory",
                    flush=True,
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--classes", type=numbers, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dims", type=numbers, default=[128, 512])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--limit-gib", type=float, default=6.0)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        method, *rest = options.one.split(",")
        classes, dim, batch, steps = map(int, rest)
        print(json.dumps(measure(method, classes, dim, batch, steps, options.device)))
        return
    began = time.perf_counter()
    rows = run(options)
    slug = hardware_slug()
    if options.device == "cuda":
        slug = "-".join(torch.cuda.get_device_name().lower().split())
    path = Path(__file__).parent / "results" / f"classifier-{slug}.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    print(f"{path} in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
