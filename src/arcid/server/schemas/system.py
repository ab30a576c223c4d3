"""The service, its models and their calibration."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from arcid.models.trust import Trust
from arcid.server.schemas.base import Out


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
    accuracy: dict[str, Any] = Field(default={})
    calibration: CalibrationOut | None = Field(
        default=None, description="Recognisers; null: none was found, so nothing can be decided."
    )


class Models(Out):
    models: list[ModelOut]
