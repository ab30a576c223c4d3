"""Pairs of people who may be one, as a table of several commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from arcid.cli.output import print_table

if TYPE_CHECKING:
    from arcid.apps.duplicates import Pair


def print_pairs(pairs: Sequence[Pair]) -> None:
    rows = [
        (pair.a.name, pair.b.name, round(pair.cosine, 3), f"{pair.probability:.1%}",
         "the same photo" if pair.same_photo else pair.state, pair.id)
        for pair in pairs
    ]  # fmt: skip
    print_table(("one", "other", "cosine", "probability", "state", "id"), rows)
