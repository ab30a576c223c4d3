"""What goes over the wire; pydantic at the HTTP edge only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from arcid.decide import DEFAULT_FPIR, Unsupported
from arcid.gallery import Aggregate
from arcid.models.trust import Trust
from arcid.types import Outcome

MAX_VECTOR = 4096
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
CollectionName = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f\x7f]+$")
]
Rate = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


Next = Annotated[
    str | None, Field(description="Hand it in as `after` for the next page; null: the end.")
]


def _encodable(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse text that no UTF-8 answer could hold."""
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            todo += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            todo += item
        elif isinstance(item, str) and any("\ud800" <= char <= "\udfff" for char in item):
            raise ValueError("text must be valid Unicode without lone surrogates")
    return value


Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(_encodable),
    Field(description="Anything of yours, as JSON; at most 16 KiB.", examples=[{"badge": "4711"}]),
]


class In(BaseModel):
    """A JSON body; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Out(BaseModel):
    """An answer, built from arcid's own values as their ``to_dict`` tells them."""

    model_config = ConfigDict(from_attributes=True)

    @model_validator(mode="before")
    @classmethod
    def _told(cls, value: Any) -> Any:
        return value.to_dict() if hasattr(value, "to_dict") else value


class ErrorBody(Out):
    code: str = Field(description="Stable, for programs.", examples=["no_face_found"])
    message: str = Field(description="What was wrong, what was expected, what to do.")
    details: dict[str, Any] = Field(description="Numbers behind the message.")


class ErrorEnvelope(Out):
    """Every error has this shape."""

    error: ErrorBody
    request_id: str = Field(description="Also in the X-Request-ID header and in the log.")


class Health(Out):
    status: Literal["ready"] = Field(description="The models are warm and the gallery answers.")
    version: str
    gallery_seen_s: float = Field(description="How long ago the gallery answered; under 15.")


class ErasureOut(Out):
    """Something was deleted and cannot be found any more, but its bytes are not gone yet."""

    erasure: Literal["held_up"] = "held_up"
    message: str = Field(description="What holds it up; it is tried again by itself.")


class ModelRun(Out):
    """Where a model runs."""

    runtime: str = Field(examples=["openvino"])
    device: str = Field(examples=["CPU"])
    precision: str = Field(examples=["f32"])


class OutboxOut(Out):
    """Events for somebody who is told of them."""

    target: str = Field(examples=["webhook-3f2a9c01d4b7"])
    waiting: int
    done: int = Field(description="In the last 30 days.")
    failed: int = Field(description="Given up after three days, in the last 30.")
    holder: str | None = Field(description="The process that delivers; null: none does.")


class TaskOut(Out):
    """Something the service does every so often by itself."""

    name: str
    every_s: float
    last: datetime | None = Field(description="When it last began here; null: not yet.")
    took_s: float
    problem: str | None = Field(description="What went wrong the last time.")
    elsewhere: bool = Field(description="Another process does it.")


class SpreadOut(Out):
    """The middle and the slow end of some times."""

    count: int
    p50_ms: float | None
    p95_ms: float | None


class LatencyOut(Out):
    """How long the newest 1,000 alerts of watchlists took, silent reviews left out."""

    stored: SpreadOut = Field(description="From the face being visible to the alert being stored.")
    delivered: SpreadOut = Field(description="To a receiver taking it; each receiver counts.")


class System(Out):
    version: str
    python: str
    platform: str
    cpu: str = Field(description="The processor's name, as the system gives it.")
    instruction_sets: list[str] = Field(
        description="Vector instructions that matter for speed.", examples=[["avx2", "avx512_vnni"]]
    )
    threads: int = Field(description="Threads of one inference.")
    workers: int = Field(description="Threads that decode and detect.")
    recogniser: ModelRun
    uptime_s: float
    queue_images: int = Field(description="Images waiting or being worked on.")
    queue_size: int
    database: str = Field(description="The gallery's URL, its password left out.")
    gallery: dict[str, Any] = Field(
        description="Schema version, journal mode, size and rows; what was lost (`losses`), and "
        "where bytes of what was deleted are left (`erasure`)."
    )
    alerts: LatencyOut | None = Field(description="null: not asked yet.")
    outbox: list[OutboxOut]
    tasks: list[TaskOut]


class LicenceOut(Out):
    name: str
    url: str | None
    commercial_use: bool | None = Field(description="null: not stated")


class UnansweredOut(Out):
    """A question at a default rate that the calibration does not support."""

    message: str
    advice: str
    gallery: str | None = Field(description="Collection; null: two photos.")


class CalibrationOut(Out):
    """On what data the meaning of a score was measured."""

    calibration_id: str
    status: str = Field(examples=["provisional"])
    provisional: bool
    dataset: Any = Field(description="Name and hash of the data.")
    people: int
    photos: int
    impostor_pairs: int
    person_pairs: int | None = Field(description="null: measured before people were counted")
    smallest_supported_fmr: float = Field(description="Smaller rates have no data behind them.")
    smallest_measured_fmr: float = Field(
        description="What its own photographs support; smaller rates rest on the packaged "
        "calibration too. 1: they support none by themselves."
    )
    combined_with: str | None = Field(description="Data of the packaged calibration behind it.")
    unanswered: list[UnansweredOut] = Field(
        description="Default rates that it does not support for the present collections."
    )
    restart_needed: bool = Field(
        description="Another calibration was put in force since the service started."
    )
    date: str


class ModelOut(Out):
    role: Literal["detection", "recognition"]
    name: str
    family: str
    description: str
    training_data: str
    source: str
    precision: str
    sha256: str | None
    trust: Trust | None = Field(
        default=None,
        description="Who vouches for it: arcid (packaged, signed), the catalogue, you (accepted), "
        "or nobody (unverified; changed: not any more). null: it has no file.",
    )
    licence: LicenceOut | None
    contract_id: str | None = Field(
        default=None, description="Recognisers: what every vector carries."
    )
    dim: int | None = None
    accuracy: dict[str, Any] = {}
    calibration: CalibrationOut | None = Field(
        default=None, description="Recognisers; null: none was found, so nothing can be decided."
    )


class Models(Out):
    models: list[ModelOut]


class Box(Out):
    """Pixels of the photo, origin top-left; may reach past its border."""

    x1: float
    y1: float
    x2: float
    y2: float


class ReasonOut(Out):
    code: str = Field(examples=["blurred"])
    value: float
    threshold: float
    message: str


class QualityOut(Out):
    ok: bool = Field(description="Whether the face should be enrolled.")
    reasons: list[ReasonOut]
    measured: dict[str, float] = Field(examples=[{"inter_eye_px": 61.2, "sharpness": 0.9}])


class FaceOut(Out):
    box: Box | None = Field(description="null for crops that came aligned")
    points: list[tuple[float, float]] | None = Field(
        description="Eyes (viewer's left first), nose, corners of the mouth."
    )
    score: float | None = Field(description="Detection score, 0–1.")
    quality: QualityOut | None


class Detected(Out):
    width: int
    height: int
    faces: list[FaceOut] = Field(description="Best score first; none is ordinary.")


class FaceVector(FaceOut):
    vector: list[float] = Field(description="Unit norm; comparable within one contract_id only.")


class Embedded(Out):
    model: str
    contract_id: str
    dim: int
    faces: list[FaceVector]


class DecisionOut(Out):
    outcome: Outcome
    cosine: float | None = Field(description="Higher is closer; null where nobody was compared.")
    cosine_threshold: float = Field(description="The cosine that the target rate asks for.")
    probability: float | None = Field(
        description="That both faces are one person, at equal prior odds."
    )
    fmr: float | None = Field(
        description="At most this share of comparisons of two people reaches this cosine; "
        "never below the smallest rate that the calibration's data supports."
    )
    target_fmr: float | None = Field(description="The error rate asked for, of a comparison.")
    target_fpir: float | None = Field(description="The error rate asked for, of a search.")
    gallery_size: int = Field(description="Templates compared; 1 for two photos.")
    calibration_id: str
    extrapolated: bool = Field(description="Beyond the measured data.")
    reason: str


class Compared(DecisionOut):
    a: FaceOut
    b: FaceOut


class PersonVerified(DecisionOut):
    face: FaceOut
    person: Candidate = Field(description="The person, with the face nearest to the probe.")


class CollectionIn(In):
    name: CollectionName = Field(examples=["staff"])
    keep_crops: bool = Field(
        False, description="Keep aligned crops, so that a new model can re-embed the faces."
    )
    metadata: Metadata | None = None


class CollectionPatch(In):
    """What is left out stays."""

    name: CollectionName | None = None
    keep_crops: bool | None = Field(
        default=None, description="false erases the crops stored so far."
    )
    metadata: Metadata | None = None


class CollectionOut(Out):
    id: str
    name: str
    keep_crops: bool
    metadata: dict[str, Any]
    created_at: datetime
    people: int
    faces: int


class Collections(Out):
    collections: list[CollectionOut] = Field(description="By name.")
    next: Next


class ContractOut(Out):
    """How far a collection has come with one model."""

    contract_id: str
    model_name: str
    faces: int
    people: int
    missing_people: int = Field(description="People with faces, but none of this model.")
    current: bool = Field(description="Whether it is the model that runs here.")


class Contracts(Out):
    contracts: list[ContractOut]


class PersonIn(In):
    name: str = Field(min_length=1, max_length=200, examples=["Ada Example"])
    metadata: Metadata | None = None


class PersonPatch(In):
    """What is left out stays."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    metadata: Metadata | None = None


class PersonOut(Out):
    id: str
    collection: str
    name: str
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    faces: int


class People(Out):
    people: list[PersonOut] = Field(description="By name.")
    next: Next


class MergeIn(In):
    other_id: Id = Field(description="Whose faces move over; this person is removed.")


class SplitIn(In):
    face_ids: list[Id] = Field(min_length=1, max_length=1000)
    name: str = Field(min_length=1, max_length=200, description="Of the new person.")
    metadata: Metadata | None = None


class MoveIn(In):
    person_id: Id


class StoredFaceOut(Out):
    id: str
    person_id: str
    photo_id: str | None = Field(description="Faces with one photo_id come from one photo.")
    contract_id: str = Field(description="The first of `contract_ids`.")
    contract_ids: list[str] = Field(description="Models that have embedded it.")
    box: Box | None
    score: float | None
    quality: dict[str, float]
    source: str
    created_at: datetime
    has_crop: bool
    provenance: dict[str, Any] = Field(description="Model, detector and runtime that made it.")


class FacesPage(Out):
    faces: list[StoredFaceOut]
    next: Next


class ImageResult(Out):
    """What became of one image: a face, or an error."""

    image: int = Field(description="Its place in the request, from 0.")
    face_id: str | None
    error: ErrorBody | None


class Enrolled(Out):
    person: PersonOut
    faces: list[StoredFaceOut]
    results: list[ImageResult] = Field(description="One an image, in the order of the request.")


class Candidate(Out):
    person_id: str
    name: str
    metadata: dict[str, Any]
    cosine: float
    probability: float | None = Field(
        description="That both faces are one person, at equal prior odds."
    )
    fmr: float | None = Field(description="As of a decision.")
    face_id: str = Field(description="The person's face nearest to the probe.")
    faces: int = Field(description="How many faces of the person were compared.")
    given_to: int | None = Field(
        default=None,
        description="The face of this photo, counted from 0, that this nearest person was given to "
        "instead; such a candidate stands last and is never the match.",
    )


class Identified(Out):
    candidates: list[Candidate] = Field(description="Best first.")
    decision: DecisionOut = Field(description="On the first candidate.")


class IdentifiedFace(Identified):
    face: FaceOut


class SearchOut(Out):
    collection: str
    contract_id: str
    faces: list[IdentifiedFace]


class VectorSearchOut(Identified):
    collection: str
    contract_id: str


class PersonSearchOut(Identified):
    collection: str
    contract_id: str


class VectorSearchIn(In):
    vector: list[Annotated[float, Field(allow_inf_nan=False)]] = Field(
        min_length=2, max_length=MAX_VECTOR, description="Any length; brought to unit norm."
    )
    contract_id: str = Field(
        min_length=1, max_length=128, description="Of the model that made the vector."
    )
    k: int = Field(default=5, ge=1, le=100)
    fpir: Rate = DEFAULT_FPIR
    aggregate: Aggregate = "max"
    unsupported: Unsupported = "review"


class PersonSearchIn(In):
    person_id: Id
    k: int = Field(default=5, ge=1, le=100)
    fpir: Rate = DEFAULT_FPIR
    unsupported: Unsupported = "review"
