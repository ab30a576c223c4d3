"""What the gallery hands out and takes in: plain frozen values without database ties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from arcid.errors import ArcidError
from arcid.types import Embeddings, Image, box_dict, instant

Box = tuple[float, float, float, float]
OnWithdrawal = Literal["erase", "review"]
ChangeKind = Literal[
    "collection_added",
    "collection_updated",
    "collection_removed",
    "person_added",
    "person_updated",
    "person_removed",
    "face_added",
    "face_moved",
    "face_removed",
    "embedding_added",
    "embedding_removed",
    "contract_removed",
]


@dataclass(frozen=True, slots=True)
class Collection:
    """A set of people that is searched as one."""

    id: str
    name: str
    keep_crops: bool  # whether aligned crops are stored, so that a new model can re-embed them
    metadata: dict[str, Any]
    created_at: datetime  # UTC
    people: int
    faces: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return asdict(self) | {"created_at": instant(self.created_at)}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with any number of faces."""

    id: str
    collection: str  # its name
    name: str
    metadata: dict[str, Any]
    created_at: datetime  # UTC
    updated_at: datetime  # UTC; also moved on by enrolling or removing faces
    faces: int
    external_id: str | None = None  # what another system calls them

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        times = {
            "created_at": instant(self.created_at),
            "updated_at": instant(self.updated_at),
        }
        return asdict(self) | times


@dataclass(frozen=True, slots=True)
class StoredFace:
    """One enrolled face. Its vectors stay in the gallery; see ``Gallery.vectors``."""

    id: str
    person_id: str
    photo_id: str | None
    contract_id: str  # the first of contract_ids
    contract_ids: tuple[str, ...]  # models that have embedded it
    box: Box | None  # xyxy pixels in the photo
    score: float | None  # detection score 0–1
    quality: dict[str, float]
    source: str
    created_at: datetime  # UTC
    has_crop: bool
    provenance: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return asdict(self) | {
            "contract_ids": list(self.contract_ids),
            "box": box_dict(self.box),
            "created_at": instant(self.created_at),
        }


@dataclass(frozen=True, eq=False)
class NewFace:
    """A face to enrol."""

    embedding: Embeddings  # exactly one row
    photo_id: str | None = None  # image.photo_id(): faces with one photo_id come from one photo
    box: Box | None = None
    score: float | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    # (S,S,3) uint8 RGB aligned; kept only where the collection says so
    crop: Image | None = field(default=None, repr=False)
    source: str = ""  # file name or client note
    provenance: Mapping[str, Any] = field(default_factory=dict)  # model, detector, runtime, ...


@dataclass(frozen=True, slots=True)
class Policy:
    """What a collection is for, who must have agreed, and how long what is kept of whom.

    Spans of None have no end. ``crops_for``: roles of the console that may see pictures of faces,
    and ``key`` for API keys; None: all that may see people.
    """

    purpose: str = ""
    legal_basis: str = ""
    consent: bool = False  # demanded before a face is enrolled
    on_withdrawal: OnWithdrawal = "erase"
    unseen_days: float | None = None  # people: since they were seen or enrolled last
    keep_days: float | None = None  # people: since they were added
    strangers_hours: float = 24.0  # faces of people who are not enrolled
    event_faces_days: float = 30.0  # faces behind events of people who are
    refused_days: float | None = None  # faces that were said not to be somebody, as numbers
    crops_for: tuple[str, ...] | None = None
    published: bool = False  # on the page for the public

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        for_ = None if self.crops_for is None else list(self.crops_for)
        return asdict(self) | {"crops_for": for_}


@dataclass(frozen=True, slots=True)
class NewConsent:
    """What somebody agreed to, as whoever enrols them says. No names: they are known by it."""

    text: str  # version of the text they agreed to
    evidence: str = ""  # where that can be seen: the number of a form, a session
    by: str = "themselves"  # or who agreed for them: a parent, a guardian
    what: str = ""  # to what; empty: the purpose of the collection
    at: datetime | None = None  # None: now


@dataclass(frozen=True, slots=True, repr=False)
class NewFaces:
    """Faces to enrol of one person, who is made where nobody has that name or external id."""

    name: str
    faces: Sequence[NewFace]
    metadata: Mapping[str, Any] | None = None  # of who is made; of others it stays
    external_id: str | None = None  # likewise
    consent: NewConsent | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """That somebody agreed, and whether it still stands."""

    id: str
    person_id: str
    what: str
    text: str  # version
    by: str
    evidence: str
    given_at: datetime  # UTC, as all times
    recorded_at: datetime
    recorded_by: str  # the credential, as the audit names it
    withdrawn_at: datetime | None
    withdrawn_by: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        ended = None if self.withdrawn_at is None else instant(self.withdrawn_at)
        return asdict(self) | {
            "given_at": instant(self.given_at),
            "recorded_at": instant(self.recorded_at),
            "withdrawn_at": ended,
        }


@dataclass(frozen=True, slots=True)
class Merge:
    """Somebody became part of another person, which can be undone."""

    id: str
    person_id: str  # who has the faces now
    person_name: str
    other_id: str  # who they were
    other_name: str
    faces: int  # faces that were handed over
    at: datetime  # UTC

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return asdict(self) | {"at": instant(self.at)}


@dataclass(frozen=True, slots=True)
class Unmerged:
    """Two people who were one."""

    person: Person  # who had the faces
    other: Person  # who is there again
    missing: int  # of the other's faces: deleted, or given to somebody else, since

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "person": self.person.to_dict(),
            "other": self.other.to_dict(),
            "missing": self.missing,
        }


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an image was not enrolled, as an ``ArcidError`` says it."""

    code: str
    message: str
    details: dict[str, Any]

    @classmethod
    def of(cls, error: ArcidError) -> Refused:
        return cls(error.code, error.message, error.details)


@dataclass(frozen=True, slots=True)
class Once:
    """What tells a request sent again from a new one."""

    key: str  # the client's; stored as a sha256
    fingerprint: str  # sha256 hex over all that the request asks for


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What became of the images of one request."""

    person: Person
    results: tuple[str | Refused, ...]  # an image each: the id of its face, or why it has none
    faces: list[StoredFace]  # those enrolled; of an answer given again, those still there
    replayed: bool = False  # answered before: nothing was done now

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "person": self.person.to_dict(),
            "faces": [face.to_dict() for face in self.faces],
            "results": [
                {"image": i, "face_id": result, "error": None}
                if isinstance(result, str)
                else {"image": i, "face_id": None, "error": asdict(result)}
                for i, result in enumerate(self.results)
            ],
        }


@dataclass(frozen=True, slots=True)
class ContractUsage:
    """How far a collection has come with one model."""

    contract_id: str
    model_name: str  # provenance["model"] of the first face, or what reembed was told
    faces: int
    people: int
    missing_people: int  # people who have faces, but none embedded by this model

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class IndexMisses:
    """Of so many searches, those whose best person an index did not find."""

    kind: str  # of index, as ARCID_INDEX names it
    searches: int
    missed: int
    low: float  # of the rate, 95 %
    high: float
    faces: int  # of the model, then
    measured_at: datetime  # UTC
    stale: bool = False  # the gallery has changed as often since as it had faces then

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "index": self.kind, "searches": self.searches, "missed": self.missed,
            "miss_rate": self.missed / self.searches, "miss_rate_low": self.low,
            "miss_rate_high": self.high, "faces": self.faces,
            "measured_at": instant(self.measured_at), "stale": self.stale,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReembedReport:
    done: int  # faces embedded by this call
    without_crop: int  # faces that have no crop to embed; these people need enrolling again
    already: int  # faces that had a vector of the new contract before


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the change log; the numbers grow strictly and in commit order."""

    seq: int
    collection_id: str
    kind: ChangeKind
    face_id: str | None
    person_id: str | None  # for face_moved the new person
    contract_id: str | None
    at: datetime  # UTC
