"""Start here: image → detect → align → embed → decide, each stage one call.

    pipeline = Pipeline.from_models()
    answer = pipeline.verify("a.jpg", "b.jpg")
    print(answer.decision.outcome, answer.decision.reason)

This is the one room that joins the stages; they never import one another. ``Preparer`` takes a
photo to crops, ``FaceReader`` on to vectors, ``Identifier`` decides about vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from arcid import decide
from arcid.batch import BatchItem
from arcid.calibration import Calibration, check_rate
from arcid.detect import Detector
from arcid.embed import Embedder
from arcid.errors import CalibrationError
from arcid.image import ColorOrder, ImageSource
from arcid.landmarks import LandmarkFinder
from arcid.models import weights
from arcid.pipeline.identifier import Identifier
from arcid.pipeline.reader import FaceReader
from arcid.quality import QualityGate
from arcid.results import Faces, Identification, PersonVerification, Verification
from arcid.types import Embeddings, Selection

if TYPE_CHECKING:
    from arcid.gallery import Aggregate, Gallery


class Pipeline(FaceReader, Identifier):
    """Detector, aligner, embedder and an optional quality gate over single images and batches.

    ``gate`` set: faces that fail it are refused by ``one_face`` with ``QualityRejected``; their
    quality is measured and reported either way. Detector and embedder may be any class that has
    what ``arcid.Detector`` and ``arcid.Embedder`` say; what else they answer than they promise
    raises ``ModelUnsupported``. ``landmarks`` set: 68 points of every face, from which its pose is
    then taken, and openness of eyes and mouth.
    """

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder,
        *,
        calibration: Calibration | None = None,
        gate: QualityGate | None = None,
        landmarks: LandmarkFinder | None = None,
    ) -> None:
        FaceReader.__init__(self, detector, embedder, gate=gate, landmarks=landmarks)
        Identifier.__init__(self, embedder.contract_id, calibration)

    @property
    def calibration(self) -> Calibration:
        """What the embedder's scores mean, read once: a pipeline decides by one calibration as long
        as it lives. Raises ``CalibrationMissing``."""
        if self._calibration is None and self.bundle is not None:
            self._calibration = weights.find_calibration(self.bundle)
        return super().calibration

    @property
    def calibration_replaced(self) -> bool:
        """Whether another calibration was put in force since: a new pipeline would decide by it."""
        if self.bundle is None or self._calibration is None:
            return False
        try:
            now = weights.find_calibration(self.bundle)
        except CalibrationError:
            return True
        return now.calibration_id != self._calibration.calibration_id

    # photos and faces → decision

    def verify(
        self,
        a: ImageSource,
        b: ImageSource,
        *,
        fmr: float = decide.DEFAULT_FMR,
        select: Selection = "prominent",
        aligned: bool = False,
        color: ColorOrder = "rgb",
        allow_extrapolation: bool = False,
    ) -> Verification:
        """Are the faces of two photos one person, at a target false match rate?

        ``select``, ``aligned`` and ``color`` as in ``faces``. Raises what ``one_face`` does,
        ``CalibrationMissing`` and ``RateUnsupported``; the rate is looked at before the photos.
        """
        self.calibration.threshold_at_fmr(fmr, allow_extrapolation=allow_extrapolation)
        face_a = self.one_face(a, select=select, aligned=aligned, color=color)
        face_b = self.one_face(b, select=select, aligned=aligned, color=color)
        return self.verify_faces(face_a, face_b, fmr=fmr, allow_extrapolation=allow_extrapolation)

    def verify_person(
        self,
        source: ImageSource,
        gallery: Gallery,
        collection: str,
        person_id: str,
        *,
        fmr: float = decide.DEFAULT_FMR,
        select: Selection = "prominent",
        aligned: bool = False,
        color: ColorOrder = "rgb",
        allow_extrapolation: bool = False,
    ) -> PersonVerification:
        """Is the face of a photo this enrolled person, at a target false match rate?

        Raises ``PersonNotFound``, ``FaceNotFound`` where the person has no face of this model, and
        what ``one_face`` and ``verify`` do.
        """
        check_rate("fmr", fmr)
        gallery.person(collection, person_id)
        return self.verify_person_face(
            self.one_face(source, select=select, aligned=aligned, color=color),
            gallery,
            collection,
            person_id,
            fmr=fmr,
            allow_extrapolation=allow_extrapolation,
        )

    def identify(
        self,
        source: ImageSource,
        gallery: Gallery,
        collection: str,
        *,
        fpir: float = decide.DEFAULT_FPIR,
        k: int = 5,
        aggregate: Aggregate = "max",
        select: Selection = "all",
        aligned: bool = False,
        color: ColorOrder = "rgb",
        unsupported: decide.Unsupported = "review",
        where: Mapping[str, Any] | None = None,
    ) -> list[Identification]:
        """Who of a collection is in a photo, at a target false positive identification rate?

        Two faces of one photo are never given one person. ``where``: metadata; only people who have
        it are searched. The rate and the collection are looked
        at before the photo.
        """
        check_rate("fpir", fpir)
        gallery.collection(collection)
        faces = self.faces(source, select=select, aligned=aligned, color=color)
        return self.identify_faces(
            faces,
            gallery,
            collection,
            fpir=fpir,
            k=k,
            aggregate=aggregate,
            unsupported=unsupported,
            where=where,
        )

    def identify_faces(
        self,
        faces: Faces,
        gallery: Gallery,
        collection: str,
        *,
        fpir: float = decide.DEFAULT_FPIR,
        k: int = 5,
        aggregate: Aggregate = "max",
        unsupported: decide.Unsupported = "review",
        where: Mapping[str, Any] | None = None,
    ) -> list[Identification]:
        """``identify`` for the faces of one photo already found."""
        return self.identify_photos(
            [faces],
            gallery,
            collection,
            fpir=fpir,
            k=k,
            aggregate=aggregate,
            unsupported=unsupported,
            where=where,
        )[0]

    def identify_photos(
        self,
        photos: Iterable[Faces],
        gallery: Gallery,
        collection: str,
        *,
        fpir: float = decide.DEFAULT_FPIR,
        k: int = 5,
        aggregate: Aggregate = "max",
        unsupported: decide.Unsupported = "review",
        where: Mapping[str, Any] | None = None,
    ) -> list[list[Identification]]:
        """``identify_faces`` of several photos, all against one state of the collection."""
        photos = list(photos)
        empty = Embeddings.empty(self.embedder.dim, self.contract_id)
        found = iter(
            self.identify_embeddings(
                Embeddings.concatenate([empty, *(faces.embeddings for faces in photos)]),
                gallery,
                collection,
                k=k,
                fpir=fpir,
                aggregate=aggregate,
                unsupported=unsupported,
                where=where,
                photos=[len(faces) for faces in photos],
            )
        )
        return [
            [
                Identification(one.candidates, one.decision, face)
                for face, one in zip(faces, islice(found, len(faces)), strict=True)
            ]
            for faces in photos
        ]

    def identify_batch(
        self,
        sources: Iterable[ImageSource],
        gallery: Gallery,
        collection: str,
        *,
        fpir: float = decide.DEFAULT_FPIR,
        k: int = 5,
        aggregate: Aggregate = "max",
        select: Selection = "all",
        aligned: bool = False,
        color: ColorOrder = "rgb",
        unsupported: decide.Unsupported = "review",
        where: Mapping[str, Any] | None = None,
    ) -> Iterator[BatchItem[list[Identification]]]:
        """``identify`` over many photos, as ``faces_batch``.

        What is wrong with the gallery or the calibration raises.
        """
        check_rate("fpir", fpir)
        gallery.collection(collection)
        batch = self.faces_batch(sources, select=select, aligned=aligned, color=color)
        return (
            item.then(
                lambda faces: self.identify_faces(
                    faces,
                    gallery,
                    collection,
                    fpir=fpir,
                    k=k,
                    aggregate=aggregate,
                    unsupported=unsupported,
                    where=where,
                )
            )
            for item in batch
        )
