"""What the service answers. Written by ``python scripts/make_client.py``."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Words and fields that a newer service adds do not disturb an older client."""

    model_config = ConfigDict(protected_namespaces=(), extra="ignore", defer_build=True)


class AheadOut(Model):
    """What the chosen recogniser means for a collection."""

    collection: str
    done: int
    """Faces with a vector of its contract."""

    waiting: int
    """Faces that a re-embedding makes one for."""

    stuck: int
    """Faces without a crop: enrol these people again."""

    problem: str | None = None
    """Why kept crops cannot be embedded by it."""


class AlertOut(Model):
    """An alert as it stands."""

    id: str
    list_id: str
    list_name: str
    collection: str
    level: Literal["alert", "review"] | str
    """alert, or review: nobody was told."""

    state: Literal["new", "acknowledged", "confirmed", "dismissed", "escalated"] | str
    person_id: str
    name: str
    camera: str
    place: str
    at: datetime
    """When the face was first seen, by the source's clock."""

    last_seen_at: datetime
    sightings: int
    raised_at: datetime
    latency_ms: int
    """From the face being visible to the alert being written."""

    four_eyes: bool
    confirmed_by: list[str]
    """Names of accounts; what was typed, with the key it came with in brackets."""

    waits_for_second: bool
    """One of two people has confirmed it."""

    steps: list[StepOut]
    """Oldest first, those taken back included."""

    picture_kept: bool
    """Of the face; `/face` shows it."""

    event_id: str
    face_id: str | None = None
    """The enrolled face that was nearest."""

    cosine: float | None = None
    cosine_threshold: float | None = None
    target_fpir: float | None = None
    gallery_size: int | None = None
    """Templates on the list."""

    reason: str | None = None


class AlertsOut(Model):
    """``AlertsOut`` of the service."""

    alerts: list[AlertOut]
    """Newest first."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class ApplicantOut(Model):
    """Where a session stands, as far as the applicant is told."""

    state: (
        Literal[
            "started",
            "consented",
            "documented",
            "review",
            "accepted",
            "rejected",
            "expired",
            "withdrawn",
        ]
        | str
    )
    expires_at: datetime
    tries_left: int
    live: bool
    """Whether a camera is asked for."""

    reads_zone: bool
    """Whether machine-readable zones are read in pictures."""

    consent_version: str
    consent_text: str
    codes: list[str]
    """What was wrong with what was handed in; empty: taken."""

    problem: str
    """The same for people, with what to do."""


class AuditOut(Model):
    """``AuditOut`` of the service."""

    entries: list[EntryOut]
    """Newest first."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class AuthenticatedOut(Model):
    """Whether somebody is let in as the person."""

    accepted: bool
    why: Literal["", "not_live", "another_face"] | str
    decision: DecisionOut | None = None
    """Null where no living face was seen."""

    liveness: float
    liveness_threshold: float
    tries_left: int
    """Before the person is locked for a while."""


class BackupOut(Model):
    """A file in the folder of backups."""

    name: str
    made_at: datetime
    bytes: int


class BackupsOut(Model):
    """How backups are doing."""

    scheduled: bool
    """Whether `ARCID_BACKUPS` names a folder."""

    every_h: float
    """How many hours lie between two."""

    keep: int
    """How many of the newest stay."""

    problem: str | None = None
    """What is wrong, in words; null: nothing."""

    backups: list[BackupOut]
    """Newest first."""


class Box(Model):
    """Pixels of the photo, origin top-left; may reach past its border."""

    x1: float
    y1: float
    x2: float
    y2: float


class BudgetOut(Model):
    """What a list's budget comes to at one camera, now."""

    templates: int
    """Of the people on the list."""

    flow: FlowOut
    alert: LineOut
    review: LineOut
    calibration_id: str


class CalibrationOut(Model):
    """On what data the meaning of a score was measured."""

    calibration_id: str
    status: str
    provisional: bool
    dataset: Any
    """Name and hash of the data."""

    people: int
    photos: int
    impostor_pairs: int
    person_pairs: int | None = None
    """null: measured before people were counted"""

    smallest_supported_fmr: float
    """Smaller rates have no data behind them."""

    smallest_measured_fmr: float
    """What its own photographs support; smaller rates rest on the packaged calibration too. 1:
    they support none by themselves.
    """

    combined_with: str | None = None
    """Data of the packaged calibration behind it."""

    unanswered: list[UnansweredOut]
    """Default rates that it does not support for the present collections."""

    restart_needed: bool
    """Another calibration was put in force since the service started."""

    date: str


class CalibrationsOut(Model):
    """``CalibrationsOut`` of the service."""

    model: str
    calibrations: list[KeptOut]
    """The one in force first."""


class CameraOut(Model):
    """``CameraOut`` of the service."""

    id: str
    name: str
    source: str
    """Without user, password and what follows a `?`; empty where it is `sealed`."""

    collection: str
    place: str
    liveness: Literal["off", "flag", "require"] | str
    enabled: bool
    attendance: bool
    """Whether arrivals and visitors are written in the attendance book. Without, it serves
    whatever else observes it, and looks at nobody where nothing does.
    """

    sealed: bool
    """Its address was sealed with a key that is not there."""

    state: Literal["off", "starting", "live", "trouble", "ended"] | str
    """`starting`, `live`, `trouble` (unreachable, or watched by another process), `ended` (a
    file was read), `off`.
    """

    since: datetime | None = None
    """When the state began; null where it is off."""

    problem: str | None = None
    """Why it is in trouble, in words."""

    frames_per_s: float
    """Watched, not sent; 0 unless live."""

    size: Size | None = None
    """Of its newest picture; null before the first."""


class Cameras(Model):
    """``Cameras`` of the service."""

    cameras: list[CameraOut]
    """By name."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class Candidate(Model):
    """``Candidate`` of the service."""

    person_id: str
    name: str
    external_id: str | None = None
    metadata: dict[str, Any]
    cosine: float
    probability: float | None = None
    """That both faces are one person, at equal prior odds."""

    fmr: float | None = None
    """As of a decision."""

    face_id: str
    """The person's face nearest to the probe."""

    faces: int
    """How many faces of the person were compared."""

    given_to: int | None = None
    """The face of this photo, counted from 0, that this nearest person was given to instead;
    such a candidate stands last and is never the match.
    """


class CandidateOut(Model):
    """Somebody the face may be."""

    person_id: str
    name: str
    cosine: float
    face_id: str | None = None
    """The enrolled face that was nearest."""

    refused: bool
    """A human said that it is not them."""


class ChanceOut(Model):
    """How likely a stranger's passage opens the door, as it is set up now."""

    target_fpir: float
    """At most so often, as the door asks."""

    people: int
    """Who may pass it."""

    templates: int
    """Of theirs."""

    support: Literal["measured", "extrapolated", "out_of_reach"] | str
    """measured, extrapolated beyond the calibration's data, or out_of_reach: nobody is let in."""

    cosine_threshold: float | None = None
    supported_fpir: float | None = None
    """The least that the calibration's own data stand for at that threshold."""

    missed: float | None = None
    """Share of comparisons of one person's two photos below the threshold."""


class CheckOut(Model):
    """One thing that was looked at."""

    code: str
    effect: Literal["pass", "note", "review", "reject"] | str
    message: str
    measured: dict[str, Any]


class ChoiceOut(Model):
    """Which model a task gets at the next start, and why."""

    task: Literal["recognition", "detection", "liveness", "landmarks"] | str
    name: str | None = None
    why: Literal["named", "chosen", "packaged"] | str
    """named: by a setting; chosen: here; packaged: the default."""

    variable: str
    """The setting that counts before any choice."""

    problem: str | None = None
    """Why the service would not start with it."""

    running: str
    restart_needed: bool


class ChosenOut(Model):
    """``ChosenOut`` of the service."""

    choice: ChoiceOut
    ahead: list[AheadOut]
    """Of a recogniser; of a detector empty."""


class CollectionOut(Model):
    """``CollectionOut`` of the service."""

    id: str
    name: str
    keep_crops: bool
    metadata: dict[str, Any]
    created_at: datetime
    people: int
    faces: int


class Collections(Model):
    """``Collections`` of the service."""

    collections: list[CollectionOut]
    """By name."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class Compared(Model):
    """``Compared`` of the service."""

    outcome: Literal["match", "no_match", "review"] | str
    cosine: float | None = None
    """Higher is closer; null where nobody was compared."""

    cosine_threshold: float
    """The cosine that the target rate asks for."""

    probability: float | None = None
    """That both faces are one person, at equal prior odds."""

    fmr: float | None = None
    """At most this share of comparisons of two people reaches this cosine; never below the
    smallest rate that the calibration's data supports.
    """

    target_fmr: float | None = None
    """The error rate asked for, of a comparison."""

    target_fpir: float | None = None
    """The error rate asked for, of a search."""

    gallery_size: int
    """Templates compared; 1 for two photos."""

    calibration_id: str
    extrapolated: bool
    """Beyond the measured data."""

    fnir: float | None = None
    """Of a search: at most this share of people enrolled with one photo is missed, by the
    threshold (as calibrated) or by the index; null where that was not measured.
    """

    index_miss_rate: float | None = None
    """The index's part of it: upper end of a 95 % interval, 0 where everybody is looked at."""

    reason: str
    a: FaceOut
    b: FaceOut


class ComparedFace(Model):
    """``ComparedFace`` of the service."""

    outcome: Literal["match", "no_match", "review"] | str
    cosine: float | None = None
    """Higher is closer; null where nobody was compared."""

    cosine_threshold: float
    """The cosine that the target rate asks for."""

    probability: float | None = None
    """That both faces are one person, at equal prior odds."""

    fmr: float | None = None
    """At most this share of comparisons of two people reaches this cosine; never below the
    smallest rate that the calibration's data supports.
    """

    target_fmr: float | None = None
    """The error rate asked for, of a comparison."""

    target_fpir: float | None = None
    """The error rate asked for, of a search."""

    gallery_size: int
    """Templates compared; 1 for two photos."""

    calibration_id: str
    extrapolated: bool
    """Beyond the measured data."""

    fnir: float | None = None
    """Of a search: at most this share of people enrolled with one photo is missed, by the
    threshold (as calibrated) or by the index; null where that was not measured.
    """

    index_miss_rate: float | None = None
    """The index's part of it: upper end of a 95 % interval, 0 where everybody is looked at."""

    reason: str
    face: FaceOut


class ComparedFaces(Model):
    """``ComparedFaces`` of the service."""

    a: FaceOut
    faces: list[ComparedFace]
    """Those of the second photo, the nearest first. The rate is that of one comparison: among
    n faces of others about n times as many match.
    """


class ConsentGiven(Model):
    """That the person agreed; demanded where the collection's policy says so."""

    text: str
    """The version of the text they agreed to."""

    evidence: str = ""
    """Where that can be seen, as the number of a form."""

    by: str = "themselves"
    """Or who agreed for them, as a parent."""

    at: datetime | None = None
    """When; left out: now."""


class ConsentsOut(Model):
    """``ConsentsOut`` of the service."""

    consents: list[PrivacyConsentOut]
    """Newest first."""


class ContractOut(Model):
    """How far a collection has come with one model."""

    contract_id: str
    model_name: str
    faces: int
    people: int
    missing_people: int
    """People with faces, but none of this model."""

    current: bool
    """Whether it is the model that runs here."""


class Contracts(Model):
    """``Contracts`` of the service."""

    contracts: list[ContractOut]


class Corrected(Model):
    """``Corrected`` of the service."""

    correction: EventOut
    event: EventOut
    """As it reads now."""

    blocked: bool


class CountsOut(Model):
    """``CountsOut`` of the service."""

    people: int
    strangers: int
    """Faces of people who are not enrolled."""

    event_faces: int
    """Faces behind events of people who are."""

    refused: int
    """Faces that were said not to be somebody."""


class DayOut(Model):
    """``DayOut`` of the service."""

    collection: str
    day: date
    rows: list[PresenceOut]


class DecisionOut(Model):
    """``DecisionOut`` of the service."""

    outcome: Literal["match", "no_match", "review"] | str
    cosine: float | None = None
    """Higher is closer; null where nobody was compared."""

    cosine_threshold: float
    """The cosine that the target rate asks for."""

    probability: float | None = None
    """That both faces are one person, at equal prior odds."""

    fmr: float | None = None
    """At most this share of comparisons of two people reaches this cosine; never below the
    smallest rate that the calibration's data supports.
    """

    target_fmr: float | None = None
    """The error rate asked for, of a comparison."""

    target_fpir: float | None = None
    """The error rate asked for, of a search."""

    gallery_size: int
    """Templates compared; 1 for two photos."""

    calibration_id: str
    extrapolated: bool
    """Beyond the measured data."""

    fnir: float | None = None
    """Of a search: at most this share of people enrolled with one photo is missed, by the
    threshold (as calibrated) or by the index; null where that was not measured.
    """

    index_miss_rate: float | None = None
    """The index's part of it: upper end of a 95 % interval, 0 where everybody is looked at."""

    reason: str


class Deliveries(Model):
    """``Deliveries`` of the service."""

    deliveries: list[DeliveryOut]
    """Newest first."""


class DeliveryOut(Model):
    """What became of one event for one receiver."""

    event_id: str
    kind: str
    recorded_at: datetime
    state: Literal["waiting", "done", "failed"] | str
    """failed: given up after three days."""

    attempts: int
    next_at: datetime | None = None
    """When it is tried again."""

    ended_at: datetime | None = None
    problem: str | None = None
    """Of the last attempt."""


class Detected(Model):
    """``Detected`` of the service."""

    width: int
    height: int
    faces: list[MarkedFace]
    """Best score first; none is ordinary."""


class DisclosureOut(Model):
    """``DisclosureOut`` of the service."""

    at: datetime
    kind: Literal["told", "export", "subject"] | str
    """To a receiver of events; as a file; to the person themselves."""

    recipient: str
    actor: str
    collection_id: str | None = None
    person_id: str | None = None
    """null: nobody known."""

    what: str


class DisclosuresOut(Model):
    """``DisclosuresOut`` of the service."""

    disclosures: list[DisclosureOut]
    """Newest first."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class DoorList(Model):
    """``DoorList`` of the service."""

    doors: list[DoorOut]
    """By name."""


class DoorOut(Model):
    """``DoorOut`` of the service."""

    id: str
    name: str
    collection: str
    camera: str
    output: str
    enabled: bool
    release_s: float
    shuts_s: float
    held_s: float
    near: float
    fpir: float
    looks: int
    liveness: bool
    two_person: bool
    two_person_s: float
    passback: Literal["off", "soft", "hard", "timed"] | str
    passback_s: float
    from_area: str
    to_area: str
    interlock: list[str]
    duress: Literal["open", "refuse"] | str
    fresh_s: float
    offline_s: float
    keep_days: float
    camera_id: str
    """Of its camera, once the service found it."""

    contact_open: bool | None = None
    """null: no contact says."""

    alarm: DoorsAnswerOut | None = None
    """Forced or held open, until acknowledged."""

    lockdown: str | None = None
    """Why it is locked down; null where it is not."""

    here: bool
    """Whether this process has its output."""

    problem: str | None = None
    """Why its output cannot be used, in words."""

    copy_age_s: float | None = None
    """How old the local copy is that decisions go by; null: the database answers."""

    chance: ChanceOut | None = None
    """null where there is no calibration."""

    lately: list[DoorsAnswerOut]
    """Its newest answers in this process."""


class DoorReasonOut(Model):
    """``DoorReasonOut`` of the service."""

    code: str
    words: str


class DoorRulesGroupOut(Model):
    """``DoorRulesGroupOut`` of the service."""

    name: str
    members: list[DoorRulesMemberOut]


class DoorRulesMemberOut(Model):
    """``DoorRulesMemberOut`` of the service."""

    person_id: str
    name: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None


class DoorsAnswerOut(Model):
    """What a door answered in this process."""

    at: datetime
    outcome: Literal["granted", "refused", "alarm"] | str
    words: str
    reasons: list[DoorReasonOut]
    person_id: str | None = None
    name: str | None = None
    actor: str | None = None
    duress: bool
    offline: bool
    decision: DecisionOut | None = None
    """With the error rate it was decided at."""


class DuplicateRunsRunOut(Model):
    """A comparison of everybody with everybody, or as far as it has come."""

    id: str
    collection: str
    other: str | None = None
    kind: Literal["all", "between", "since"] | str
    state: Literal["waiting", "running", "stopped", "done", "failed"] | str
    silent: bool
    """It runs, but whoever ran it was cut off."""

    promise: str
    """What its threshold means, in words."""

    false_pairs: float
    """Expected at most, as asked for."""

    comparisons: int
    """Pairs of two different people's templates."""

    target_fmr: float
    cosine_threshold: float
    false_low: int | None = None
    """95 % of runs like it find so many false pairs or more, where photos are like those of
    the calibration; null: of runs begun before this was said.
    """

    false_high: int | None = None
    """And so many or fewer."""

    extrapolated: bool
    combined: bool
    contract_id: str
    calibration_id: str
    templates: int
    blocks: int
    done: int
    share: float
    """How much of it is done, 0 to 1."""

    pairs: int
    """Pairs of people that it found last."""

    open: int
    """Of them, waiting for an answer."""

    actor: str
    started_at: datetime
    beat_at: datetime
    """Its last block."""

    ended_at: datetime | None = None
    worked_s: float
    problem: str | None = None


class DuplicatesGroupOut(Model):
    """People who may all be one."""

    people: list[SideOut]
    pairs: list[str]
    """Ids, most probable first."""

    refused: list[str]
    """Pairs that would join it with somebody who cannot be one of them."""

    cosine: float
    """Of the weakest pair that was needed."""


class Embedded(Model):
    """``Embedded`` of the service."""

    model: str
    contract_id: str
    dim: int
    faces: list[FaceVector]


class Enrolled(Model):
    """``Enrolled`` of the service."""

    person: PersonOut
    faces: list[StoredFaceOut]
    results: list[ImageResult]
    """One an image, in the order of the request."""


class EnrolledEach(Model):
    """``EnrolledEach`` of the service."""

    faces: list[EnrolledFace]
    """Those of the photo, best score first."""


class EnrolledFace(Model):
    """What became of one face of a photo: a person of its own, or an error."""

    face: FaceOut
    person: PersonOut | None = None
    face_id: str | None = None
    error: ErrorBody | None = None


class EntryOut(Model):
    """One row. It holds ids, and no names."""

    seq: int
    """1, 2, 3, … over all collections, without a gap."""

    at: datetime
    actor: str
    address: str | None = None
    """Of the client, where somebody acted over a network."""

    verb: str
    subject: str
    collection_id: str | None = None
    reason: str
    details: dict[str, Any]
    digest: str
    """sha256 over this row and the digest before it."""


class ErrorBody(Model):
    """``ErrorBody`` of the service."""

    code: str
    """Stable, for programs."""

    message: str
    """What was wrong, what was expected, what to do."""

    details: dict[str, Any]
    """Numbers behind the message."""


class EventOut(Model):
    """As it reads with its corrections."""

    id: str
    kind: str
    at: datetime
    """When it happened, by the source's clock."""

    recorded_at: datetime
    collection: str
    camera: str
    place: str
    person_id: str | None = None
    name: str | None = None
    """null: nobody known, or since deleted."""

    visitor_id: str | None = None
    """Unknown visitors: the event first seen in."""

    about_id: str | None = None
    """Corrections: the event they speak of."""

    action: str | None = None
    actor: str | None = None
    note: str | None = None
    corrections: list[str]
    """Ids of the corrections applied."""

    flagged: bool
    """The face may have been a picture; the camera let it pass."""

    voided: bool


class Events(Model):
    """``Events`` of the service."""

    events: list[EventOut]
    """Newest first."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class Explained(Model):
    """``Explained`` of the service."""

    event: EventOut
    grounds: dict[str, Any]
    """Score, threshold, target rate, calibration, gallery size, model, candidates, and the
    track's quality.
    """

    candidate_names: dict[str, str]
    history: list[dict[str, Any]]
    """The event as written, then its corrections."""

    face_kept: bool


class FaceOut(Model):
    """``FaceOut`` of the service."""

    box: Box | None = None
    """null for crops that came aligned"""

    points: list[tuple[float, float]] | None = None
    """Eyes (viewer's left first), nose, corners of the mouth."""

    score: float | None = None
    """Detection score, 0–1."""

    quality: QualityOut | None = None


class FaceVector(Model):
    """``FaceVector`` of the service."""

    box: Box | None = None
    """null for crops that came aligned"""

    points: list[tuple[float, float]] | None = None
    """Eyes (viewer's left first), nose, corners of the mouth."""

    score: float | None = None
    """Detection score, 0–1."""

    quality: QualityOut | None = None
    landmarks: list[tuple[float, float]] | None = None
    """Only where asked for: the 68 points of iBUG 300-W, jaw, brows, nose, eyes, mouth, each
    group from the viewer's left; null for crops that came aligned.
    """

    vector: list[float]
    """Unit norm; comparable within one contract_id only."""


class FacesPage(Model):
    """``FacesPage`` of the service."""

    faces: list[StoredFaceOut]
    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class FlowOut(Model):
    """How many faces a camera sees, and what that is known from."""

    faces: int
    hours: float
    faces_per_hour: float
    """The prior counted in."""

    prior_faces_per_hour: float
    prior_hours: float


class GroupIn(Model):
    """``GroupIn`` of the service."""

    name: str


class GroupList(Model):
    """``GroupList`` of the service."""

    groups: list[DoorRulesGroupOut]
    """By name."""


class GroupsOut(Model):
    """``GroupsOut`` of the service."""

    groups: list[DuplicatesGroupOut]
    """Largest first."""


class Health(Model):
    """``Health`` of the service."""

    status: Literal["ready"] | str
    """The models are warm and the gallery answers."""

    version: str
    gallery_seen_s: float
    """How long ago the gallery answered; under 15."""


class HolidayList(Model):
    """``HolidayList`` of the service."""

    holidays: list[HolidayOut]
    """By day; of all doors."""


class HolidayOut(Model):
    """``HolidayOut`` of the service."""

    day: date
    name: str


class IdentifiedFace(Model):
    """``IdentifiedFace`` of the service."""

    candidates: list[Candidate]
    """Best first."""

    decision: DecisionOut
    """On the first candidate."""

    face: FaceOut


class ImageResult(Model):
    """What became of one image or vector: a face, or an error."""

    image: int
    """Its place in the request, from 0."""

    face_id: str | None = None
    error: ErrorBody | None = None


class InstalledModels(Model):
    """``InstalledModels`` of the service."""

    installed: list[InstalledOut]
    unusable: dict[str, str]
    """Bundles that cannot be used, and why."""

    available: list[OfferOut]
    """What could be pulled; nothing is by itself."""

    downloads: bool
    """Whether `ARCID_MODEL_DOWNLOADS` lets admins pull here."""

    next_start: list[ChoiceOut]


class InstalledOut(Model):
    """A model found on this machine."""

    name: str
    task: Literal["recognition", "detection", "liveness", "landmarks"] | str
    description: str
    precision: str
    dim: int | None = None
    contract_id: str | None = None
    """Vectors of two contracts never meet."""

    calibration: str | None = None
    """measured, provisional, no or unusable."""

    origin: Literal["packaged", "models", "data", "path"] | str
    trust: Literal["packaged", "signed", "catalogue", "accepted", "changed", "unverified"] | str
    licence: str
    commercial_use: bool | None = None
    """null: the licence does not say."""

    measured: dict[str, Any] | None = None
    """TAR at FMR 1e-4 on LFW View 1 DevTest behind scrfd_2.5g, with its 95 % interval; null:
    not measured here.
    """

    runs: bool
    """In this service, now."""


class JobOut(Model):
    """Long work, or as far as it has come."""

    id: str
    kind: Literal["import", "delete_people", "reembed", "duplicates"] | str
    collection: str
    state: Literal["waiting", "running", "stopped", "done", "failed", "cancelled"] | str
    silent: bool
    """It runs, but whoever ran it was cut off; it is taken up."""

    total: int
    """Items; of duplicates: blocks."""

    done: int
    """Of them, refused ones too."""

    refused: int
    share: float
    """How much of it is done, 0 to 1."""

    run_id: str | None = None
    """Of duplicates: the run that it stands for."""

    actor: str
    """Who began it, as the audit names them."""

    holder: str
    """Which process works on it, or did last."""

    created_at: datetime
    beat_at: datetime
    """Its last change."""

    ended_at: datetime | None = None
    problem: str | None = None


class JobsConsentIn(Model):
    """``JobsConsentIn`` of the service."""

    text: str
    """Version of the text agreed to."""

    evidence: str = ""
    """Where that can be seen."""

    by: str = "themselves"
    """Who agreed."""

    at: datetime | None = None
    """When; left out: now."""


class JobsOut(Model):
    """``JobsOut`` of the service."""

    jobs: list[JobOut]
    """Newest first."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class KeptOut(Model):
    """A calibration that could decide."""

    calibration_id: str
    packaged: bool
    """It came with the model."""

    in_force: bool
    """From the next start on."""

    running: bool
    """This service decides by it now."""

    dataset: str
    status: str
    people: int
    photos: int
    genuine_pairs: int
    impostor_pairs: int
    date: str
    notes: str | None = None
    smallest_supported_fmr: float
    smallest_measured_fmr: float
    combined_with: str | None = None
    """The packaged one's photographs."""


class KeysKeyOut(Model):
    """A key as it stands. What programs show is not in it."""

    id: str
    name: str
    prefix: str
    """How what programs show begins."""

    state: Literal["valid", "expired", "revoked"] | str
    verbs: list[
        Literal["read", "search", "enrol", "decide", "delete", "doors", "admin", "vectors"] | str
    ]
    collections: list[str] | None = None
    """null: all."""

    per_minute: int | None = None
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    old_until: datetime | None = None
    """Until then the one before is taken, too."""

    revoked_at: datetime | None = None
    used_at: datetime | None = None
    """Within a minute."""


class KeysOut(Model):
    """``KeysOut`` of the service."""

    keys: list[KeysKeyOut]
    """By name, those that ended included."""


class LatencyOut(Model):
    """How long the newest 1,000 alerts of watchlists took, silent reviews left out."""

    stored: SpreadOut
    """From the face being visible to the alert being stored."""

    delivered: SpreadOut
    """To a receiver taking it; each receiver counts."""


class LeftOut(Model):
    """Something that was not taken, and why."""

    item: str
    """Where a photo lies, or whom or what it is about."""

    person: str
    """Their name; empty where there is none."""

    code: str
    message: str


class LicenceOut(Model):
    """``LicenceOut`` of the service."""

    name: str
    url: str | None = None
    commercial_use: bool | None = None
    """null: not stated"""


class LineOut(Model):
    """One threshold."""

    per_hour: float
    """False ones a camera-hour, as asked for."""

    target_fpir: float
    """Of one face."""

    cosine_threshold: float
    support: str
    """measured, extrapolated beyond the calibration's data, or out_of_reach."""

    expected_per_hour: float
    """False ones at most: of one look at each face, and several have to agree."""

    expected_low: float
    """95 % interval of the calibration."""

    expected_high: float
    missed: float
    """Share of genuine comparisons below it (FNMR)."""


class LiveFace(Model):
    """``LiveFace`` of the service."""

    box: Box | None = None
    """null for crops that came aligned"""

    points: list[tuple[float, float]] | None = None
    """Eyes (viewer's left first), nose, corners of the mouth."""

    score: float | None = None
    """Detection score, 0–1."""

    quality: QualityOut | None = None
    live: bool
    liveness: float
    """0–1, higher is live."""


class LivenessOut(Model):
    """``LivenessOut`` of the service."""

    model: str
    liveness_threshold: float
    """From which a face counts as live."""

    faces: list[LiveFace]


class MadeOut(Model):
    """``MadeOut`` of the service."""

    key: KeysKeyOut
    secret: str
    """What programs show. Told once; arcid keeps its sha256."""


class MarkedFace(Model):
    """``MarkedFace`` of the service."""

    box: Box | None = None
    """null for crops that came aligned"""

    points: list[tuple[float, float]] | None = None
    """Eyes (viewer's left first), nose, corners of the mouth."""

    score: float | None = None
    """Detection score, 0–1."""

    quality: QualityOut | None = None
    landmarks: list[tuple[float, float]] | None = None
    """Only where asked for: the 68 points of iBUG 300-W, jaw, brows, nose, eyes, mouth, each
    group from the viewer's left; null for crops that came aligned.
    """


class MembersOut(Model):
    """``MembersOut`` of the service."""

    people: list[WatchlistsMemberOut]
    """By name."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class ModelOut(Model):
    """``ModelOut`` of the service."""

    role: Literal["detection", "recognition"] | str
    name: str
    family: str
    description: str
    training_data: str
    source: str
    precision: str
    sha256: str | None = None
    trust: (
        Literal["packaged", "signed", "catalogue", "accepted", "changed", "unverified"] | str | None
    ) = None
    """Who vouches for it: arcid (packaged, signed), the catalogue, you (accepted), or nobody
    (unverified; changed: not any more). null: it has no file.
    """

    licence: LicenceOut | None = None
    contract_id: str | None = None
    """Recognisers: what every vector carries."""

    dim: int | None = None
    accuracy: dict[str, Any] = {}
    calibration: CalibrationOut | None = None
    """Recognisers; null: none was found, so nothing can be decided."""


class ModelRun(Model):
    """Where a model runs."""

    runtime: str
    device: str
    precision: str


class Models(Model):
    """``Models`` of the service."""

    models: list[ModelOut]


class MonthOut(Model):
    """``MonthOut`` of the service."""

    collection: str
    days: list[date]
    rows: list[MonthRowOut]


class MonthRowOut(Model):
    """``MonthRowOut`` of the service."""

    person_id: str
    name: str
    days_present: int
    workdays_absent: int
    hours: float
    days: list[PresenceOut | None]
    """One a day; null: still to come."""


class OfferOut(Model):
    """A model, or a pack of them, of the catalogue."""

    name: str
    models: list[str]
    description: str
    size_bytes: int | None = None
    """null: not published."""

    licence: str
    commercial_use: bool | None = None


class OnboardingAnswerOut(Model):
    """``OnboardingAnswerOut`` of the service."""

    id: str
    outcome: Literal["accepted", "review", "rejected"] | str
    actor: str
    """`arcid` where it decided by itself."""

    note: str
    at: datetime
    undone_at: datetime | None = None
    undone_by: str | None = None


class OnboardingConsentOut(Model):
    """``OnboardingConsentOut`` of the service."""

    version: str
    text_sha256: str
    at: datetime


class OnboardingKeyOut(Model):
    """``OnboardingKeyOut`` of the service."""

    fingerprint: str
    """sha256 of the public key: verify evidence with it."""


class OpeningOut(Model):
    """``OpeningOut`` of the service."""

    id: str
    state: Literal["asked", "claimed", "opened", "failed", "unknown", "refused", "expired"] | str
    detail: str | None = None
    """Why it did not open, in words."""


class OutboxOut(Model):
    """Events for somebody who is told of them."""

    target: str
    waiting: int
    done: int
    """In the last 30 days."""

    failed: int
    """Given up after three days, in the last 30."""

    holder: str | None = None
    """The process that delivers; null: none does."""


class PairAnswerOut(Model):
    """What a human said about two people."""

    id: str
    verdict: Literal["same", "different", "lookalike", "unsure"] | str
    a_id: str
    a_name: str | None = None
    b_id: str
    b_name: str | None = None
    cosine: float
    actor: str
    note: str
    at: datetime
    merge_id: str | None = None
    """They were merged; undoing the answer undoes that."""

    undone_at: datetime | None = None
    undone_by: str | None = None


class PairAnswersOut(Model):
    """``PairAnswersOut`` of the service."""

    answers: list[PairAnswerOut]
    """Newest first."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class PairOut(Model):
    """Two people who may be one."""

    id: str
    run_id: str
    a: SideOut
    b: SideOut
    cosine: float
    probability: float
    fmr: float
    templates: int
    """Pairs of their templates at the run's threshold."""

    state: Literal["open", "same", "different", "lookalike", "unsure", "photo"] | str
    """photo: one photo shows both, so they are two people."""

    same_photo: bool
    """The same face of the same photo was enrolled under both names."""

    found_at: datetime
    answer_id: str | None = None
    """The answer that stands: hand it in to undo it."""


class PairsOut(Model):
    """``PairsOut`` of the service."""

    pairs: list[PairOut]
    """Most probable first."""

    waiting: int
    """How many are open in all."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class PassageList(Model):
    """``PassageList`` of the service."""

    passages: list[PassageOut]
    """Newest first."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class PassageOut(Model):
    """``PassageOut`` of the service."""

    id: str
    at: datetime
    door_id: str
    door: str
    outcome: Literal["granted", "refused", "alarm"] | str
    words: str
    reasons: list[DoorReasonOut]
    person_id: str | None = None
    name: str | None = None
    """As it is now; null once the person is deleted."""

    with_id: str | None = None
    """The first of two persons."""

    actor: str | None = None
    note: str | None = None
    opening: str | None = None
    """`opened`, `failed`, `unknown` or `claimed`."""

    detail: str | None = None
    duress: bool
    offline_s: float | None = None
    target_fpir: float | None = None
    cosine: float | None = None


class People(Model):
    """``People`` of the service."""

    people: list[PersonOut]
    """By name."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class PersonOut(Model):
    """``PersonOut`` of the service."""

    id: str
    collection: str
    name: str
    external_id: str | None = None
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    faces: int


class PersonSearchOut(Model):
    """``PersonSearchOut`` of the service."""

    candidates: list[Candidate]
    """Best first."""

    decision: DecisionOut
    """On the first candidate."""

    collection: str
    contract_id: str


class PersonVerified(Model):
    """``PersonVerified`` of the service."""

    outcome: Literal["match", "no_match", "review"] | str
    cosine: float | None = None
    """Higher is closer; null where nobody was compared."""

    cosine_threshold: float
    """The cosine that the target rate asks for."""

    probability: float | None = None
    """That both faces are one person, at equal prior odds."""

    fmr: float | None = None
    """At most this share of comparisons of two people reaches this cosine; never below the
    smallest rate that the calibration's data supports.
    """

    target_fmr: float | None = None
    """The error rate asked for, of a comparison."""

    target_fpir: float | None = None
    """The error rate asked for, of a search."""

    gallery_size: int
    """Templates compared; 1 for two photos."""

    calibration_id: str
    extrapolated: bool
    """Beyond the measured data."""

    fnir: float | None = None
    """Of a search: at most this share of people enrolled with one photo is missed, by the
    threshold (as calibrated) or by the index; null where that was not measured.
    """

    index_miss_rate: float | None = None
    """The index's part of it: upper end of a 95 % interval, 0 where everybody is looked at."""

    reason: str
    face: FaceOut | None = None
    """null: a vector was handed in."""

    person: Candidate
    """The person, with the face nearest to the probe."""


class PolicyOut(Model):
    """``PolicyOut`` of the service."""

    purpose: str
    legal_basis: str
    consent: bool
    """Demanded before a face is enrolled."""

    on_withdrawal: Literal["erase", "review"] | str
    """erase: the person is deleted at once; review: somebody decides."""

    unseen_days: float | None = None
    """People are deleted so long after they were seen or enrolled last; null: without end."""

    keep_days: float | None = None
    """People are deleted so long after they were added; null: without end."""

    strangers_hours: float
    """Faces of people who are not enrolled."""

    event_faces_days: float
    """Faces behind events of people who are."""

    refused_days: float | None = None
    """Faces that were said not to be somebody, as numbers; null: as long as the person."""

    crops_for: list[str] | None = None
    """Roles that may see pictures of faces, `key` for API keys; null: whoever may see people."""

    published: bool
    """On the page for the public."""

    people: int
    """With faces."""

    agreed: int
    """Of them, whose consent stands."""

    withdrawn: list[str]
    """Ids of who withdrew and waits for a decision."""


class PresenceOut(Model):
    """``PresenceOut`` of the service."""

    person_id: str
    name: str
    first_in: datetime | None = None
    """null: absent"""

    last_out: datetime | None = None
    """null: absent, or still there"""

    hours: float
    absent: bool
    still_there: bool
    incomplete: bool
    """An arrival without a departure."""


class PresentOut(Model):
    """``PresentOut`` of the service."""

    present: list[StayOut]


class PreviewOut(Model):
    """What an import would take, and what not."""

    people: int
    items: int
    left_by_reason: dict[str, int]
    left: list[LeftOut]
    """The first thousand."""


class PrivacyConsentOut(Model):
    """``PrivacyConsentOut`` of the service."""

    id: str
    person_id: str
    what: str
    text: str
    by: str
    evidence: str
    given_at: datetime
    recorded_at: datetime
    recorded_by: str
    """The credential, as the audit names it."""

    withdrawn_at: datetime | None = None
    withdrawn_by: str | None = None


class PrivacyRunOut(Model):
    """``PrivacyRunOut`` of the service."""

    began_at: datetime
    ended_at: datetime | None = None
    """null: at work, or ended in the middle."""

    by: str
    erased: dict[str, CountsOut]
    """By the collection's id."""

    total: int


class PulledOut(Model):
    """``PulledOut`` of the service."""

    models: list[str]
    """Names of what is installed."""


class QualityOut(Model):
    """``QualityOut`` of the service."""

    ok: bool
    """Whether the face should be enrolled."""

    reasons: list[ReasonOut]
    measured: dict[str, float]


class ReasonOut(Model):
    """``ReasonOut`` of the service."""

    code: str
    value: float
    threshold: float
    message: str


class ReceiptOut(Model):
    """``ReceiptOut`` of the service."""

    id: str
    subject: str
    collection_id: str
    at: datetime
    by: str
    """The credential, as the audit names it."""

    reason: str
    destroyed: dict[str, int]
    """How much, by kind."""

    data_keys: list[int]
    """Ids of keys that were destroyed with it."""

    audit_row: int


class ReceiptsOut(Model):
    """``ReceiptsOut`` of the service."""

    receipts: list[ReceiptOut]
    """Newest first."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class RetentionOut(Model):
    """``RetentionOut`` of the service."""

    due: dict[str, CountsOut]
    """Too old now, by the collection's name."""

    runs: list[PrivacyRunOut]
    """Newest first; of those that erased nothing, the last."""


class ReviewOut(Model):
    """A doubtful case, as it stands."""

    id: str
    kind: Literal["identification"] | str
    state: Literal["open", "yes", "no", "withdrawn"] | str
    """open; yes: it is `person_id`; no: nobody known; withdrawn: the event was taken back."""

    event: EventOut
    """As it reads now."""

    candidates: list[CandidateOut]
    """Nearest first."""

    target_fmr: float | None = None
    target_fpir: float | None = None
    """The rate asked for: this, or the one before."""

    person_id: str | None = None
    name: str | None = None
    answer_id: str | None = None
    """The newest answer: hand it in to take it back."""

    actor: str | None = None
    answered_at: datetime | None = None
    picture_kept: bool
    """Of the face; `/face` shows it."""


class ReviewsOut(Model):
    """``ReviewsOut`` of the service."""

    reviews: list[ReviewOut]
    """Newest first."""

    waiting: int
    """How many are open in all."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class RuleIn(Model):
    """``RuleIn`` of the service."""

    group: str
    schedule: str | None = None
    """null: at any time."""


class RuleList(Model):
    """``RuleList`` of the service."""

    rules: list[RuleIn]


class RulesIn(Model):
    """What a session asks for; what is left out is as by default."""

    fmr: float = 0.0001
    """Accepted at this false match rate."""

    review_fmr: float = 0.01
    """Up to here a human decides."""

    tries: int = 8
    """Pictures and camera runs in all."""

    hours: float = 24.0
    """Until the session expires."""

    keep_days: float = 30.0
    """Until all of it is erased."""

    keep_pictures: bool = True
    """Of decided cases, until then."""

    live: bool = True
    """A head that turns as asked, before a camera."""

    passive: Literal["off", "flag", "require"] = "require"
    """What the check for pictures of faces decides."""

    enrol: bool = False
    """Whoever is accepted is enrolled."""


class RunsOut(Model):
    """``RunsOut`` of the service."""

    runs: list[DuplicateRunsRunOut]
    """Newest first."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class ScheduleIn(Model):
    """``ScheduleIn`` of the service."""

    name: str
    hours: str
    zone: str = "UTC"


class ScheduleList(Model):
    """``ScheduleList`` of the service."""

    schedules: list[ScheduleIn]
    """By name."""


class SearchOut(Model):
    """``SearchOut`` of the service."""

    collection: str
    contract_id: str
    faces: list[IdentifiedFace]


class SearchedImage(Model):
    """Who is in one image, or why nobody could be looked for."""

    image: int
    """Its place in the request, from 0."""

    faces: list[IdentifiedFace] | None = None
    error: ErrorBody | None = None


class SearchedImages(Model):
    """``SearchedImages`` of the service."""

    collection: str
    contract_id: str
    results: list[SearchedImage]
    """One an image, in the order of the request."""


class SearchedVector(Model):
    """Whose one vector is, or why that cannot be told."""

    vector: int
    """Its place in the request, from 0."""

    candidates: list[Candidate] | None = None
    """Best first."""

    decision: DecisionOut | None = None
    """On the first candidate."""

    error: ErrorBody | None = None


class SearchedVectors(Model):
    """``SearchedVectors`` of the service."""

    collection: str
    contract_id: str
    results: list[SearchedVector]
    """One a vector, in the order of the request."""


class SessionOut(Model):
    """A session as it stands."""

    id: str
    collection: str
    state: (
        Literal[
            "started",
            "consented",
            "documented",
            "review",
            "accepted",
            "rejected",
            "expired",
            "withdrawn",
        ]
        | str
    )
    reference: str
    created_at: datetime
    expires_at: datetime
    keep_until: datetime
    ended_at: datetime | None = None
    tries_left: int
    rules: dict[str, Any]
    consent: OnboardingConsentOut | None = None
    name: str
    """As the applicant gave it; empty before consent."""

    birth_date: date | None = None
    zone: dict[str, Any] | None = None
    """What the machine-readable zone says."""

    checks: list[CheckOut]
    answers: list[OnboardingAnswerOut]
    """Oldest first, those taken back included."""

    person_id: str | None = None
    """Who was enrolled."""

    pictures: list[Literal["document", "selfie"] | str]
    """That are kept; `/pictures/{role}` shows them."""

    not_checked: list[str]


class SessionsOut(Model):
    """``SessionsOut`` of the service."""

    sessions: list[SessionOut]
    """Newest first."""

    waiting: int
    """Cases that wait for a human, in all."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class SideOut(Model):
    """One person of a pair."""

    person_id: str
    name: str
    collection: str
    face_id: str
    """The template nearest to the other's."""

    faces: int


class Size(Model):
    """Pixels."""

    width: int
    height: int


class SourceTest(Model):
    """``SourceTest`` of the service."""

    reached: bool
    """Whether a picture came."""

    problem: str | None = None
    """Why none came, in words."""

    size: Size | None = None
    seconds: float
    """Until the picture came, or until it was given up."""


class SpreadOut(Model):
    """The middle and the slow end of some times."""

    count: int
    p50_ms: float | None = None
    p95_ms: float | None = None


class StartedOut(Model):
    """``StartedOut`` of the service."""

    session: SessionOut
    token: str
    """Told once; arcid keeps its hash."""

    url: str
    """The applicant's link; whoever has it is the applicant."""


class StayOut(Model):
    """``StayOut`` of the service."""

    person_id: str
    name: str | None = None
    place: str
    camera: str
    arrived_at: datetime
    last_seen_at: datetime


class StepOut(Model):
    """Something somebody said about an alert."""

    verb: Literal["acknowledge", "confirm", "dismiss", "escalate"] | str
    actor: str
    credential: str | None = None
    """What let them in, as the audit names it: account:ID, key:DIGITS, os:USER; null: of
    answers from before this was kept.
    """

    note: str
    at: datetime
    undone_by: str | None = None


class StoredFaceOut(Model):
    """``StoredFaceOut`` of the service."""

    id: str
    person_id: str
    photo_id: str | None = None
    """Faces with one photo_id come from one photo."""

    contract_id: str
    """The first of `contract_ids`."""

    contract_ids: list[str]
    """Models that have embedded it."""

    box: Box | None = None
    score: float | None = None
    quality: dict[str, float]
    source: str
    created_at: datetime
    has_crop: bool
    provenance: dict[str, Any]
    """Model, detector and runtime that made it."""


class System(Model):
    """``System`` of the service."""

    version: str
    python: str
    platform: str
    cpu: str
    """The processor's name, as the system gives it."""

    instruction_sets: list[str]
    """Vector instructions that matter for speed."""

    threads: int
    """Threads of one inference."""

    workers: int
    """Threads that decode and detect."""

    recogniser: ModelRun
    uptime_s: float
    queue_images: int
    """Images waiting or being worked on."""

    queue_size: int
    database: str
    """The gallery's URL, its password left out."""

    gallery: dict[str, Any]
    """Schema version, journal mode, size and rows; what was lost (`losses`), and where bytes
    of what was deleted are left (`erasure`).
    """

    alerts: LatencyOut | None = None
    """null: not asked yet."""

    outbox: list[OutboxOut]
    tasks: list[TaskOut]


class TaskOut(Model):
    """Something the service does every so often by itself."""

    name: str
    every_s: float
    last: datetime | None = None
    """When it last began here; null: not yet."""

    took_s: float
    problem: str | None = None
    """What went wrong the last time."""

    elsewhere: bool
    """Another process does it."""


class TriedOut(Model):
    """What a receiver answered."""

    delivered: bool
    status: int | None = None
    """Of HTTP; null: no answer."""

    problem: str | None = None
    seconds: float


class UnansweredOut(Model):
    """A question at a default rate that the calibration does not support."""

    message: str
    advice: str
    gallery: str | None = None
    """Collection; null: two photos."""


class UndonePairOut(Model):
    """``UndonePairOut`` of the service."""

    answer: PairAnswerOut
    pair_id: str | None = None
    """The pair as it stands again."""

    missing_faces: int
    """Deleted or given to somebody else since."""


class UploadOut(Model):
    """``UploadOut`` of the service."""

    id: str
    bytes: int


class VectorSearchOut(Model):
    """``VectorSearchOut`` of the service."""

    candidates: list[Candidate]
    """Best first."""

    decision: DecisionOut
    """On the first candidate."""

    collection: str
    contract_id: str


class VerifiedOut(Model):
    """``VerifiedOut`` of the service."""

    rows: int
    """Those that are as written, from the first on."""

    digest: str
    """Of the last of them."""

    first_wrong: int | None = None
    """The first row that is not as written."""

    problem: str | None = None
    """What is wrong, in words; null: nothing."""

    seals: int
    """Days that are sealed, each as it was signed."""

    sealed: int
    """Up to this row."""

    unsealed_days: list[date]
    """Since the first seal, that should have one."""


class WatchlistOut(Model):
    """A list as it stands."""

    id: str
    name: str
    collection: str
    purpose: str
    legal_basis: str
    owner: str
    expires_at: datetime
    expired: bool
    """It matches nobody."""

    roles: list[str]
    accounts: list[str]
    cameras: list[str]
    four_eyes: bool
    false_alerts_per_hour: float
    reviews_per_hour: float
    confirm_looks: int
    cooldown_s: float
    keep_days: int
    strangers: Literal["nothing", "vector", "crop"] | str
    people: int
    created_at: datetime


class WatchlistsMemberOut(Model):
    """Somebody on a list."""

    person_id: str
    name: str
    reason: str
    added_by: str
    added_at: datetime


class WatchlistsOut(Model):
    """``WatchlistsOut`` of the service."""

    watchlists: list[WatchlistOut]
    """By name."""

    next: str | None = None
    """Hand it in as `after` for the next page; null: the end."""


class WebhookMade(Model):
    """``WebhookMade`` of the service."""

    webhook: WebhookOut
    secret: str
    """What messages are signed with. Told once."""


class WebhookOut(Model):
    """A receiver as it stands. The counts are of the last 30 days."""

    id: str
    name: str
    address: str
    """Without what follows a `?`, which may be secret."""

    kinds: list[str] | None = None
    """null: all."""

    enabled: bool
    locked: bool
    """Address and secret were sealed with another `webhooks.key`: add it anew."""

    created_at: datetime
    created_by: str
    waiting: int
    done: int
    failed: int
    """Given up after three days."""


class Webhooks(Model):
    """``Webhooks`` of the service."""

    webhooks: list[WebhookOut]
    """By name."""


class WithdrawalOut(Model):
    """``WithdrawalOut`` of the service."""

    person_id: str
    ended: int
    """Consents that stood."""

    outcome: Literal["erased", "review"] | str
    """erased: the person is deleted; review: they are found as before until somebody decides."""

    receipt: str | None = None
    """Of the erasure."""
