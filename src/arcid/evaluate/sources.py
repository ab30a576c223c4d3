"""Where embeddings come from: an embedder handed in, and photos.

A protocol asks for the vectors of named photos. Whoever runs it hands in an ``Embed``: images in,
one embedding or one ``Failure`` each out. Photos that cannot be read or show no face stay in the
set as failures; nothing is dropped.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from arcid.errors import ContractMismatch, InputError, InvalidArray
from arcid.evaluate.cache import EmbeddingCache
from arcid.evaluate.embeddings import EmbeddingSet, Failure
from arcid.geometry import recut, similarity_transform, template_points, warp
from arcid.image import load_image
from arcid.types import Crops, Embeddings, FloatArray, Image, Template

log = logging.getLogger(__name__)
BATCH = 64
Progress = Callable[[int, int], None]  # (done, total)
Transform = Callable[[Image], Image]
Answer = FloatArray | Failure


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One picture of a data set: a name to report, and where its pixels are."""

    name: str
    source: Path | bytes | Image = field(repr=False)
    # (5,2) pixels where the data set brings them
    points: FloatArray | None = field(default=None, repr=False)

    def digest(self) -> str:
        """sha256 of the encoded bytes (or of shape and pixels), and of the points if any."""
        if isinstance(self.source, np.ndarray):
            found = hashlib.sha256(repr(self.source.shape).encode())
            found.update(np.ascontiguousarray(self.source).data)
        else:
            data = self.source if isinstance(self.source, bytes) else self.source.read_bytes()
            found = hashlib.sha256(data)
        if self.points is not None:
            found.update(np.asarray(self.points, np.float32).tobytes())
        return found.hexdigest()


class Embed(Protocol):
    """What the caller hands in: images (N) in, N embeddings of one row each, or failures, out.

    An image is a path, encoded bytes or an (H,W,3) uint8 RGB array. It should answer with a
    ``Failure`` for a photo that it cannot use; an ``InputError`` raised for a batch of one counts
    as one too.
    """

    @property
    def contract_id(self) -> str: ...

    def __call__(self, images: Sequence[Path | bytes | Image]) -> Sequence[Embeddings | Failure]:
        """Embed a batch; the answer has one entry for every image, in order."""
        ...


class CropEmbedder(Protocol):
    """The part of ``arcid.embed.Embedder`` that is needed here."""

    @property
    def contract_id(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def template(self) -> Template: ...

    def embed(self, crops: Crops) -> Embeddings: ...


class EmbedCrops:
    """An ``Embed`` over photos that are aligned crops already.

    ``size``: the side to which crops are brought. ``centre`` cuts that square out of the middle
    first, as for crops with a margin around the template; otherwise the whole picture is used and
    must be square. ``transform`` changes the (S,S,3) crop before embedding, as synthetic masks do.
    """

    def __init__(
        self,
        embedder: CropEmbedder,
        *,
        size: int = 112,
        centre: bool = False,
        transform: Transform | None = None,
    ) -> None:
        self.embedder = embedder
        self.size, self.centre, self.transform = size, centre, transform

    @property
    def contract_id(self) -> str:
        return self.embedder.contract_id

    def __call__(self, images: Sequence[Path | bytes | Image]) -> list[Embeddings | Failure]:
        crops: list[Image] = []
        answers: list[Embeddings | Failure | None] = []
        for image in images:
            try:
                crops.append(self._crop(load_image(image)))
                answers.append(None)
            except InputError as error:
                answers.append(Failure(error.code, error.message))
        if crops:
            wanted = self.embedder
            aligned = recut(Crops(np.stack(crops)), wanted.size, wanted.template)
            found = iter(wanted.embed(aligned))
            answers = [next(found) if a is None else a for a in answers]
        return [a for a in answers if a is not None]

    def _crop(self, image: Image) -> Image:
        height, width = image.shape[:2]
        if self.centre and min(height, width) >= self.size:
            y, x = (height - self.size) // 2, (width - self.size) // 2
            image = np.ascontiguousarray(image[y : y + self.size, x : x + self.size])
        elif height != width:
            raise InvalidArray(
                f"an aligned crop is square, got {width}×{height}; "
                "evaluate whole photos with a detector"
            )
        elif height != self.size:
            import cv2

            method = cv2.INTER_AREA if height > self.size else cv2.INTER_LINEAR
            image = np.asarray(
                cv2.resize(image, (self.size, self.size), interpolation=method), np.uint8
            )
        return self.transform(image) if self.transform else image


def embed_photos(
    photos: Sequence[Photo],
    embed: Embed,
    *,
    cache: EmbeddingCache | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
    each: Callable[[Iterable[list[Photo]]], Iterator[list[Answer]]] | None = None,
) -> EmbeddingSet:
    """Vectors of all photos, the cache asked first; equal pictures are embedded once.

    Photos with ``points`` are aligned by them and handed on as 112×112 crops. An unreadable file or
    a photo refused by ``embed`` becomes a failure. ``each``: what ``embed_batch`` answers of every
    batch, in order, where other processes are to embed. Raises ``ContractMismatch`` where the
    embedder's answers are not of its contract.
    """
    if cache is not None and cache.contract_id != embed.contract_id:
        raise ContractMismatch(
            f"the cache is for contract {cache.contract_id[:12]}, the embedder is of "
            f"{embed.contract_id[:12]}"
        )
    digests: list[str | None] = []
    answers: dict[str, FloatArray | Failure] = {}
    unreadable: dict[int, Failure] = {}
    for row, photo in enumerate(photos):
        try:
            digests.append(photo.digest())
        except OSError as error:
            digests.append(None)
            unreadable[row] = Failure("image_unreadable", f"cannot be opened: {error.strerror}")
    known = [d for d in digests if d is not None]
    if cache is not None:
        answers.update(cache.get(sorted(set(known))))
    first_row = {d: row for row, d in reversed(list(enumerate(digests))) if d is not None}
    todo = [d for d in dict.fromkeys(known) if d not in answers]
    log.info("embedding", extra={"photos": len(photos), "cached": len(answers), "new": len(todo)})
    parts = [todo[start : start + batch] for start in range(0, len(todo), batch)]
    batches = ([photos[first_row[d]] for d in part] for part in parts)
    made = each(batches) if each else (embed_batch(some, embed) for some in batches)
    done = 0
    for part, found in zip(parts, made, strict=True):
        fresh = dict(zip(part, found, strict=True))
        answers.update(fresh)
        if cache is not None:
            cache.put(fresh)
        done += len(part)
        if progress is not None:
            progress(done, len(todo))
    return _assemble(photos, digests, answers, unreadable, embed.contract_id)


def _assemble(
    photos: Sequence[Photo],
    digests: Sequence[str | None],
    answers: Mapping[str, FloatArray | Failure],
    unreadable: Mapping[int, Failure],
    contract_id: str,
) -> EmbeddingSet:
    failures = dict(unreadable)
    dims = {len(v) for v in answers.values() if not isinstance(v, Failure)}
    if len(dims) > 1:
        raise ContractMismatch(f"embeddings of several sizes came back: {sorted(dims)}")
    vectors = np.zeros((len(photos), dims.pop() if dims else 1), np.float32)
    for row, digest in enumerate(digests):
        if digest is None:
            continue
        answer = answers[digest]
        if isinstance(answer, Failure):
            failures[row] = answer
        else:
            vectors[row] = answer
    return EmbeddingSet(tuple(p.name for p in photos), vectors, contract_id, failures)


def embed_batch(photos: Sequence[Photo], embed: Embed) -> list[Answer]:
    """One vector or one failure for each photo, in order. Raises as ``embed_photos``."""
    images: list[Path | bytes | Image] = []
    ready: list[int] = []
    answers: list[Answer] = [Failure("arcid_error", "not embedded")] * len(photos)
    for i, photo in enumerate(photos):
        try:
            images.append(photo.source if photo.points is None else _aligned(photo))
            ready.append(i)
        except InputError as error:
            answers[i] = Failure(error.code, error.message)
    found: Sequence[Embeddings | Failure]
    try:
        found = embed(images) if images else []
    except InputError:
        found = [_embed_one(image, embed) for image in images]
    if len(found) != len(images):
        raise InvalidArray(f"the embedder answered {len(found)} times for {len(images)} images")
    for i, answer in zip(ready, found, strict=True):
        answers[i] = answer if isinstance(answer, Failure) else _vector(answer, embed.contract_id)
    return answers


def _embed_one(image: Path | bytes | Image, embed: Embed) -> Embeddings | Failure:
    try:
        return embed([image])[0]
    except InputError as error:
        return Failure(error.code, error.message)


def _vector(answer: Embeddings, contract_id: str) -> FloatArray:
    if answer.contract_id != contract_id:
        raise ContractMismatch(
            f"the embedder of contract {contract_id[:12]} answered with vectors of "
            f"{answer.contract_id[:12]}"
        )
    if len(answer) != 1:
        raise InvalidArray(f"one embedding for each photo is needed, got {len(answer)}")
    vector: FloatArray = answer.vectors[0]
    return vector


def _aligned(photo: Photo) -> Image:
    image = load_image(photo.source)
    matrix = similarity_transform(np.asarray(photo.points)[None], template_points(112))[0]
    return warp(image, matrix, 112)


__all__ = ["Embed", "EmbedCrops", "Photo", "Progress", "embed_batch", "embed_photos"]
