"""One face: a dict whose keys are attributes too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class Face(dict[str, Any]):
    """``bbox`` (4,) float32 x1,y1,x2,y2 in pixels, not clipped; ``kps`` (5,2) float32;
    ``det_score``; and what the models of the pack add.

    Setting an item sets the attribute and the other way round; dicts inside become faces. An
    attribute that is not there is None, an item that is not there a ``KeyError``. ``update`` and
    ``pop`` change the dict alone. It copies and pickles.
    """

    def __init__(self, d: Mapping[str, Any] | None = None, **more: Any) -> None:
        super().__init__()
        for key, value in {**(d or {}), **more}.items():
            setattr(self, key, value)

    def __setattr__(self, key: str, value: Any) -> None:
        value = _nested(value)
        super().__setattr__(key, value)
        super().__setitem__(key, value)

    __setitem__ = __setattr__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    def __repr__(self) -> str:
        return f"<Face {', '.join(self)}>"

    @property
    def embedding_norm(self) -> Any:
        """Length of ``embedding``, a np.float32; None without one."""
        return None if self.embedding is None else np.float32(np.linalg.norm(self.embedding))

    @property
    def normed_embedding(self) -> Any:
        """``embedding`` at length 1, float32; None without one."""
        return None if self.embedding is None else self.embedding / self.embedding_norm

    @property
    def sex(self) -> str | None:
        """``"M"`` where ``gender`` is 1, else ``"F"``; None without a gender."""
        return None if self.gender is None else "M" if self.gender == 1 else "F"


def _nested(value: Any) -> Any:
    if isinstance(value, dict) and not isinstance(value, Face):
        return Face(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_nested(one) for one in value)
    return value


__all__ = ["Face"]
