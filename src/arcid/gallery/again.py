"""Reading once more where somebody was erased meanwhile.

A read sees one state of the gallery. Who is erased after it began is still in that state, and the
key of what was sealed for them is gone; in the next state they are not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from arcid.vault.vault import Erased

P = ParamSpec("P")
T = TypeVar("T")
TRIES = 20


def again(read: Callable[P, T]) -> Callable[P, T]:
    """A read that begins anew where it met somebody who was erased; ``GalleryBusy`` in the end."""

    @wraps(read)
    def reading(*args: P.args, **values: P.kwargs) -> T:
        for _ in range(TRIES):
            try:
                return read(*args, **values)
            except Erased:
                continue
        return read(*args, **values)

    return reading
