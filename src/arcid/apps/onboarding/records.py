"""What onboarding is told and hands out: plain frozen values without database ties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime
from typing import Any, Literal, get_args

from arcid.calibration import check_rate
from arcid.errors import UsageError
from arcid.liveness.policy import MODES, Mode
from arcid.types import instant

State = Literal[
    "started", "consented", "documented", "review", "accepted", "rejected", "expired", "withdrawn"
]
STATES: tuple[State, ...] = get_args(State)
WAITING: tuple[State, ...] = ("started", "consented", "documented")  # for the applicant
DECIDED: tuple[State, ...] = ("review", "accepted", "rejected")
Outcome = Literal["accepted", "review", "rejected"]
Effect = Literal["pass", "note", "review", "reject"]
Role = Literal["document", "selfie"]
ROLES: tuple[Role, ...] = get_args(Role)
MACHINE = "arcid"  # the actor of what nobody decided
MOST = {"tries": 50, "hours": 24 * 90, "keep_days": 3650}  # of a session's rules

#: Said on every case and in every evidence file.
NOT_CHECKED = (
    "whether the document is genuine, altered, stolen or revoked",
    "the chip of the document and its signature",
    "holograms, watermarks and other security features",
    "whether a machine-readable zone that was only typed is this document's",
    "injected video: a virtual camera instead of a real one",
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a session asks for and what follows; kept with it from its start."""

    fmr: float = 1e-4  # document against selfie; accepted at this false match rate
    review_fmr: float = 1e-2  # below that one and up to here a human decides
    tries: int = 8  # pictures and runs in all
    hours: float = 24.0  # from start to the end of the session
    keep_days: float = 30.0  # after its start everything of it is erased
    keep_pictures: bool = True  # of decided cases; those in review are kept until decided
    live: bool = True  # a head that turns as asked, in front of a camera
    passive: Mode = "require"  # the check for pictures of pictures, where its models are installed
    enrol: bool = False  # whoever is accepted is enrolled

    def __post_init__(self) -> None:
        check_rate("fmr", self.fmr)
        check_rate("review_fmr", self.review_fmr)
        if self.review_fmr < self.fmr:
            raise UsageError("review_fmr must be at least fmr: whom a human looks at is less sure")
        for name, most in MOST.items():
            if not 0 < getattr(self, name) <= most:
                raise UsageError(
                    f"{name} must be above 0, at most {most}; got {getattr(self, name)}"
                )
        if self.keep_days * 24 < self.hours:
            raise UsageError("keep_days must be at least as long as hours")
        if self.passive not in MODES:
            raise UsageError(f"passive {self.passive!r} is unknown; use {', '.join(MODES)}")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Rules:
        """From stored values; what this version does not know is left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Agreed:
    """The text an applicant consented to."""

    version: str
    text: str


@dataclass(frozen=True, slots=True)
class Consent:
    """What was agreed to, and when."""

    version: str
    text_sha256: str
    at: datetime

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"at": instant(self.at)}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at and what follows."""

    code: str
    effect: Effect
    message: str
    measured: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"measured": dict(self.measured)}


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision, arcid's or a person's."""

    id: str
    outcome: Outcome
    actor: str
    note: str
    at: datetime
    undone_at: datetime | None = None
    undone_by: str | None = None

    def to_dict(self) -> dict[str, Any]:
        times = {"at": instant(self.at), "undone_at": _instant(self.undone_at)}
        return asdict(self) | times


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """One applicant's way from consent to a decision."""

    id: str
    collection: str
    state: State
    reference: str
    created_at: datetime
    expires_at: datetime
    keep_until: datetime
    ended_at: datetime | None
    tries_left: int
    rules: Rules
    consent: Consent | None
    name: str
    birth_date: date | None
    zone: Mapping[str, Any] | None
    checks: tuple[Check, ...]
    answers: tuple[Answer, ...]  # oldest first
    person_id: str | None
    pictures: tuple[Role, ...]  # that can be looked at

    @property
    def decided(self) -> bool:
        return self.state in DECIDED

    @property
    def reasons(self) -> tuple[Check, ...]:
        """What kept it from being accepted."""
        return tuple(c for c in self.checks if c.effect in ("review", "reject"))

    def __repr__(self) -> str:
        return f"Session({self.id[:8]}…, {self.state})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; neither pictures nor vectors."""
        times = ("created_at", "expires_at", "keep_until", "ended_at")
        return {
            "id": self.id,
            "collection": self.collection,
            "state": self.state,
            "reference": self.reference,
            **{name: _instant(getattr(self, name)) for name in times},
            "tries_left": self.tries_left,
            "rules": self.rules.to_dict(),
            "consent": None if self.consent is None else self.consent.to_dict(),
            "name": self.name,
            "birth_date": None if self.birth_date is None else self.birth_date.isoformat(),
            "zone": None if self.zone is None else dict(self.zone),
            "checks": [check.to_dict() for check in self.checks],
            "answers": [answer.to_dict() for answer in self.answers],
            "person_id": self.person_id,
            "pictures": list(self.pictures),
            "not_checked": list(NOT_CHECKED),
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """What handing something in came to; ``problem`` says what to do again."""

    session: Session
    codes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def taken(self) -> bool:
        return not self.codes


def _instant(at: datetime | None) -> str | None:
    return None if at is None else instant(at)
