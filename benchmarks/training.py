"""Images a second of one training step, in every precision and layout, beside a plain loop.

    python benchmarks/training.py [--backbones A,B] [--batch 32] [--classes 10000] [--rounds 3]
                                  [--calls 3] [--no-compile] [--device cpu|cuda]

The peer is the loop one writes first, with the recipe of arcface_torch: float32, NCHW, eager, one
(B,C) logit matrix, ArcFace (m 0.5, s 64), cross-entropy, gradient clipping at 5, SGD with momentum.
The forms are ``arcid.train``'s own step (``Model.step``: the same recipe, chunked classifier,
clipping of network and centres, NaN guard) with what ``precision`` can be set to. Photos are uint8
tensors in memory on both sides; loading is measured by ``benchmarks/data.py``. Peer and form take
turns; ``ratio`` is the peer's time over the form's, the median over rounds, so above 1 is faster.
Writes ``benchmarks/results/training-<hardware>.csv``;
rows of backbones that were not asked for stay.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.bench import hardware_slug
from arcid.bench.common import interleaved
from arcid.train.backbones import create_backbone
from arcid.train.config.recipe import parse_config
from arcid.train.data.dataset import TrainData
from arcid.train.data.loader import Batch
from arcid.train.engine.model import Model
from arcid.train.objectives.create import MarginObjective
from arcid.train.ranks import Ranks

BACKBONES = ("mobilefacenet_relu_x1.0", "mobilefacenet_prelu_x1.0", "iresnet18", "iresnet50",
             "resnet50", "vit_tiny")  # fmt: skip
GPU_BACKBONES = ("mobilefacenet_relu_x1.0", "iresnet50", "iresnet100")
FIELDS = (
    "device", "backbone", "batch", "classes", "form", "images_per_s", "ratio", "target_ratio",
    "met", "peak_mib", "torch", "threads",
)  # fmt: skip
TARGETS = {"mobilefacenet_relu_x1.0": 1.5, "iresnet18": 1.5}  # of a backbone's best form …
TARGET = {"cpu": 1.3, "cuda": 1.5}  # … and of the others


class Plain:
    """The first loop one would write."""

    def __init__(self, name: str, classes: int, device: torch.device) -> None:
        torch.manual_seed(0)
        self.network = create_backbone(name).to(device).train()
        self.centres = nn.Parameter(torch.randn(classes, 512, device=device) * 0.01)
        weights = [*self.network.parameters(), self.centres]
        self.optimizer = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=5e-4)

    def step(self, images: Tensor, labels: Tensor) -> None:
        features = F.normalize(self.network(images.float().sub(127.5).div(127.5)))
        cosine = F.linear(features, F.normalize(self.centres)).clamp(-1, 1)
        rows = torch.arange(len(labels), device=labels.device)
        margin = torch.cos(torch.acos(cosine[rows, labels]) + 0.5)
        loss = F.cross_entropy(cosine.index_put((rows, labels), margin) * 64, labels)
        self.optimizer.zero_grad(set_to_none=True)
        cast(Any, loss).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5)
        self.optimizer.step()
        loss.item()


def ours(name: str, form: dict[str, Any], options: argparse.Namespace, device: torch.device) -> Any:
    config = parse_config(
        f"model: {{backbone: {name}}}\noptim: {{lr: 0.1}}",
        [f"precision={form}", f"data.batch={options.batch}"],
    )
    ranks = Ranks(0, 1, device)
    data = SimpleNamespace(train=None, classes=range(options.classes))
    objective = MarginObjective(config, cast(TrainData, data), ranks)
    torch.manual_seed(0)
    model = Model(config, create_backbone(name), objective, ranks)
    model.set_rate(1.0)
    return model


def forms(compiles: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    kinds = itertools.product(("fp32", "bf16"), (False, True), (False, True))
    for autocast, last, compiled in kinds:
        if compiled and not compiles:
            continue
        words = [autocast, "channels_last" if last else "", "compile" if compiled else ""]
        yield (
            "+".join(filter(None, words)),
            {"autocast": autocast, "channels_last": last, "compile": compiled},
        )


def peak(call: Callable[[], None]) -> float:
    """MiB of GPU memory one more call needs at most; nan on a CPU."""
    if not torch.cuda.is_available():
        return math.nan
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 2**20


def measure(name: str, options: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (options.batch, 3, 112, 112), dtype=torch.uint8, generator=rng)
    labels = torch.randint(options.classes, (options.batch,), generator=rng)
    batch = Batch(
        images.contiguous(memory_format=torch.channels_last), labels,
        np.arange(options.batch),
    )  # fmt: skip
    here, whose = images.to(device), labels.to(device)
    common = {
        "device": device.type, "backbone": name, "batch": options.batch,
        "classes": options.classes, "torch": torch.__version__, "threads": torch.get_num_threads(),
    }  # fmt: skip
    plain, target = Plain(name, options.classes, device), TARGETS.get(name, TARGET[device.type])

    def peer() -> None:
        plain.step(here, whose)

    rows: list[dict[str, Any]] = []
    for label, form in forms(options.compile):
        model = ours(name, form, options, device)

        def own(model: Model = model) -> None:
            model.step(batch, 0, Path())

        times = interleaved({"plain": peer, label: own}, rounds=options.rounds, calls=options.calls)
        if not rows:
            rows.append(_row(common, "plain", times["plain"].median_ms, 1.0, None, peak(peer)))
        ratio = 1 / times[label].ratio(times["plain"])
        rows.append(_row(common, label, times[label].median_ms, ratio, target, peak(own)))
        print(
            f"{name:26} {label:26} {rows[-1]['images_per_s']:>8.1f} images/s  ×{ratio:.2f}",
            flush=True,
        )
        del model
        torch.compiler.reset()
    return rows


def _row(
    common: dict[str, Any], form: str, ms: float, ratio: float, target: float | None, mib: float
) -> dict[str, Any]:
    return {
        **common,
        "form": form,
        "images_per_s": round(1e3 * common["batch"] / ms, 1),
        "ratio": round(ratio, 3),
        "target_ratio": target,
        "met": None if target is None else ratio >= target,
        "peak_mib": None if math.isnan(mib) else round(mib, 1),
    }


def _earlier(path: Path) -> list[dict[str, Any]]:
    """Rows of former runs on this hardware."""
    if not path.is_file():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    gpu = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if gpu else "cpu")
    parser.add_argument("--backbones", default=",".join(GPU_BACKBONES if gpu else BACKBONES))
    parser.add_argument("--batch", type=int, default=128 if gpu else 32)
    parser.add_argument("--classes", type=int, default=100_000 if gpu else 10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=10 if gpu else 3)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    options = parser.parse_args()
    device = torch.device(options.device)
    began = time.perf_counter()
    slug = hardware_slug()
    if device.type == "cuda":
        slug = "-".join(torch.cuda.get_device_name().lower().split())
    path = Path(__file__).parent / "results" / f"training-{slug}.csv"
    path.parent.mkdir(exist_ok=True)
    names = options.backbones.split(",")
    kept = [row for row in _earlier(path) if row["backbone"] not in names]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        writer.writeheader()
        writer.writerows(kept)
        for name in names:
            writer.writerows(measure(name, options, device))
            stream.flush()
    print(f"{path.name} in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
