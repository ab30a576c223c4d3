"""``arcid train`` and ``arcid backbones``."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from arcid.cli.options import Detector
from arcid.cli.output import Json, print_json, print_table
from arcid.cli.training import (
    ConfigFile,
    Overrides,
    is_first_rank,
    read_config,
    report,
    require_torch,
    run_training,
)


def register(app: typer.Typer) -> None:
    app.command()(train)
    app.command()(backbones)


def train(
    config: ConfigFile,
    overrides: Overrides = None,
    detector: Detector = None,
    json: Json = False,
) -> None:
    """Train a network as a config says (docs/concepts/training.md).

    The file's settings can be replaced one by one: optim.lr=0.05, out=runs/try; values are YAML.
    Network, data and start are told first, then a bar with speed, remaining time and the running
    numbers.

    The same command goes on where a run stopped: after Ctrl-C (a checkpoint is stored, exit code
    130), a kill or a power cut. Everything that is wrong with config, data and weights is said
    before the first step. Several processes: torchrun --nproc-per-node 2 -m arcid train CONFIG.

    --detector finds the faces of whole photos in validation.pairs; other runs need none.

    Example: arcid train configs/small.yaml optim.lr=0.05 out=runs/try
    """
    from arcid.errors import UsageError

    wanted = read_config(config, overrides)
    if wanted.distil.teachers:
        raise UsageError(
            f"{config.name} names teachers ({', '.join(wanted.distil.teachers)}); run: "
            f"arcid distill {config.name}"
        )
    result = run_training(wanted, detector, quiet=json)
    if is_first_rank():
        report(result, {}, json=json)


def backbones(
    size: Annotated[int, typer.Option("--size", help="Side of the photos in pixels.")] = 112,
    json: Json = False,
) -> None:
    """List the networks that can be trained.

    With parameters and multiply–accumulates of one photo, at 512 dimensions.

    Example: arcid backbones
    """
    require_torch()
    from arcid.train.backbones import BACKBONES, backbone_costs

    costs = backbone_costs(BACKBONES, size)
    if json:
        print_json({"size": size, "dim": 512, "backbones": [dataclasses.asdict(c) for c in costs]})
        return
    print_table(
        ("name", "parameters (M)", "MACs (M)"),
        [(c.name, round(c.parameters / 1e6, 2), round(c.macs / 1e6, 1)) for c in costs],
    )
