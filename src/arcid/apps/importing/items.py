"""What an import takes: photos or vectors by the name of whose they are, and what stays behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from arcid.errors import ArcidError, InputError, PossibleDuplicate, by_reason
from arcid.gallery import NewConsent, NewFace
from arcid.gallery.rules import clean_name, name_key


@dataclass(frozen=True, slots=True)
class Item:
    """One photo or vector of somebody; ``label`` tells it apart from all others of its source."""

    person: str
    label: str


@dataclass(frozen=True, slots=True)
class Left:
    """What is not taken, and why."""

    label: str
    person: str
    code: str
    message: str

    @classmethod
    def of(cls, item: Item, error: ArcidError) -> Left:
        """An item that was refused. The reason is kept, and so names nobody else."""
        message = error.unnamed if isinstance(error, PossibleDuplicate) else error.message
        return cls(item.label, item.person, error.code, message)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "item": self.label,
            "person": self.person,
            "code": self.code,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Listing:
    """What an import would take and what not, before anything is looked at."""

    items: Sequence[Item]
    left: Sequence[Left] = ()

    @property
    def people(self) -> int:
        return len({item.person for item in self.items})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "people": self.people,
            "items": len(self.items),
            "left_by_reason": by_reason(one.code for one in self.left),
            "left": [one.to_dict() for one in self.left],
        }


@dataclass(frozen=True, slots=True)
class About:
    """What a source says about somebody beside their photos."""

    consent: NewConsent | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    external_id: str | None = None  # what the other system calls them


class Source(Protocol):
    """Where people come from. What it answers stays the same while it is open."""

    aligned: bool  # its photos are aligned crops
    vectors: bool  # it has vectors instead of photos

    @property
    def spec(self) -> dict[str, Any]:
        """What it is, as JSON: by it an import that was cut off is known again. No secrets."""

    def listing(self) -> Listing:
        """All there is. Raises ``InputError`` kinds."""

    def take(self, item: Item) -> bytes | NewFace:
        """The file of the photo, or the face whose vector it is; asked by several threads.

        Raises ``ArcidError``.
        """

    def about(self, person: str) -> About: ...

    def close(self) -> None: ...


def checked(found: Iterable[Item], left: Iterable[Left] = ()) -> Listing:
    """The listing, without items whose names are no names, or another one's but for the case: those
    may be two people, and would become one."""
    good: list[Item] = []
    bad = list(left)
    spelt: dict[str, str] = {}
    for item in found:
        try:
            name = clean_name(item.person)
        except InputError as error:
            bad.append(Left(item.label, "", "name_invalid", error.message))
            continue
        first = spelt.setdefault(name_key(name), name)
        if name == first:
            good.append(Item(name, item.label))
        else:
            why = f"{name} and {first} differ by case only, and would be one person"
            bad.append(Left(item.label, name, "name_ambiguous", why))
    return Listing(good, bad)
