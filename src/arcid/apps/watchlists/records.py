"""What watchlists hand out: frozen values without database ties."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from arcid.errors import InputError
from arcid.events.store.correcting import signed
from arcid.types import instant

Level = Literal["alert", "review"]  # review: nobody is told, it waits to be looked at
AlertState = Literal["new", "acknowledged", "confirmed", "dismissed", "escalated"]
Verb = Literal["acknowledge", "confirm", "dismiss", "escalate"]
Strangers = Literal["nothing", "vector", "crop"]
LEVELS: tuple[Level, ...] = get_args(Level)
STATES: tuple[AlertState, ...] = get_args(AlertState)
VERBS: tuple[Verb, ...] = get_args(Verb)
OPEN: tuple[AlertState, ...] = ("new", "acknowledged", "escalated")
MAX_TEXT = 1000
LONGEST = timedelta(days=366 * 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a list is for, who answers for it, and when it alerts. Raises ``InputError``.

    ``false_alerts_per_hour`` is the budget of one camera-hour; ``reviews_per_hour`` that of silent
    reviews, which nobody is told of. ``confirm_looks``: so many looks at a face agree before
    anything is written. ``strangers``: what stays of passers-by who are on no list.
    """

    purpose: str
    legal_basis: str
    owner: str
    expires_at: datetime
    roles: tuple[str, ...] = ("officer", "guard")  # may see it, beside admins
    accounts: tuple[str, ...] = ()  # may see it too, by their name
    cameras: tuple[str, ...] = ()  # that look for it; none: all
    four_eyes: bool = False
    false_alerts_per_hour: float = 0.05
    reviews_per_hour: float = 0.5
    confirm_looks: int = 2
    cooldown_s: float = 300.0
    keep_days: int = 30
    strangers: Strangers = "nothing"

    def __post_init__(self) -> None:
        for name in ("purpose", "legal_basis", "owner"):
            value = getattr(self, name)
            if not isinstance(value, str) or not 1 <= len(value.strip()) <= MAX_TEXT:
                words = name.replace("_", " ")
                raise InputError(f"a list needs its {words}: 1 to {MAX_TEXT} characters")
        if self.expires_at.tzinfo is None:
            raise InputError("a list's expiry needs a zone, such as 2026-03-01T08:00:00+01:00")
        if not 0 < self.false_alerts_per_hour <= self.reviews_per_hour <= 1000:
            raise InputError(
                "false_alerts_per_hour must be above 0 and at most reviews_per_hour, which is at "
                "most 1000"
            )
        if not 1 <= self.confirm_looks <= 10:
            raise InputError("confirm_looks must lie between 1 and 10")
        if not 0 <= self.cooldown_s <= 86_400 or not 1 <= self.keep_days <= 3650:
            raise InputError("cooldown_s lies between 0 and 86400, keep_days between 1 and 3650")
        if self.strangers not in get_args(Strangers):
            raise InputError(f"strangers {self.strangers!r} is unknown; use nothing, vector, crop")
        for name in ("roles", "accounts", "cameras"):
            given = getattr(self, name)
            if isinstance(given, str) or not all(isinstance(v, str) and v.strip() for v in given):
                raise InputError(f"{name} must be a list of names")
            object.__setattr__(self, name, tuple(given))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        lists = {name: list(getattr(self, name)) for name in ("roles", "accounts", "cameras")}
        return asdict(self) | lists | {"expires_at": instant(self.expires_at)}


@dataclass(frozen=True, slots=True)
class Watchlist:
    """A named list of people of one collection."""

    id: str
    name: str
    collection: str
    terms: Terms
    people: int
    version: int
    created_at: datetime  # UTC

    def expired(self, now: datetime | None = None) -> bool:
        """Whether it matches nobody any more."""
        return self.terms.expires_at <= (now or datetime.now(UTC))

    def watches(self, camera: str) -> bool:
        """Whether a camera looks for it."""
        named = {name.casefold() for name in self.terms.cameras}
        return not named or camera.casefold() in named

    def visible_to(self, account: str, role: str) -> bool:
        """Whether somebody who signed in may see it and its alerts."""
        named = {name.strip().casefold() for name in self.terms.accounts}
        return role == "admin" or role in self.terms.roles or account.strip().casefold() in named

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return {
            "id": self.id,
            "name": self.name,
            "collection": self.collection,
            **self.terms.to_dict(),
            "expired": self.expired(),
            "people": self.people,
            "created_at": instant(self.created_at),
        }


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody on a list."""

    person_id: str
    name: str
    reason: str
    added_by: str
    added_at: datetime  # UTC

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"added_at": instant(self.added_at)}


@dataclass(frozen=True, slots=True)
class Step:
    """Something somebody said about an alert."""

    verb: Verb
    actor: str
    note: str
    at: datetime  # UTC
    undone_by: str | None = None
    credential: str | None = None  # that let them in, as the audit names it

    @property
    def who(self) -> str:
        """The actor, and the credential where that is no account of theirs."""
        return signed(self.actor, self.credential or "")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"at": instant(self.at)}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert or silent review, as it stands."""

    id: str
    list_id: str
    list_name: str
    collection: str
    level: Level
    state: AlertState
    person_id: str
    name: str
    camera: str
    place: str
    at: datetime  # UTC, first seen, by the source's clock
    last_seen_at: datetime  # UTC
    sightings: int
    raised_at: datetime  # UTC
    latency_ms: int  # from the face being visible to the alert being written
    four_eyes: bool
    confirmed_by: tuple[str, ...]
    steps: tuple[Step, ...]  # oldest first, undone ones included
    picture_kept: bool
    event_id: str
    grounds: dict[str, Any] = field(repr=False)

    @property
    def waits_for_second(self) -> bool:
        """Whether one of two people has confirmed it."""
        return self.four_eyes and self.state in OPEN and len(self.confirmed_by) == 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "grounds"}
        keys = ("cosine", "cosine_threshold", "target_fpir", "gallery_size", "reason")
        times = {name: instant(values[name]) for name in ("at", "last_seen_at", "raised_at")}
        return (
            values
            | times
            | {key: self.grounds.get(key) for key in keys}
            | {
                "confirmed_by": list(self.confirmed_by),
                "steps": [step.to_dict() for step in self.steps],
                "waits_for_second": self.waits_for_second,
                "face_id": self.grounds.get("details", {}).get("face_id"),
            }
        )
