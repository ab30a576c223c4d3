"""A run ends where people held out are recognised no better any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from arcid.errors import ConfigError
from arcid.train.config.recipe import parse_config
from arcid.train.engine.stopping import EarlyStop
from arcid.train.recogniser.validate import held_score

Row = Mapping[str, float]


def scored(*scores: tuple[float, float]) -> list[Row]:
    return [{"held_tar_1e-3": tar, "held_auc": area} for tar, area in scores]


def seen(stop: EarlyStop, rows: Sequence[Row]) -> list[bool]:
    return [stop.is_best(row) for row in rows]


def test_a_run_is_over_where_nothing_gets_better_any_more() -> None:
    stop = EarlyStop(2, held_score)
    rows = scored((0.5, 0.9), (0.6, 0.8), (0.6, 0.81), (0.6, 0.81), (0.59, 0.99))
    assert seen(stop, rows) == [True, True, True, False, False]
    assert stop.over
    assert not EarlyStop(2, held_score, rows[:4]).over
    assert EarlyStop(2, held_score, rows).over, "a run that goes on decides as the one before it"
    assert not EarlyStop(2, held_score, rows).is_best(rows[2])


def test_without_patience_or_people_held_out_no_run_is_over() -> None:
    rows = scored((0.5, 0.9), (0.4, 0.9), (0.4, 0.9))
    assert not any(seen(EarlyStop(0, held_score), rows)) and not EarlyStop(0, held_score, rows).over
    assert not EarlyStop(1, held_score, [{"holdout_accuracy": 0.5}] * 3).over
    with pytest.raises(ConfigError, match="people to stop by"):
        parse_config("validation: {patience: 3}")
