"""Who is enrolled twice: everybody compared with everybody, exactly, and what becomes of the pairs.

``Duplicates(gallery).runs.begin(…)`` settles the threshold of a run; ``work`` compares, and goes on
where it ended; ``find``, ``answer``, ``undo`` and ``groups`` are for whoever looks at the pairs.
"""

from __future__ import annotations

from arcid.apps.duplicates.duplicates import VIEW, Duplicates, tidy
from arcid.apps.duplicates.records import (
    VERDICTS,
    Answer,
    Group,
    Pair,
    PairState,
    Run,
    Side,
    Undone,
    Verdict,
)
from arcid.apps.duplicates.runs import FALSE_PAIRS, Runs
from arcid.apps.duplicates.searching import work

__all__ = [
    "FALSE_PAIRS",
    "VERDICTS",
    "VIEW",
    "Answer",
    "Duplicates",
    "Group",
    "Pair",
    "PairState",
    "Run",
    "Runs",
    "Side",
    "Undone",
    "Verdict",
    "tidy",
    "work",
]
