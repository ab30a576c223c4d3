"""Start here: image → detect → align → embed → decide, each stage one call.

    pipeline = Pipeline.from_models()
    answer = pipeline.verify("a.jpg", "b.jpg")
    print(answer.decision.outcome, answer.decision.reason)

This is the one file that joins the stages; they never import one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from arcid import decide, detect
from arcid.align import align
from arcid.calibration import Calibration
from arcid.detect import Detector
from arcid.embed import OnnxEmbedder
from arcid.errors import (
    CalibrationError,
    CalibrationMissing,
    ContractMismatch,
    InvalidArray,
    ModelUnsupported,
    NoFaceFound,
    SeveralFacesFound,
)
from arcid.image import ImageSource, load_image, photo_id
from arcid.models import goldens, weights
from arcid.models.weights import Bundle
from arcid.quality import Quality, QualityGate
from arcid.results import Face, Faces, Identification, Prepared, Verification
from arcid.runtime import RuntimeName, open_session
from arcid.types import (
    Crops,
    Decision,
    Detections,
    Embeddings,
    Image,
    Selection,
)

if TYPE_CHECKING:
    from arcid.gallery import Aggregate, Gallery


class Pipeline:
    """Detector, aligner, embedder and an optional quality gate over single images and batches.

    ``gate`` set: faces that fail it are refused by ``one_face`` with ``QualityRejected``; their
    quality is measured and reported either way.
    """

    def __init__(
        self,
        detector: Detector,
        embedder: OnnxEmbedder,
        *,
        calibration: Calibration | None = None,
        gate: QualityGate | None = None,
    ) -> None:
        if calibration is not None:
            calibration.check_contract(embedder.contract_id)
        self.detector = detector
        self.embedder = embedder
        self.gate = gate
        self._calibration = calibration

    @classmethod
    def from_models(
        cls,
        detector: str | None = None,
        recogniser: str | None = None,
        *,
        gate: QualityGate | None = None,
        runtime: RuntimeName | None = None,
        device: str | None = None,
        **detector_options: Any,
    ) -> Pipeline:
        """Build from model names; None takes the default. Raises ``ModelError`` kinds."""
        found = (
            weights.resolve(recogniser) if recogniser else weights.resolve_default("recognition")
        )
        with ThreadPoolExecutor(1) as pool:  # compiling two networks takes two cores
            loading = pool.submit(
                _open_detector, detector, runtime=runtime, device=device, **detector_options
            )
            embedder = load_embedder(found, runtime=runtime, device=device)
            finder, detector_bundle = loading.result()
        pipeline = cls(finder, embedder, gate=gate)
        pipeline.bundle, pipeline.detector_bundle = found, detector_bundle
        return pipeline

    #: Where the models came from; None for those handed in, or without a file.
    bundle: Bundle | None = None
    detector_bundle: Bundle | None = None

    def check_goldens(self) -> None:
        """Run both models on what their bundles' goldens were made of.

        Raises ``ModelUnsupported`` where one answers otherwise than then, ``ManifestInvalid``.
        """
        if found := self.detector_bundle:
            goldens.check_finds(found.manifest, self.detector.detect, found.folder)
        if found := self.bundle:
            goldens.check(found.manifest, self.embedder.embed, found.folder)

    @property
    def calibration(self) -> Calibration:
        """What the embedder's scores mean, read once: a pipeline decides by one calibration as long
        as it lives. Raises ``CalibrationMissing``."""
        if self._calibration is None:
            if self.bundle is None:
                raise CalibrationMissing(
                    "this pipeline was built without a calibration; hand one in: "
                    "Pipeline(detector, embedder, calibration=Calibration.load(path))"
                )
            self._calibration = weights.find_calibration(self.bundle)
        return self._calibration

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
        self, source: ImageSource, *, select: Selection = "all", aligned: bool = False
    ) -> Faces:
        """Every selected face of one photo; ``aligned`` says the photo is a crop already."""
        return self.faces_batch([source], select=select, aligned=aligned)[0]

    def faces_batch(
        self,
        sources: Sequence[ImageSource],
        *,
        select: Selection = "all",
        aligned: bool = False,
    ) -> list[Faces]:
        """As ``faces`` over many photos, the embedder called once for all of them."""
        images = [load_image(source) for source in sources]
        if aligned:
            return self.embed([self._prepared(image, None) for image in images])
        found = [d.select(select) for d in self.detector.detect(images)]
        return self.embed([self._prepared(i, d) for i, d in zip(images, found, strict=True)])

    def prepare(
        self,
        source: ImageSource,
        *,
        select: Selection = "all",
        aligned: bool = False,
        image_id: str | None = None,
    ) -> Prepared:
        """All of ``faces`` but the embedding, so that many photos can share one ``embed``.

        ``image_id``: the ``photo_id``, where it is known already.
        """
        image = load_image(source)
        found = None if aligned else self.detector.detect([image])[0].select(select)
        return self._prepared(image, found, image_id)

    def embed(self, prepared: Sequence[Prepared]) -> list[Faces]:
        """Prepared photos in, their faces out; the embedder is called once for all of them."""
        crops = [p.crops for p in prepared]
        if len({c.size for c in crops}) > 1:  # aligned crops of several sizes: each by itself
            vectors = np.concatenate([self.embedder.embed(c).vectors for c in crops])
            embeddings = Embeddings(vectors, self.embedder.contract_id)
        else:
            embeddings = self.embedder.embed(Crops.concatenate(crops))
        bounds = np.cumsum([0, *map(len, crops)])
        return [
            Faces(p.detections, p.crops, embeddings[int(start) : int(end)], p.quality, p.photo_id)
            for p, start, end in zip(prepared, bounds[:-1], bounds[1:], strict=True)
        ]

    def _prepared(
        self, image: Image, found: Detections | None, image_id: str | None = None
    ) -> Prepared:
        if found is None:
            return Prepared(None, Crops(_square(image)[None]), (), image_id or photo_id(image))
        crops = self.align(image, found)
        quality = self._quality(image, found, crops)
        return Prepared(found, crops, quality, image_id or photo_id(image))

    def align(self, image: Image, detections: Detections) -> Crops:
        """Crops as the embedder wants them."""
        return align(image, detections, size=self.embedder.size, template=self.embedder.template)

    def one_face(
        self, source: ImageSource, *, select: Selection = "prominent", aligned: bool = False
    ) -> Face:
        """The one face of a photo.

        Raises ``NoFaceFound``, ``SeveralFacesFound`` and, with a gate, ``QualityRejected``.
        """
        faces = self.faces(source, select=select, aligned=aligned)
        return self.checked(faces)

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

    # faces → decision

    def verify(
        self,
        a: ImageSource,
        b: ImageSource,
        *,
        fmr: float = decide.DEFAULT_FMR,
        select: Selection = "prominent",
        aligned: bool = False,
    ) -> Verification:
        """Are the faces of two photos one person, at a target false match rate?"""
        face_a = self.one_face(a, select=select, aligned=aligned)
        face_b = self.one_face(b, select=select, aligned=aligned)
        return self.verify_faces(face_a, face_b, fmr=fmr)

    def verify_faces(
        self,
        a: Face,
        b: Face,
        *,
        fmr: float = decide.DEFAULT_FMR,
        allow_extrapolation: bool = False,
    ) -> Verification:
        """``verify`` for faces already found."""
        cosine = float(a.embedding.cosine(b.embedding)[0, 0])
        decision = decide.verify(
            cosine, self.calibration, fmr=fmr, allow_extrapolation=allow_extrapolation
        )
        return Verification(decision, a, b)

    def identify(
        self,
        source: ImageSource,
        gallery: Gallery,
        collection: str,
        *,
        fpir: float = decide.DEFAULT_FPIR,
        k: int = 5,
        select: Selection = "all",
        aligned: bool = False,
        unsupported: decide.Unsupported = "review",
    ) -> list[Identification]:
        """Who of a collection is in a photo, at a target false positive identification rate?

        Two faces of one photo are never given one person.
        """
        faces = self.faces(source, select=select, aligned=aligned)
        return self.identify_faces(
            faces, gallery, collection, fpir=fpir, k=k, unsupported=unsupported
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
    ) -> list[Identification]:
        """``identify`` for the faces of one photo already found."""
        found = gallery.search(
            collection, faces.embeddings, k=k, aggregate=aggregate, one_photo=True
        )
        size = gallery.size(collection, self.embedder.contract_id)
        return [
            Identification(
                faces[i],
                candidates,
                decide.identify(
                    candidates[0].cosine if candidates else None,
                    self.calibration,
                    size,
                    fpir=fpir,
                    unsupported=unsupported,
                    given_away=bool(candidates) and candidates[0].given_to is not None,
                ),
            )
            for i, candidates in enumerate(found)
        ]

    def duplicate(self, cosine: float, size: int) -> Decision | None:
        """Whether a search among ``size`` templates would take a face for its nearest person, as
        ``Gallery.enrol`` asks before a second name; None without a calibration."""
        try:
            calibration = self.calibration
        except CalibrationMissing:
            return None
        return decide.identify(cosine, calibration, size, unsupported="extrapolate")

    def _quality(self, image: Image, detections: Detections, crops: Crops) -> tuple[Quality, ...]:
        return tuple((self.gate or QualityGate()).assess(image, detections, crops))


def load_embedder(
    bundle: Bundle, *, runtime: RuntimeName | None = None, device: str | None = None
) -> OnnxEmbedder:
    """Open a recogniser's session and wrap it."""
    manifest = bundle.manifest
    session = open_session(
        bundle.path,
        runtime=runtime,
        device=device,
        input_name=manifest.input.name,
        sha256=manifest.sha256,
    )
    return OnnxEmbedder(session, manifest)


def load_detector(
    name: str | None = None,
    *,
    runtime: RuntimeName | None = None,
    device: str | None = None,
    **options: Any,
) -> Detector:
    """Open a detector by name; None takes the default."""
    return _open_detector(name, runtime=runtime, device=device, **options)[0]


def _open_detector(
    name: str | None,
    *,
    runtime: RuntimeName | None,
    device: str | None,
    **options: Any,
) -> tuple[Detector, Bundle | None]:
    if name in detect.FAMILIES and not detect.FAMILIES[name].files:  # no model file needed
        return detect.create(name, None, **options), None
    bundle = weights.resolve(name) if name else weights.resolve_default("detection")
    manifest = bundle.manifest
    if manifest.task != "detection":
        raise ModelUnsupported(f"{bundle.name} is a {manifest.task} model, not a detector")
    sessions = {
        part: open_session(
            bundle.path.with_name(filename), runtime=runtime, device=device, sha256=sha256
        )
        for part, (filename, sha256) in detect.model_files(manifest).items()
    }
    return detect.create(manifest, sessions, **options), bundle


def _square(image: Image) -> Image:
    if image.shape[0] != image.shape[1]:
        raise InvalidArray(
            f"an aligned crop is square (112×112), got {image.shape[1]}×{image.shape[0]}; "
            "leave out 'aligned' for a whole photo"
        )
    return image


__all__ = [
    "ContractMismatch",
    "Face",
    "Faces",
    "Identification",
    "Pipeline",
    "Prepared",
    "Verification",
    "load_detector",
    "load_embedder",
]
