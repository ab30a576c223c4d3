"""Photos → vectors of the labelled faces, in this process or in a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from arcid import batch
from arcid.apps.photo_options import Options
from arcid.errors import ArcidError, InputError, InvalidArray, LandmarksRequired
from arcid.evaluate.embeddings import Failure
from arcid.evaluate.protocols import SyntheticMask
from arcid.evaluate.sources import Answer, Photo, embed_batch
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.pipeline.masking import Background
from arcid.results import Faces, Prepared
from arcid.types import Crops, Embeddings, Image

#: Columns of the quality cache, higher is better in each.
QUALITY = (
    "detection score", "sharpness", "eye distance", "frontal", "contrast", "no quality reasons",
)  # fmt: skip
Words = Callable[[ArcidError], str]


def plain_words(error: ArcidError) -> str:
    """Its message."""
    return error.message


class PhotoEmbedder:
    """``evaluate.sources.Embed`` over a pipeline: one labelled face of each photo, or a failure.

    Quality of every face goes to ``keep_quality`` by the photo's digest.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        how: Options,
        *,
        words: Words = plain_words,
        keep_quality: Callable[[dict[str, np.ndarray]], None] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.how = how
        self.words = words
        self.keep_quality = keep_quality

    @property
    def contract_id(self) -> str:
        return self.pipeline.embedder.contract_id

    def __call__(self, images: Sequence[Path | bytes | Image]) -> list[Embeddings | Failure]:
        answers: list[Embeddings | Failure] = []
        quality: dict[str, np.ndarray] = {}
        keyed = ((image, image) for image in images)
        for image, answer in batch.run(keyed, self._prepare, self.pipeline.embed):
            answers.append(self._answer(answer))
            if self.keep_quality is not None and isinstance(answer, Faces):
                quality |= _quality_of(image, answer)
        if quality and self.keep_quality is not None:
            self.keep_quality(quality)
        return answers

    def crop(self, image: Path | bytes | Image) -> Image | None:
        """The (S,S,3) crop that is embedded, as a picture; None where there is no face."""
        try:
            found = self._prepare(image)
        except InputError:
            return None
        return found.crops.pixels[0] if len(found.crops) else None

    def _prepare(self, image: Path | bytes | Image) -> Prepared:
        if self.how.aligned and self.how.margin:
            image = _cut(load_image(image), self.how.margin)
        found = self.pipeline.prepare(
            image, select=self.how.select, aligned=self.how.aligned, keep_photo=False
        )
        return _masked(found) if self.how.masked else found

    def _answer(self, answer: Faces | ArcidError) -> Embeddings | Failure:
        if not isinstance(answer, ArcidError):
            try:
                return self.pipeline.checked(answer).embedding
            except InputError as error:
                answer = error
        if not isinstance(answer, InputError) or isinstance(answer, LandmarksRequired):
            raise answer
        return Failure(answer.code, self.words(answer))


def _cut(image: Image, margin: int) -> Image:
    height, width = image.shape[:2]
    if min(height, width) - 2 * margin < 16:
        raise InvalidArray(
            f"a crop of {width}×{height} has no {margin} pixels to cut off each side"
        )
    return image[margin : height - margin, margin : width - margin]


def _masked(found: Prepared) -> Prepared:
    if not len(found.crops):
        return found
    draw = SyntheticMask()
    return replace(found, crops=Crops(np.stack([draw(c) for c in found.crops.pixels])))


def _quality_of(image: Path | bytes | Image, faces: Faces) -> dict[str, np.ndarray]:
    if len(faces.quality) != 1:
        return {}
    q = faces.quality[0]
    turned = (
        None
        if q.yaw_deg is None or q.pitch_deg is None
        else -float(np.hypot(q.yaw_deg, q.pitch_deg))
    )
    row = (
        q.detection_score, q.sharpness, q.inter_eye_px, turned, q.contrast, -float(len(q.reasons)),
    )  # fmt: skip
    values = np.array([np.nan if v is None else v for v in row], np.float32)
    return {Photo("", image).digest(): values}


class Embedded(NamedTuple):
    """What a worker answers of some photos: the answer of each, quality by digest, and by what."""

    answers: list[Answer]
    quality: dict[str, np.ndarray]
    made_with: dict[str, str]

    def __repr__(self) -> str:
        return f"Embedded({len(self.answers)} photos)"


def embed_apart(how: Options, words: Words, photos: Sequence[Photo]) -> Embedded:
    """``embed_batch`` in a worker process, which opens the models once."""
    pipeline = _opened(how.detector, how.model, how.background)
    quality: dict[str, np.ndarray] = {}
    embed = PhotoEmbedder(pipeline, how, words=words, keep_quality=quality.update)
    return Embedded(embed_batch(photos, embed), quality, pipeline.provenance)


@lru_cache(maxsize=1)
def _opened(detector: str | None, model: str | None, background: Background) -> Pipeline:
    return Pipeline.from_models(detector, model, background=background)
