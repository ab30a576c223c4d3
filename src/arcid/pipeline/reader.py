"""Photos → faces and their vectors: a pipeline's networks, without its decisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from typing import Any, Self

import numpy as np

from arcid import detect
from arcid.batch import BatchItem, items, named, run
from arcid.embed import resized
from arcid.errors import (
    ContractMismatch,
    ModelUnsupported,
    NoFaceFound,
    SeveralFacesFound,
)
from arcid.image import ColorOrder, ImageSource, check_color, load_image, photo_id
from arcid.models import goldens, weights
from arcid.models.manifest import Manifest
from arcid.models.weights import Bundle
from arcid.pipeline.masking import Background, without_background
from arcid.pipeline.opening import (
    check_recogniser,
    load_embedder,
    load_landmarks,
    open_detector,
)
from arcid.pipeline.preparing import Preparer
from arcid.quality import QualityGate
from arcid.results import Face, Faces, Prepared
from arcid.runtime import RuntimeName, default_threads
from arcid.types import Crops, Embeddings, Selection, check_selection


class FaceReader(Preparer):
    """Everything of ``Pipeline`` that takes no calibration."""

    @classmethod
    def from_models(
        cls,
        detector: str | PathLike[str] | None = None,
        recogniser: str | PathLike[str] | None = None,
        *,
        gate: QualityGate | None = None,
        landmarks: str | PathLike[str] | bool = False,
        background: Background = "keep",
        runtime: RuntimeName | None = None,
        device: str | None = None,
        many: bool = False,
        **detector_options: Any,
    ) -> Self:
        """Build from names or paths of models; None takes the default.

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
            name = None if isinstance(landmarks, bool) else landmarks
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
            f"{type(self).__name__}({made_with['detector']} → {made_with['model']}, "
            f"contract {self.embedder.contract_id[:8]}…)"
        )

    def check_goldens(self) -> None:
        """Run both models on what their bundles' goldens were made of.

        Raises ``ModelUnsupported`` where one answers otherwise than then, ``ManifestInvalid``.
        """
        if found := self.detector_bundle:
            goldens.check_finds(found.manifest, detect.once(self.detector), found.folder)
        if found := self.bundle:
            check_recogniser(found, self.embedder)

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
        do; a single picture is refused (``UsageError``). ``photo_ids``: hash them, for faces that
        are to be enrolled.
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
