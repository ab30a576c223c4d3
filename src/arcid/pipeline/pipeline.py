"""Start here: image → detect → align → embed → decide, each stage one call.

    pipeline = Pipeline.from_models()
    answer = pipeline.verify("a.jpg", "b.jpg")
    print(answer.decision.outcome, answer.decision.reason)

This is the one room that joins the stages; they never import one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from arcid import decide, detect
from arcid.align import align
from arcid.batch import BatchItem, each, items, named, run
from arcid.calibration import Calibration, check_rate
from arcid.detect import Detector
from arcid.embed import Embedder, resized
from arcid.errors import (
    ArcidError,
    CalibrationError,
    ContractMismatch,
    InvalidArray,
    ModelUnsupported,
    NoFaceFound,
    SeveralFacesFound,
    UsageError,
)
from arcid.geometry import recut
from arcid.image import ColorOrder, ImageSource, PhotoId, check_color, load_image, photo_id
from arcid.landmarks import LandmarkFinder, Landmarks
from arcid.landmarks.pose import head_pose
from arcid.models import goldens, weights
from arcid.models.manifest import Manifest
from arcid.models.weights import Bundle
from arcid.pipeline.identifier import Identifier
from arcid.pipeline.masking import Background, without_background
from arcid.pipeline.opening import (
    check_recogniser,
    load_embedder,
    load_landmarks,
    open_detector,
)
from arcid.quality import Quality, QualityGate, Seen, pose
from arcid.results import (
    Face,
    Faces,
    Identification,
    PersonVerification,
    Prepared,
    Verification,
)
from arcid.runtime import RuntimeName, default_threads
from arcid.types import (
    Crops,
    Detections,
    Embeddings,
    Image,
    Selection,
    check_selection,
)

if TYPE_CHECKING:
    from arcid.gallery import Aggregate, Gallery

TURNED_DEG = 30.0  # yaw by five points, beyond which 68 points say less: docs/concepts/landmarks.md


class Pipeline(Identifier):
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
        _check_has("detector", detector, "detect")
        _check_has("embedder", embedder, "contract_id", "dim", "size", "template", "embed")
        super().__init__(embedder.contract_id, calibration)
        self.detector = detector
        self.embedder = embedder
        self.gate = gate
        self.landmarks = landmarks

    @classmethod
    def from_models(
        cls,
        detector: str | None = None,
        recogniser: str | None = None,
        *,
        gate: QualityGate | None = None,
        landmarks: str | bool = False,
        background: Background = "keep",
        runtime: RuntimeName | None = None,
        device: str | None = None,
        many: bool = False,
        **detector_options: Any,
    ) -> Pipeline:
        """Build from model names; None takes the default.

        ``landmarks``: 68 points of every face, by the default model or the one of that name.
        ``background``: ``ellipse`` or ``contour`` greys out what is around a face before it is
        embedded, which gives vectors another contract. ``many``: photos are prepared in a thread
        for each core, as ``faces_batch`` and the service do; the detector then looks at as many at
        a time, each on one core. Raises ``ModelError`` kinds.
        """
        if many:
            detector_options["streams"] = default_threads()
        found = (
            weights.resolve(recogniser) if recogniser else weights.resolve_default("recognition")
        )
        with ThreadPoolExecutor(1) as pool:  # compiling two networks takes two cores
            loading = pool.submit(
                open_detector, detector, runtime=runtime, device=device, **detector_options
            )
            embedder = load_embedder(found, runtime=runtime, device=device)
            finder, detector_bundle = loading.result()
        marks = None
        if landmarks:
            name = landmarks if isinstance(landmarks, str) else None
            marks = load_landmarks(name, runtime=runtime, device=device)
        masked = without_background(embedder, background)
        pipeline = cls(finder, masked, gate=gate, landmarks=marks)
        pipeline.detector_bundle = detector_bundle
        if masked is embedder:
            pipeline.bundle = found
        return pipeline

    #: Where the models came from; None for those handed in, or without a file.
    bundle: Bundle | None = None
    detector_bundle: Bundle | None = None

    @property
    def manifest(self) -> Manifest | None:
        """The recogniser's; None for an embedder that has none."""
        if self.bundle is not None:
            return self.bundle.manifest
        found = getattr(self.embedder, "manifest", None)
        return found if isinstance(found, Manifest) else None

    @property
    def provenance(self) -> dict[str, str]:
        """What is stored beside every vector and does not change its meaning: names of the model
        and the detector, and the runtime, device and precision the model runs with."""
        embedder, session = self.embedder, getattr(self.embedder, "session", None)
        named = self.manifest or embedder
        found = {
            "model": str(getattr(named, "name", type(embedder).__name__)),
            "detector": detect.name_of(self.detector),
        }
        parts = ("runtime", "device", "precision")
        return found | {part: str(getattr(session, part, "unknown")) for part in parts}

    def __repr__(self) -> str:
        made_with = self.provenance
        return (
            f"Pipeline({made_with['detector']} → {made_with['model']}, "
            f"contract {self.contract_id[:8]}…)"
        )

    def check_goldens(self) -> None:
        """Run both models on what their bundles' goldens were made of.

        Raises ``ModelUnsupported`` where one answers otherwise than then, ``ManifestInvalid``.
        """
        if found := self.detector_bundle:
            goldens.check_finds(found.manifest, detect.once(self.detector), found.folder)
        if found := self.bundle:
            check_recogniser(found, self.embedder)

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

    # image → faces

    def faces(
        self,
        source: ImageSource,
        *,
        select: Selection = "all",
        aligned: bool = False,
        color: ColorOrder = "rgb",
    ) -> Faces:
        """Every selected face of one photo.

        ``aligned``: the photo is a square crop already. ``color``: the channel order of an array.
        Raises ``ImageError`` kinds, ``SeveralFacesFound`` and the like where ``select`` refuses,
        ``ModelUnsupported``.
        """
        return self.embed([self.prepare(source, select=select, aligned=aligned, color=color)])[0]

    def faces_batch(
        self,
        sources: Iterable[ImageSource],
        *,
        select: Selection = "all",
        aligned: bool = False,
        color: ColorOrder = "rgb",
        photo_ids: bool = False,
    ) -> Iterator[BatchItem[Faces]]:
        """``faces`` over many photos, in order; what is wrong with one is its ``error``.

        Photos are taken as they are needed and let go at once, so a generator of any length will
        do. ``photo_ids``: hash them, for faces that are to be enrolled.
        """
        check_color(color)
        check_selection(select)

        def prepare(source: ImageSource) -> Prepared:
            image = load_image(source, color=color)
            known = photo_id(image) if photo_ids else None
            return self.prepare(
                image, select=select, aligned=aligned, image_id=known, keep_photo=False
            )

        return items(run(named(sources), prepare, self.embed))

    def detect_batch(
        self,
        sources: Iterable[ImageSource],
        *,
        select: Selection = "all",
        color: ColorOrder = "rgb",
    ) -> Iterator[BatchItem[Detections]]:
        """``detect`` over many photos, as ``faces_batch``."""
        check_color(color)
        check_selection(select)

        def find(source: ImageSource) -> Detections:
            return self.detect(source, color=color).select(select)

        return items(run(named(sources), find, list))

    def prepare(
        self,
        source: ImageSource,
        *,
        select: Selection = "all",
        aligned: bool = False,
        color: ColorOrder = "rgb",
        image_id: str | None = None,
        keep_photo: bool = True,
        second_try: bool = True,
    ) -> Prepared:
        """All of ``faces`` but the embedding, so that many photos can share one ``embed``.

        The ``photo_id`` of its faces is computed when it is first asked for; until then they keep
        the photo. ``image_id``: the ``photo_id``, where it is known already. ``keep_photo`` False
        lets the photo go at once, for faces that are compared and never enrolled. ``second_try`` as
        in ``detect``.
        """
        check_color(color)
        check_selection(select)
        image = load_image(source, color=color)
        found = None
        if not aligned:
            found = self.detect(image, second_try=second_try).select(select)
        kept = None
        if keep_photo and image_id is None:  # what the caller may paint over is copied
            shared = isinstance(source, np.ndarray) and np.may_share_memory(image, source)
            kept = image.copy() if shared else image
        return self._cut_out(image, found, PhotoId(kept, image_id))

    def prepare_together(
        self,
        images: Sequence[Image],
        image_ids: Sequence[str],
        *,
        select: Selection = "all",
        aligned: bool = False,
    ) -> list[Prepared | ArcidError]:
        """``prepare`` for several photos that are read and hashed already, or why not: the detector
        is shown all in one call. None of them is kept."""
        check_selection(select)
        look = partial(self._detected, self.detector.detect)
        found: list[Detections | ArcidError | None] = [None] * len(images)
        if not aligned:
            found = [*each(look, images)]
        prepared: list[Prepared | ArcidError] = []
        for image, image_id, one in zip(images, image_ids, found, strict=True):
            try:
                if isinstance(one, ArcidError):
                    raise one
                chosen = None if one is None else one.select(select)
                prepared.append(self._cut_out(image, chosen, PhotoId(known=image_id)))
            except ArcidError as error:
                prepared.append(error)
        return prepared

    def _cut_out(self, image: Image, found: Detections | None, photo: PhotoId) -> Prepared:
        """``found`` None: the photo is a crop."""
        crops = self._recut(_square(image)) if found is None else self.align(image, found)
        marks = self.landmarks.find(image, found) if self.landmarks and found is not None else None
        quality = () if found is None else self._quality(image, found, crops, marks)
        return Prepared(found, crops, quality, photo, marks)

    def detect(
        self, source: ImageSource, *, color: ColorOrder = "rgb", second_try: bool = True
    ) -> Detections:
        """Where the faces of one photo are, best score first.

        ``second_try`` False spares a photo without faces the detector's second try, as for the
        frames of a video.
        """
        image = load_image(source, color=color)
        look = self.detector.detect if second_try else detect.once(self.detector)
        return self._detected(look, [image])[0]

    def _detected(
        self, look: Callable[[Sequence[Image]], Sequence[Detections]], images: Sequence[Image]
    ) -> Sequence[Detections]:
        """What the detector answers, checked."""
        found = look(images)
        name = detect.name_of(self.detector)
        if (
            not isinstance(found, Sequence)
            or len(found) != len(images)
            or not all(isinstance(one, Detections) for one in found)
        ):
            raise ModelUnsupported(
                f"the detector {name} must answer one Detections for each picture, in a list"
            )
        for one, image in zip(found, images, strict=True):
            if one.image_size != image.shape[:2]:
                raise ModelUnsupported(
                    f"the detector {name} answered for a picture of {one.image_size} (height, "
                    f"width) pixels, but was given one of {image.shape[:2]}"
                )
        return found

    def embed(self, prepared: Sequence[Prepared]) -> list[Faces]:
        """Prepared photos in, their faces out; the embedder is called once for all of them."""
        crops = [p.crops for p in prepared]
        embeddings = self._embedded(
            Crops.concatenate([resized(c, self.embedder.size) for c in crops])
        )
        bounds = np.cumsum([0, *map(len, crops)]).tolist()
        return [
            Faces(p.detections, p.crops, embeddings[a:b], p.quality, p.photo, p.landmarks)
            for p, a, b in zip(prepared, bounds[:-1], bounds[1:], strict=True)
        ]

    def _embedded(self, crops: Crops) -> Embeddings:
        embedder = self.embedder
        if not len(crops):
            return Embeddings.empty(embedder.dim, embedder.contract_id)
        found = embedder.embed(crops)
        name = self.provenance["model"]
        if not isinstance(found, Embeddings):
            raise ModelUnsupported(
                f"the embedder {name} must answer Embeddings, not {type(found).__name__}; "
                "Embeddings.normalised(vectors, contract_id) makes them"
            )
        if (len(found), found.dim) != (len(crops), embedder.dim):
            raise ModelUnsupported(
                f"the embedder {name} answered {len(found)} × {found.dim} for {len(crops)} crops; "
                f"it promises {embedder.dim} numbers for each"
            )
        if found.contract_id != embedder.contract_id:
            raise ContractMismatch(
                f"the embedder {name} answered vectors of contract {found.contract_id[:12]}; "
                f"it promises {embedder.contract_id[:12]}"
            )
        return found

    def align(self, image: Image, detections: Detections) -> Crops:
        """Crops as the embedder wants them."""
        return align(image, detections, size=self.embedder.size, template=self.embedder.template)

    def _recut(self, crop: Image) -> Crops:
        """A crop on the ArcFace template, as the embedder wants it."""
        return recut(Crops(crop[None]), self.embedder.size, self.embedder.template)

    def _quality(
        self, image: Image, detections: Detections, crops: Crops, marks: Landmarks | None
    ) -> tuple[Quality, ...]:
        seen = None
        if marks is not None:
            openness = (marks.openness("eyes"), marks.openness("mouth"))
            seen = Seen(_angles(marks, detections), *openness)
        return tuple((self.gate or QualityGate()).assess(image, detections, crops, seen))

    def one_face(
        self,
        source: ImageSource,
        *,
        select: Selection = "prominent",
        aligned: bool = False,
        color: ColorOrder = "rgb",
    ) -> Face:
        """The one face of a photo.

        Raises ``NoFaceFound``, ``SeveralFacesFound`` and, with a gate, ``QualityRejected``.
        """
        return self.checked(self.faces(source, select=select, aligned=aligned, color=color))

    def checked(self, faces: Faces) -> Face:
        """The single face of ``faces`` after the gate; raises as ``one_face``."""
        if not len(faces):
            raise NoFaceFound("no face was found in the photo; use one that shows a face clearly")
        if len(faces) > 1:
            raise SeveralFacesFound.of(len(faces))
        face = faces[0]
        if self.gate:
            face.check_quality()
        return face

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
        photos: Sequence[Faces],
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


def _angles(marks: Landmarks, found: Detections) -> npt.NDArray[np.float64]:
    """(N,3) by 68 points; of heads turned far, by five, since the outline of those then slides."""
    angles = head_pose(marks, found.image_size)
    if found.points is not None:
        five = pose(found.points)
        aside = np.abs(five[:, 0]) > TURNED_DEG
        angles[aside] = five[aside]
    return angles


def _check_has(role: str, given: object, *names: str) -> None:
    if missing := [name for name in names if not hasattr(given, name)]:
        raise UsageError(
            f"the {role} {type(given).__name__} lacks {', '.join(missing)}; "
            f"arcid.{role.capitalize()} says what it needs"
        )


def _square(image: Image) -> Image:
    if image.shape[0] != image.shape[1]:
        raise InvalidArray(
            f"an aligned crop is square (112×112), got {image.shape[1]}×{image.shape[0]}; "
            "leave out 'aligned' for a whole photo"
        )
    return image
