"""Searches and comparisons in the audit: who looked for or compared whom, at which rate, and what
came of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from arcid.errors import ConfigError
from arcid.results import Identified
from arcid.types import Decision

SETTING = "ARCID_AUDIT_SEARCHES"
By = Literal["photo", "vector", "person"]
NOBODY = "nobody:stored"  # of whom the gallery knows nothing
MOST = 100  # ids in one row
_WORDS = {"1": True, "true": True, "on": True, "yes": True,
          "0": False, "false": False, "off": False, "no": False}  # fmt: skip


def noted() -> bool:
    """Whether these are written down here: ``ARCID_AUDIT_SEARCHES``, by default they are.

    Raises ``ConfigError``.
    """
    value = os.environ.get(SETTING) or "on"
    if value.lower() not in _WORDS:
        raise ConfigError(f"{SETTING} is on or off, not {value!r}")
    return _WORDS[value.lower()]


def details(found: Sequence[Identified], fpir: float) -> dict[str, Any]:
    """What a row keeps of a search beside who asked, when and where: the rate, how many faces were
    looked for, ids of those that were found, and of all that were shown as candidates."""
    first = (one.candidates[0].person_id for one in found if one.decision.matched)
    shown = _once(match.person_id for one in found for match in one.candidates)
    told = {"fpir": fpir, "faces": len(found), "found": _once(first)[:MOST], "shown": shown[:MOST]}
    return told | ({"more": len(shown) - MOST} if len(shown) > MOST else {})


def compared(decisions: Sequence[Decision]) -> dict[str, Any]:
    """What a row keeps of a comparison: how many faces, how many of them matched, and the rate."""
    told = {"faces": len(decisions), "matched": sum(one.matched for one in decisions)}
    return told | ({"fmr": decisions[0].target_fmr} if decisions else {})


def _once(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))
