"""What routes are given: the running services, and futures turned into answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Path, Request, UploadFile
from fastapi.concurrency import run_in_threadpool

from arcid.apps.access import Doorman
from arcid.apps.backups import Backups
from arcid.apps.duplicates.worker import Worker
from arcid.apps.jobs import JobWorker
from arcid.apps.model_choice import Choices
from arcid.calibration import Calibration
from arcid.cameras.watching import Cameras
from arcid.decide import DEFAULT_FPIR, Unanswered, unanswered
from arcid.errors import ArcidError, CalibrationMissing, ModelNotFound
from arcid.events import Audit
from arcid.gallery import Gallery
from arcid.models import weights
from arcid.models.manifest import Task
from arcid.pipeline import Pipeline
from arcid.results import Face, Faces, Identification, Prepared
from arcid.server import schemas
from arcid.server.applicants import Applicants
from arcid.server.batching import Batcher
from arcid.server.housekeeping import Housekeeping
from arcid.server.keyring import KeyRing
from arcid.server.lanes import Lane
from arcid.server.looks import Looks
from arcid.server.metrics import Metrics
from arcid.server.passive import Passive
from arcid.server.pulse import Pulse
from arcid.server.scopes import Credential
from arcid.server.settings import Settings
from arcid.server.telling import Hooked
from arcid.server.uploads import read_images
from arcid.types import Image, Selection

FETCHERS = 16  # requests whose images are being fetched


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that lives as long as the application."""

    settings: Settings
    pipeline: Pipeline
    gallery: Gallery
    batcher: Batcher
    metrics: Metrics
    pulse: Pulse
    cameras: Cameras
    doorman: Doorman
    housekeeping: Housekeeping
    looks: Looks
    duplicates: Worker
    jobs: JobWorker
    keys: KeyRing
    backups: Backups
    hooked: Hooked
    writes: Lane = field(default_factory=Lane)
    fetching: Lane = field(
        default_factory=lambda: Lane(FETCHERS, "requests are fetching their images")
    )
    passive: Passive = field(default_factory=Passive)
    applicants: Applicants = field(default_factory=Applicants)
    started: float = field(default_factory=time.monotonic)

    @property
    def contract_id(self) -> str:
        return self.pipeline.embedder.contract_id

    @property
    def choices(self) -> Choices:
        """How models and calibrations are changed here, and the audit told."""
        given: dict[Task, str | None] = {
            "detection": self.settings.detector,
            "recognition": self.settings.recogniser,
        }
        bundle = self.pipeline.bundle
        fast = bundle is not None and bundle.name == weights.fast_form()
        return Choices(Audit(self.gallery).record, given, fast)

    def calibration(self) -> Calibration | None:
        """None where the recogniser has none: then nothing can be decided, only compared."""
        try:
            return self.pipeline.calibration
        except CalibrationMissing:
            return None

    def check_landmarks(self, asked: bool) -> None:
        """Raises ``ModelNotFound`` where 68 points are asked for and nothing here finds them."""
        if asked and self.pipeline.landmarks is None:
            raise ModelNotFound(
                "this service finds no landmarks: leave landmarks out, or start it with a model of "
                "them, as ARCID_LANDMARKS=arcid-landmarks-s (for research alone)"
            )

    def unanswered(self, within: frozenset[str] | None = None) -> list[Unanswered]:
        """Default rates that the calibration does not support for the present collections;
        ``within``: of those of these names."""
        if (found := self.calibration()) is None:
            return []
        sizes = self.gallery.sizes(self.contract_id)
        return unanswered(found, {n: size for n, size in sizes.items() if inside(n, within)})

    async def faces(
        self,
        files: list[UploadFile],
        *,
        select: Selection = "all",
        aligned: bool = False,
        photo_ids: bool = False,
    ) -> list[Faces]:
        """The faces of every uploaded photo; an error says which photo it is about.

        ``photo_ids``: they are to be enrolled.
        """
        photos = await read_images(files, self.settings)
        return await self.faces_in(photos, select=select, aligned=aligned, photo_ids=photo_ids)

    async def faces_in(
        self,
        photos: list[bytes],
        *,
        select: Selection = "all",
        aligned: bool = False,
        photo_ids: bool = False,
    ) -> list[Faces]:
        """``faces`` of photos that were read."""
        found = []
        answers = await self.faces_or_why(
            photos, select=select, aligned=aligned, photo_ids=photo_ids
        )
        for index, answer in enumerate(answers):
            if isinstance(answer, ArcidError):
                if len(photos) > 1:
                    answer.details["image"] = index
                raise answer
            found.append(answer)
        return found

    async def each_face(
        self,
        photos: list[bytes],
        *,
        select: Selection,
        aligned: bool,
        require_quality: bool,
    ) -> list[Face | ArcidError]:
        """The one face of every photo, or why there is none to be enrolled."""
        found: list[Face | ArcidError] = []
        answers = await self._answers(photos, select=select, aligned=aligned, photo_ids=True)
        for answer in answers:
            try:
                if isinstance(answer, BaseException):
                    raise answer
                face = self.pipeline.checked(answer)
                if require_quality:
                    face.check_quality()
                found.append(face)
            except ArcidError as error:
                found.append(error)
        return found

    async def faces_or_why(
        self,
        photos: list[bytes],
        *,
        select: Selection = "all",
        aligned: bool = False,
        photo_ids: bool = False,
    ) -> list[Faces | ArcidError]:
        """The faces of every photo, or why it has none to use."""
        found: list[Faces | ArcidError] = []
        for answer in await self._answers(
            photos, select=select, aligned=aligned, photo_ids=photo_ids
        ):
            if not isinstance(answer, (Faces, ArcidError)):
                raise answer
            found.append(answer)
        return found

    async def _answers(
        self, photos: list[bytes], *, select: Selection, aligned: bool, photo_ids: bool = False
    ) -> list[Faces | BaseException]:
        futures = await run_in_threadpool(
            self.batcher.submit, photos, select=select, aligned=aligned, photo_ids=photo_ids
        )
        return await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)

    async def detect(self, file: UploadFile, *, select: Selection) -> Prepared:
        """As ``faces`` for one photo, without embedding."""
        (photo,) = await read_images([file], self.settings)
        return await self.detect_in(photo, select=select)

    async def detect_in(self, photo: bytes, *, select: Selection = "all") -> Prepared:
        """``detect`` in a photo that was read."""
        future = await run_in_threadpool(self.batcher.submit_detection, photo, select=select)
        return await asyncio.wrap_future(future)

    def identify(
        self, faces: Faces, collection: str, *, fpir: float = DEFAULT_FPIR, **options: Any
    ) -> list[Identification]:
        """``identify_photos`` of one."""
        return self.identify_photos([faces], collection, fpir=fpir, **options)[0]

    def identify_photos(
        self, photos: list[Faces], collection: str, *, fpir: float = DEFAULT_FPIR, **options: Any
    ) -> list[list[Identification]]:
        """``Pipeline.identify_photos``, timed and told to the audit."""
        started = time.perf_counter()
        found = self.pipeline.identify_photos(
            photos, self.gallery, collection, fpir=fpir, **options
        )
        self.metrics.stage_seconds.labels("search").observe(time.perf_counter() - started)
        for one in found:
            self.looks.searched("photo", collection, one, fpir)
        return found

    async def living(self, file: UploadFile, *, select: Selection) -> dict[str, Any]:
        """Whether each face of a photo is a living one. Raises ``ModelNotFound``."""
        check = await run_in_threadpool(self.passive.needed)
        (photo,) = await read_images([file], self.settings)

        def look(image: Image, found: Prepared) -> list[dict[str, Any]]:
            if found.detections is None or not len(found.detections):
                return []
            scores = check.scores(image, found.detections)
            return [
                {**face, "live": bool(score >= check.threshold), "liveness": float(score)}
                for face, score in zip(found.to_dict()["faces"], scores, strict=True)
            ]

        future = await run_in_threadpool(self.batcher.submit_look, photo, look, select=select)
        faces = await asyncio.wrap_future(future)
        return {"model": check.name, "liveness_threshold": check.threshold, "faces": faces}

    async def one_face_each(
        self,
        files: list[UploadFile],
        *,
        select: Selection = "prominent",
        aligned: bool = False,
    ) -> list[tuple[Faces, Face]]:
        """The one face of every photo, checked; an error says which photo it is about."""
        found = []
        for index, faces in enumerate(await self.faces(files, select=select, aligned=aligned)):
            try:
                face = self.pipeline.checked(faces)
            except ArcidError as error:
                if len(files) > 1:
                    error.details["image"] = index
                raise
            found.append((faces, face))
        return found


async def services(request: Request) -> Services:
    """The services of the application that answers; a plain function would wait for a thread."""
    found: Services = request.app.state.services
    return found


async def limited(request: Request) -> frozenset[str] | None:
    """Ids of the collections that the request's key is limited to; None: it is not."""
    credential: Credential = request.scope["state"]["credential"]
    return credential.collections


Limited = Annotated[frozenset[str] | None, Depends(limited)]


async def within(request: Request, limited: Limited) -> frozenset[str] | None:
    """The same by their names now."""
    if limited is None:
        return None
    gallery: Gallery = request.app.state.services.gallery
    found = await run_in_threadpool(gallery.collections, within=limited)
    return frozenset(own.name for own in found)


def inside(collection: str, within: frozenset[str] | None) -> bool:
    """Whether a key that is limited to those may see it."""
    return within is None or collection in within


Running = Annotated[Services, Depends(services)]
Within = Annotated[frozenset[str] | None, Depends(within)]
CollectionPath = Annotated[
    schemas.CollectionName, Path(description="Name of a collection.", examples=["staff"])
]
PersonPath = Annotated[schemas.Id, Path(description="Id of a person.")]
FacePath = Annotated[schemas.Id, Path(description="Id of an enrolled face.")]
