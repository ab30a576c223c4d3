"""A training step waits for its device once: the operations are counted that would make it wait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from arcid.train.config.recipe import parse_config
from arcid.train.data.dataset import TrainData
from arcid.train.data.loader import Batch
from arcid.train.engine.model import Model
from arcid.train.objectives.create import MarginObjective
from arcid.train.ranks import Ranks
from arcid.train.weights.restore import backbone_of

BATCH, CLASSES = 8, 60
RECIPE = """
model: {backbone: mobilefacenet_relu_x0.5, dim: 32}
data: {size: 32, batch: 8}
optim: {lr: 0.1, clip: 5}
"""
# what Python asks of a tensor's numbers …
ASKED = {"tolist", "item", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"}
# … and operations whose result's shape depends on them
SHAPED = {"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "equal"}


class Asked(TorchFunctionMode):
    def __init__(self) -> None:
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ASKED:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


class Shaped(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.partition("::")[2]
        indices = args[1] if name in ("index", "index_put", "index_put_") else ()
        by_mask = any(i is not None and i.dtype == torch.bool for i in indices)
        if name in SHAPED or name == "_local_scalar_dense" or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def waits(call: Callable[[], object]) -> list[str]:
    with Asked() as asked, Shaped() as shaped:
        call()
    return [*asked.found, *shaped.found]


def test_the_count_counts() -> None:
    x = torch.arange(4.0)
    assert waits(lambda: x.sum().item()) == ["item", "_local_scalar_dense"]
    assert waits(lambda: x[x > 1]) == ["index"]
    assert waits(lambda: torch.nonzero(x)) == ["nonzero"]
    assert waits(x.tolist) == ["tolist"]
    assert waits(lambda: (x @ x).clamp(0, 1)) == []


@pytest.mark.parametrize(
    "settings",
    [
        "classifier.chunk=7",  # many chunks
        "classifier={chunk: 7, centres: 3}",
        "classifier={kind: partial, rate: 0.3}",
        "classifier={kind: partial, rate: 0.3, filter_cosine: 0.4}",
        "loss.name=magface",
        "precision.autocast=bf16",
    ],
)
def test_a_step_asks_its_device_for_one_row_of_numbers(
    settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse_config(RECIPE, [settings])
    data = SimpleNamespace(train=None, classes=range(CLASSES))
    ranks = Ranks(0, 1, torch.device("cpu"))
    objective = MarginObjective(config, cast(TrainData, data), ranks)
    model = Model(config, backbone_of(config), objective, ranks)
    model.set_rate(1.0)
    images = torch.randint(256, (BATCH, 3, 32, 32), dtype=torch.uint8)
    batch = Batch(
        images.contiguous(memory_format=torch.channels_last),
        torch.randint(CLASSES, (BATCH,)),
        np.arange(BATCH),
    )
    model.step(batch, 0, tmp_path)  # looks at the labels once
    # labels are on the CPU already, where a look costs nothing
    monkeypatch.setattr(objective.centres, "_check", lambda features, labels: None)
    assert waits(lambda: model.step(batch, 1, tmp_path)) == ["tolist"]


@pytest.mark.parametrize(("graphs", "mode"), [("false", None), ("true", "reduce-overhead")])
def test_compiled_code_is_recorded_where_it_is_asked(
    graphs: str, mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    def compiled(network: Any, mode: str | None = None) -> Any:
        asked.append(mode)
        return network

    monkeypatch.setattr(torch, "compile", compiled)
    config = parse_config(RECIPE, [f"precision={{compile: true, graphs: {graphs}}}"])
    data = SimpleNamespace(train=None, classes=range(CLASSES))
    ranks = Ranks(0, 1, torch.device("cpu"))
    objective = MarginObjective(config, cast(TrainData, data), ranks)
    Model(config, backbone_of(config), objective, ranks)
    assert asked == [mode]
