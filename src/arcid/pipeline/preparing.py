"""One photo → what the embedder is shown of it: find faces, cut them out, measure their quality."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from arcid import detect
from arcid.align import align
from arcid.batch import BatchItem, each, items, named, run
from arcid.detect import Detector
from arcid.embed import Embedder
from arcid.errors import ArcidError, InvalidArray, ModelUnsupported, UsageError
from arcid.geometry import recut
from arcid.image import ColorOrder, ImageSource, PhotoId, check_color, load_image
from arcid.landmarks import LandmarkFinder, Landmarks
from arcid.landmarks.pose import head_pose
from arcid.quality import Quality, QualityGate, Seen, pose
from arcid.results import Prepared
from arcid.types import Crops, Detections, Image, Selection, check_selection

TURNED_DEG = 30.0  # yaw by five points, beyond which 68 points say less: docs/concepts/landmarks.md


class Preparer:
    """Detector, aligner, landmarks and quality: all of a pipeline but its embedder and decisions.

    The crops are as ``embedder`` wants them.
    """

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder,
        *,
        gate: QualityGate | None = None,
        landmarks: LandmarkFinder | None = None,
    ) -> None:
        _check_has("detector", detector, "detect")
        _check_has("embedder", embedder, "contract_id", "dim", "size", "template", "embed")
        self.detector = detector
        self.embedder = embedder
        self.gate = gate
        self.landmarks = landmarks

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
