"""Pages of lists. A cursor names a place in the order, not a row, so it outlives deletions.

A cursor is opaque to callers: base64url of the list's name, the id of what is listed in, and the
columns that the list is ordered by. It holds no right to anything; it is checked, not signed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from arcid.errors import CursorInvalid, InputError

T = TypeVar("T")
Place = tuple[Any, ...]
MAX_CURSOR = 2048  # characters; the longest name, in UTF-8, makes one of about 1700
_MAX_INT = 2**63 - 1


class Page(list[T], Generic[T]):
    """One page of a list, in order; ``next`` goes on after it, None at the end."""

    def __init__(self, items: Iterable[T] = (), next: str | None = None) -> None:
        super().__init__(items)
        self.next = next


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is ordered: its name, and the types of the columns it is ordered by."""

    name: str
    types: tuple[type, ...]

    def cursor(self, owner: str, place: Place) -> str:
        """``owner``: the id of what is listed in."""
        text = json.dumps([self.name, owner, *place], ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def place(self, owner: str, cursor: str) -> Place:
        """Where a cursor stands; raises ``CursorInvalid``."""
        try:
            if len(cursor) > MAX_CURSOR:
                raise ValueError
            padded = cursor + "=" * (-len(cursor) % 4)
            name, of, *place = json.loads(base64.b64decode(padded, b"-_", validate=True))
            if (name, of) != (self.name, owner) or len(place) != len(self.types):
                raise ValueError
            if not all(_fits(value, kind) for value, kind in zip(place, self.types, strict=True)):
                raise ValueError
        except (ValueError, TypeError, RecursionError, binascii.Error):
            raise CursorInvalid(
                f"this is no cursor of this list of {self.name}; hand in `next` of the page "
                "before, or leave it out to start over"
            ) from None
        return tuple(place)

    def page(
        self, owner: str, rows: Sequence[T], limit: int | None, place: Callable[[T], Place]
    ) -> Page[T]:
        """The page of ``rows``, of which one more than ``limit`` was read where there is one."""
        if limit is None or len(rows) <= limit:
            return Page(rows)
        return Page(rows[:limit], self.cursor(owner, place(rows[limit - 1])))


COLLECTIONS = Order("collections", (str,))  # name_key
PEOPLE = Order("people", (str,))  # name_key
FACES = Order("faces", (int,))  # key


def check_limit(limit: int | None) -> int | None:
    """How many rows to read for a page of so many: one more, to know whether it is the last."""
    if limit is None:
        return None
    if limit < 1:
        raise InputError(f"limit must be at least 1, got {limit}")
    return limit + 1


def pages(read: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """Everything of a list, page by page; ``read`` is given the cursor."""
    page = read(None)
    yield from page
    while page.next is not None:
        page = read(page.next)
        yield from page


def _fits(value: Any, kind: type) -> bool:
    if isinstance(value, int) and type(value) is kind:
        return abs(value) <= _MAX_INT
    if isinstance(value, str) and type(value) is kind:
        return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
    return False
