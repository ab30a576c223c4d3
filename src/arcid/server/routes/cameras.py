"""Cameras that the service watches by itself; their secrets go in and do not come out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import Field

from arcid.apps.watching import LivenessMode
from arcid.cameras.book import MAX_NAME, MAX_SOURCE, Camera
from arcid.cameras.probing import Probe, probe
from arcid.cameras.runner import State, Status
from arcid.server.deps import Limited, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import ERASED, After, Limit, erased, errors
from arcid.server.schemas import CollectionName, Id, In, Next, Out

router = APIRouter(prefix="/v1/cameras", tags=["cameras"], route_class=Route)

CameraPath = Annotated[Id, Path(description="Id of a camera.")]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME, examples=["Front door"])]
Source = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_SOURCE,
        description="A stream's address (rtsp, rtsps, rtmp, http, https), the number of a webcam "
        "of the service's machine, or the path of a file or folder there.",
        examples=["rtsp://user:password@camera.example/stream"],
    ),
]
Place = Annotated[
    str,
    Field(
        max_length=MAX_NAME,
        description="Cameras of one place see the same comings and goings; empty: its own.",
    ),
]
Liveness = Annotated[
    LivenessMode,
    Field(
        description="What follows from a suspected picture of a face: `flag` records it beside "
        "arrivals, `require` in their place."
    ),
]

Attending = Annotated[
    bool,
    Field(
        description="Whether arrivals and visitors are written in the attendance book. Without, "
        "it serves whatever else observes it, and looks at nobody where nothing does."
    ),
]


class CameraIn(In):
    name: Name
    source: Source
    collection: CollectionName = Field(description="Whose people it looks for.")
    place: Place = ""
    liveness: Liveness = "off"
    enabled: bool = True
    attendance: Attending = True


class CameraPatch(In):
    """What is left out stays."""

    name: Name | None = None
    source: Source | None = None
    collection: CollectionName | None = None
    place: Place | None = None
    liveness: Liveness | None = None
    enabled: bool | None = None
    attendance: Attending | None = None


class SourceIn(In):
    source: Source


class Size(Out):
    """Pixels."""

    width: int
    height: int


class CameraOut(Out):
    id: str
    name: str
    source: str = Field(
        description="Without user, password and what follows a `?`; empty where it is `sealed`."
    )
    collection: str
    place: str
    liveness: LivenessMode
    enabled: bool
    attendance: Attending
    sealed: bool = Field(description="Its address was sealed with a key that is not there.")
    state: State = Field(
        description="`starting`, `live`, `trouble` (unreachable, or watched by another process), "
        "`ended` (a file was read), `off`."
    )
    since: datetime | None = Field(description="When the state began; null where it is off.")
    problem: str | None = Field(description="Why it is in trouble, in words.")
    frames_per_s: float = Field(description="Watched, not sent; 0 unless live.")
    size: Size | None = Field(description="Of its newest picture; null before the first.")


class Cameras(Out):
    cameras: list[CameraOut] = Field(description="By name.")
    next: Next


class SourceTest(Out):
    reached: bool = Field(description="Whether a picture came.")
    problem: str | None = Field(description="Why none came, in words.")
    size: Size | None
    seconds: float = Field(description="Until the picture came, or until it was given up.")


@router.get("", responses=errors(503))
def list_cameras(
    running: Running, limited: Limited, limit: Limit = 100, after: After = None
) -> Cameras:
    """Cameras by name with how they are doing in this process, a page at a time."""
    found = running.cameras.book.page(limit, after, limited)
    return Cameras(cameras=[_out(running, camera) for camera in found], next=found.next)


@router.post("", status_code=201, responses=errors(400, 404, 409, 413, 503, 507))
def add_camera(running: Running, body: CameraIn) -> CameraOut:
    """Add a camera; where it is enabled it is opened at once, and again whenever it fails."""
    return _out(running, running.cameras.add(**body.model_dump()))


@router.post("/test", responses=errors(400, 413, 429, 503))
def try_source(running: Running, body: SourceIn) -> SourceTest:
    """Whether a source gives a picture within ten seconds; nothing is stored."""
    return _tested(probe(body.source))


@router.get("/{camera_id}", responses=errors(404, 503))
def get_camera(running: Running, camera_id: CameraPath) -> CameraOut:
    """One camera."""
    return _out(running, running.cameras.book.get(camera_id))


@router.patch("/{camera_id}", responses=errors(400, 404, 409, 413, 503, 507))
def change_camera(running: Running, camera_id: CameraPath, body: CameraPatch) -> CameraOut:
    """Change a camera, which is then opened anew."""
    return _out(running, running.cameras.change(camera_id, **body.model_dump()))


@router.delete(
    "/{camera_id}", status_code=204, response_model=None, responses=ERASED | errors(404, 503, 507)
)
def delete_camera(running: Running, camera_id: CameraPath) -> Response:
    """Delete a camera; what it has seen stays."""
    running.cameras.delete(camera_id)
    return erased(running)


@router.post("/{camera_id}/test", responses=errors(404, 429, 503))
def try_camera(running: Running, camera_id: CameraPath) -> SourceTest:
    """Whether a camera gives a picture now; one that is live is not opened a second time."""
    return _tested(running.cameras.test(camera_id))


def _out(running: Running, camera: Camera) -> CameraOut:
    status = running.cameras.status(camera.id)
    return CameraOut(
        id=camera.id,
        name=camera.name,
        source=camera.shown,
        collection=camera.collection,
        place=camera.place,
        liveness=camera.liveness,
        enabled=camera.enabled,
        attendance=camera.attendance,
        sealed=camera.sealed,
        state=status.state,
        since=status.since,
        problem=status.problem or None,
        frames_per_s=round(status.frames_per_s, 1),
        size=_size(status),
    )


def _tested(found: Probe) -> SourceTest:
    return SourceTest(
        reached=found.reached,
        problem=found.problem or None,
        size=_size(found),
        seconds=round(found.seconds, 3),
    )


def _size(of: Status | Probe) -> Size | None:
    return None if of.size is None else Size(width=of.size[0], height=of.size[1])
