"""What a recogniser's run is: crops of known people, an objective, and how it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from arcid.errors import ConfigError
from arcid.files import write_text
from arcid.train.backbones import Backbone, count_macs, count_parameters
from arcid.train.config.recipe import TrainConfig, expand_path
from arcid.train.data.augment import Augment
from arcid.train.data.dataset import open_data
from arcid.train.data.draws import Draws
from arcid.train.data.loader import Batch, BatchLoader
from arcid.train.engine import loop
from arcid.train.engine.advice import advice
from arcid.train.engine.job import Job
from arcid.train.heads.imprint import imprint
from arcid.train.objectives.create import create_objective, needs_identities
from arcid.train.objectives.objective import FaceObjective
from arcid.train.ranks import Ranks, start_ranks
from arcid.train.recogniser.validate import Align, Validator, held_score
from arcid.train.weights.checkpoint import class_facts
from arcid.train.weights.initial import load_initial
from arcid.train.weights.restore import backbone_of


def train(
    config: TrainConfig,
    *,
    align: Align | None = None,
    progress: bool = False,
    tell: Callable[[str], None] | None = None,
) -> loop.TrainResult:
    """Run ``config`` to its end, or from its newest checkpoint on.

    ``align`` turns whole photos of ``validation.pairs`` into aligned faces; ``progress``, ``tell``
    and what is raised are as for ``engine.loop.train``, and ``DatasetInvalid`` beside it.
    """
    with start_ranks() as ranks:
        return loop.train(Recogniser(config, align, ranks), progress=progress, tell=tell)


class Recogniser(Job[Batch]):
    """A backbone that learns to tell people apart."""

    def __init__(self, config: TrainConfig, align: Align | None, ranks: Ranks) -> None:
        self.config: TrainConfig = config
        self.ranks = ranks
        data = open_data(config.data, need_identities=needs_identities(config))
        self.objective: FaceObjective = create_objective(config, data, ranks)
        self._draws = Draws(config, self.objective.samples.labels, ranks)
        self._validator = Validator(config, data, align, ranks)
        self.photos, self.batch = self._draws.epoch_photos, config.data.batch
        self.names = data.classes
        self.facts = {**class_facts(data.classes), "photos": len(self.objective.samples)}
        self.report = data.report.lines()

    def network(self) -> Backbone:
        return backbone_of(self.config)

    def start(self, network: nn.Module, source: str) -> dict[str, float]:
        assert isinstance(network, Backbone)
        load_initial(network, source)
        if self.config.classifier.start == "imprint":
            if self.objective.centres is None:
                raise ConfigError("classifier.start=imprint: this run has no class centres")
            imprint(self.objective.centres, network, self.objective.samples)
        return {}

    @contextmanager
    def batches(self, step: int, position: int) -> Iterator[Iterator[Batch]]:
        self._draws.position = position
        config = self.config
        clean = config.distil.clean if config.distil.teachers else 0.0
        view = Augment(config.augment, config.seed, config.data.size, clean=clean)
        with BatchLoader(
            self.objective.samples, self._draws, view, config.data,
            pinned=self.ranks.device.type == "cuda",
        ) as loader:  # fmt: skip
            yield iter(loader)
            if self.ranks.first and loader.faults:
                lines = "\n".join(loader.faults.lines()) + "\n"
                write_text(expand_path(config.out) / "faults.txt", lines)

    def measure(self, network: nn.Module) -> Mapping[str, float]:
        return self._validator(network, self.objective.centres)

    def score(self, found: Mapping[str, float]) -> tuple[float, float] | None:
        return held_score(found)

    def remarks(self) -> list[str]:
        config = self.config
        with torch.device("meta"):
            network = self.network()
        macs = count_macs(network, config.data.size)
        return [
            f"{config.model.backbone}: {count_parameters(network):,} parameters, {macs / 1e6:,.1f} "
            f"M MACs at {config.data.size} px, {config.model.dim} dimensions",
            *advice(config, self.facts["photos"], self.ranks.device.type),
        ]


__all__ = ["Recogniser", "train"]
