"""Where embeddings come from: an embedder handed in, a cache, or a file.

A protocol asks for the vectors of named photos. Whoever runs it hands in an ``Embed``: images in,
one embedding or one ``Failure`` each out. Photos that cannot be read or show no face stay in the
set as failures; nothing is dropped.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from arcid import files
from arcid.errors import (
    ContractMismatch,
    DatasetInvalid,
    InputError,
    InvalidArray,
)
from arcid.evaluate.metrics import Mask
from arcid.geometry import similarity_transform, template_points, warp
from arcid.image import load_image
from arcid.types import Crops, Embeddings, FloatArray, Image

log = logging.getLogger(__name__)
BATCH = 64
Progress = Callable[[int, int], None]  # (done, total)
Transform = Callable[[Image], Image]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a photo has no embedding; ``code`` is that of an ``ArcidError``."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One picture of a data set: a name to report, and where its pixels are."""

    name: str
    source: Path | bytes | Image
    points: FloatArray | None = None  # (5,2) pixels where the data set brings them

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
            found = iter(self.embedder.embed(Crops(np.stack(crops))))
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


@dataclass(frozen=True, eq=False)
class EmbeddingSet:
    """Named photos with their vectors; failed ones have a zero row.

    Raises ``InvalidArray`` on names that repeat and on rows that are NaN, or zero without being
    marked as failed. Rows are brought to unit norm.
    """

    names: tuple[str, ...]
    vectors: FloatArray  # (N,D) float32 unit norm
    contract_id: str
    failures: Mapping[int, Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vectors = np.asarray(self.vectors, np.float32)
        if vectors.ndim != 2 or len(vectors) != len(self.names):
            raise InvalidArray(
                f"{len(self.names)} names need (N,D) vectors of as many rows, got {vectors.shape}"
            )
        if len(set(self.names)) != len(self.names):
            twice = Counter(self.names).most_common(1)[0][0]
            raise InvalidArray(f"the photo {twice!r} is there twice; names must differ")
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        bad = ~np.isfinite(norms[:, 0]) | (norms[:, 0] < 1e-12)
        bad[list(self.failures)] = False
        if bad.any():
            row = int(np.argmax(bad))
            raise InvalidArray(
                f"the embedding of {self.names[row]!r} (row {row + 1}) is zero, NaN or infinite "
                f"({int(bad.sum())} such rows); embed it again or mark the photo as failed"
            )
        good = np.ones(len(vectors), bool)
        good[list(self.failures)] = False
        unit = np.zeros_like(vectors)
        np.divide(vectors, norms, out=unit, where=good[:, None])
        unit.flags.writeable = False
        object.__setattr__(self, "vectors", unit)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def failed(self) -> Mask:
        """(N,) True where the photo has no embedding."""
        failed = np.zeros(len(self), bool)
        failed[list(self.failures)] = True
        return failed

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def rows(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """Row of each name; raises ``DatasetInvalid`` that names the first one missing."""
        try:
            return np.array([self._row_of[name] for name in names], np.int64)
        except KeyError as error:
            missing = sum(name not in self._row_of for name in names)
            raise DatasetInvalid(
                f"the embeddings hold no photo {error.args[0]!r} ({missing} of {len(names)} "
                "missing); embed the whole data set first"
            ) from None

    def select(self, names: Sequence[str]) -> EmbeddingSet:
        """These photos in this order."""
        rows = self.rows(names)
        failures = {i: self.failures[int(r)] for i, r in enumerate(rows) if int(r) in self.failures}
        return EmbeddingSet(tuple(names), self.vectors[rows], self.contract_id, failures)

    def require_contract(self, contract_id: str) -> None:
        """Raise ``ContractMismatch`` unless these vectors were made by that contract."""
        if self.contract_id != contract_id:
            raise ContractMismatch(
                f"these embeddings are of contract {self.contract_id[:12]}, the others of "
                f"{contract_id[:12]}; embed everything with one model"
            )

    def save(self, path: Path) -> None:
        """Write an ``.npz`` that ``load_embeddings`` reads; it holds biometric data."""
        codes = np.array(
            [self.failures[r].code if r in self.failures else "" for r in range(len(self))]
        )
        with files.replacing(path, private=True) as file:
            np.savez(
                file,
                vectors=self.vectors,
                names=np.array(self.names),
                contract_id=np.array(self.contract_id),
                failed=codes,
            )


def load_embeddings(
    path: Path, *, contract_id: str | None = None, names: Sequence[str] | None = None
) -> EmbeddingSet:
    """Read vectors from ``.npz`` (vectors, names, contract_id, optional failed) or ``.npy``.

    An ``.npy`` holds vectors alone: hand in ``names`` in row order; without ``contract_id`` the
    sha256 of the file stands for it. ``failed`` marks failed rows (flags, or codes as ``save``
    writes). Nothing is unpickled. With ``contract_id`` a file of another contract raises
    ``ContractMismatch``; a file that cannot be read raises ``DatasetInvalid``.
    """
    try:
        with path.open("rb") as file:
            data = np.load(file, allow_pickle=False)
            fields = None if isinstance(data, np.ndarray) else {k: data[k] for k in data.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetInvalid(
            f"{path.name} cannot be read as NumPy vectors ({type(error).__name__}); expected .npz "
            "with vectors, names and contract_id, or .npy"
        ) from None
    if fields is None:
        if names is None:
            names = [str(i) for i in range(len(data))]
        own = contract_id or "file:" + hashlib.sha256(path.read_bytes()).hexdigest()
        return EmbeddingSet(tuple(names), data, own)
    missing = sorted({"vectors", "names", "contract_id"} - set(fields))
    if missing:
        raise DatasetInvalid(f"{path.name} lacks {', '.join(missing)}; it has {sorted(fields)}")
    codes = fields.get("failed", np.zeros(0, "U1"))
    found, vectors = str(fields["contract_id"]), fields["vectors"]
    own_names = [str(n) for n in fields["names"]]
    if codes.dtype.kind in "bui":
        codes = np.where(codes, "failed", "")
    failures = {
        int(r): Failure(str(codes[r]), "failed when it was embedded")
        for r in np.flatnonzero(codes != "")
    }
    loaded = EmbeddingSet(tuple(own_names), vectors, found, failures)
    if contract_id is not None:
        loaded.require_contract(contract_id)
    return loaded if names is None else loaded.select(names)


class EmbeddingCache:
    """Vectors by contract, picture hash and variant in one SQLite file of a folder.

    ``variant`` names what happens between picture and vector besides the model (detector and its
    options, aligned or not, a synthetic mask); vectors of two variants never mix. The file holds
    biometric data and is readable by its owner only.
    """

    def __init__(self, folder: Path, contract_id: str, variant: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "embeddings.sqlite"
        self.contract_id, self.variant = contract_id, variant
        new = not self.path.exists()
        with self._connect() as db:
            if new:
                self.path.chmod(0o600)
                db.execute("PRAGMA journal_mode=WAL")
            db.execute(
                "CREATE TABLE IF NOT EXISTS vectors (contract TEXT, variant TEXT, picture TEXT, "
                "vector BLOB, code TEXT, message TEXT, PRIMARY KEY (contract, variant, picture)) "
                "WITHOUT ROWID"
            )

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=30)) as db, db:
                yield db
        except sqlite3.DatabaseError as error:
            raise DatasetInvalid(
                f"the embedding cache {self.path.name} cannot be used ({error}); delete it, it is "
                "made again"
            ) from None

    def get(self, digests: Sequence[str]) -> dict[str, FloatArray | Failure]:
        """What is known of these pictures."""
        found: dict[str, FloatArray | Failure] = {}
        with self._connect() as db:
            for start in range(0, len(digests), 500):
                part = list(digests[start : start + 500])
                marks = ",".join("?" * len(part))
                rows = db.execute(
                    "SELECT picture, vector, code, message FROM vectors "  # noqa: S608
                    f"WHERE contract = ? AND variant = ? AND picture IN ({marks})",
                    (self.contract_id, self.variant, *part),
                )
                for picture, vector, code, message in rows:
                    found[picture] = (
                        Failure(code, message)
                        if vector is None
                        else np.frombuffer(vector, np.float32)
                    )
        return found

    def put(self, entries: Mapping[str, FloatArray | Failure]) -> None:
        """Remember; failures too, so that a second run need not try again."""
        rows = [
            (self.contract_id, self.variant, picture, None, value.code, value.message)
            if isinstance(value, Failure)
            else (
                self.contract_id,
                self.variant,
                picture,
                np.asarray(value, np.float32).tobytes(),
                None,
                None,
            )
            for picture, value in entries.items()
        ]
        with self._connect() as db:
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?,?,?,?,?,?)", rows)


def embed_photos(
    photos: Sequence[Photo],
    embed: Embed,
    *,
    cache: EmbeddingCache | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> EmbeddingSet:
    """Vectors of all photos, the cache asked first; equal pictures are embedded once.

    Photos with ``points`` are aligned by them and handed on as 112×112 crops. An unreadable file or
    a photo refused by ``embed`` becomes a failure. Raises ``ContractMismatch`` where the embedder's
    answers are not of its contract.
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
    for start in range(0, len(todo), batch):
        part = todo[start : start + batch]
        fresh = dict(
            zip(part, _embed_batch([photos[first_row[d]] for d in part], embed), strict=True)
        )
        answers.update(fresh)
        if cache is not None:
            cache.put(fresh)
        if progress is not None:
            progress(min(start + batch, len(todo)), len(todo))
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


def _embed_batch(photos: Sequence[Photo], embed: Embed) -> list[FloatArray | Failure]:
    images: list[Path | bytes | Image] = []
    ready: list[int] = []
    answers: list[FloatArray | Failure] = [Failure("arcid_error", "not embedded")] * len(photos)
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


def failure_counts(embeddings: EmbeddingSet) -> dict[str, int]:
    """How many photos failed, by code."""
    counts: dict[str, int] = {}
    for failure in embeddings.failures.values():
        counts[failure.code] = counts.get(failure.code, 0) + 1
    return dict(sorted(counts.items()))


__all__ = [
    "Embed",
    "EmbedCrops",
    "EmbeddingCache",
    "EmbeddingSet",
    "Failure",
    "Photo",
    "Progress",
    "embed_photos",
    "failure_counts",
    "load_embeddings",
]
