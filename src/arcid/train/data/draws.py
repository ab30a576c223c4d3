"""What one rank reads, step after step, as the config asks for it: single photos or P×K batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from arcid.errors import ConfigError
from arcid.train.config.recipe import TrainConfig
from arcid.train.data.identities import PKSampler
from arcid.train.data.stream import Draw, Numbers, SampleStream
from arcid.train.ranks import Ranks


class Draws:
    """Iterate for the endless draws of this rank from ``position`` on, in photos over all ranks.

    ``epoch_photos`` is what an epoch counts. Raises ``ConfigError`` for a batch that does not
    divide over ranks, passes (``optim.accumulate``) and identities.
    """

    def __init__(self, config: TrainConfig, labels: Numbers, ranks: Ranks) -> None:
        self._config, self._labels, self._ranks = config, labels, ranks
        self.position = 0
        self.epoch_photos = len(labels)
        self._sampler: PKSampler | None = None
        self._stream(0)  # refuses what does not divide over ranks
        self._check_passes()
        per = config.data.per_identity
        if per:
            people = config.data.batch // per // ranks.world
            self._sampler = PKSampler(labels, people, per, config.seed, ranks.rank, ranks.world)
            self.epoch_photos = len(self._sampler) * config.data.batch

    def __iter__(self) -> Iterator[Draw]:
        if self._sampler is None:
            return iter(self._stream(self.position))
        return self._groups(self._sampler)

    def _check_passes(self) -> None:
        data, passes = self._config.data, self._config.optim.accumulate
        if data.per_identity and self._config.distil.teachers:
            raise ConfigError(
                "data.per_identity is for triplets; distillation draws single photos, set it to 0",
                key="data.per_identity",
            )
        unit = max(data.per_identity, 1)
        groups = self._ranks.world * passes * unit
        if data.batch % groups:
            of = f" of {unit} photos an identity" if data.per_identity else ""
            raise ConfigError(
                f"data.batch={data.batch} does not divide into {passes} passes "
                f"(optim.accumulate) on each of {self._ranks.world} ranks{of}; "
                f"use a multiple of {groups}",
                key="optim.accumulate",
            )
        if data.per_identity and data.batch // groups < 2:
            raise ConfigError(
                f"data.batch={data.batch} leaves one identity a pass, triplets need two; use "
                f"at least {2 * groups}",
                key="data.batch",
            )

    def _stream(self, position: int) -> SampleStream:
        return SampleStream(
            self._labels,
            batch=self._config.data.batch,
            seed=self._config.seed,
            rank=self._ranks.rank,
            world=self._ranks.world,
            position=position,
            class_balance=self._config.data.class_balance,
            together=self._config.data.together,
        )

    def _groups(self, sampler: PKSampler) -> Iterator[Draw]:
        batch = self._config.data.batch
        epoch, within = divmod(self.position // batch, len(sampler))
        for number in itertools.count(epoch):
            place = number * len(sampler) + within
            for at, photos in enumerate(sampler.batches(number, within), place + 1):
                yield Draw.of(photos, number, at * batch)
            within = 0


__all__ = ["Draws"]
