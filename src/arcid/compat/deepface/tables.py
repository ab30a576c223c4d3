"""Rows as pandas frames, where pandas is installed, or as lists of dicts."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any, Literal

Answer = Literal["pandas", "dict"]
Row = dict[str, Any]


def answer(rows: list[Row], columns: Sequence[str], kind: Answer | None) -> Any:
    """``kind`` None: a frame where pandas is installed."""
    if kind not in (None, "pandas", "dict"):
        raise ValueError(f"return_type is pandas or dict, got {kind!r}")
    if kind == "dict" or (kind is None and importlib.util.find_spec("pandas") is None):
        return rows
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))


__all__ = ["Answer", "Row", "answer"]
