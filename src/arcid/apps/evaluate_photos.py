"""Measure on photos: pictures → vectors through the cache → a protocol's result → the report."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import arcid
from arcid import decide, paths, sharding
from arcid.apps.photo_embedding import QUALITY, PhotoEmbedder, Words, embed_apart, plain_words
from arcid.apps.photo_options import Options
from arcid.embed import Ensemble
from arcid.errors import (
    ArcidError,
    CalibrationError,
    DatasetInvalid,
    UsageError,
    by_reason,
)
from arcid.evaluate import report
from arcid.evaluate.cache import EmbeddingCache
from arcid.evaluate.embeddings import EmbeddingSet, Failure, load_embeddings, read_arrays
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.protocols import SyntheticMask
from arcid.evaluate.readers import PairList, PeopleFolder
from arcid.evaluate.sources import Answer, Photo, embed_photos
from arcid.image import load_image
from arcid.models import weights
from arcid.models.manifest import canonical_json
from arcid.models.weights import Bundle
from arcid.pipeline import Pipeline
from arcid.sharding import Workers, shards
from arcid.types import Image

BATCH = 16
PICTURE_PX = 160
Advance = Callable[[int], object]


class Report(NamedTuple):
    """What was measured: for people, as a record, and the files written by kind."""

    document: report.Document
    record: dict[str, Any]
    files: dict[str, str]


@dataclass
class Run:
    """One measurement: makes the vectors, remembers what the report needs, writes it.

    ``words`` says why a photo cannot be used, ``bar`` shows how far embedding has come. Raises
    ``UsageError``, ``MissingExtra`` where the work cannot be shared as ``how`` says.
    """

    how: Options
    data: str
    command: str = ""  # for the report
    words: Words = plain_words
    bar: Callable[[str, int], AbstractContextManager[Advance]] = lambda *_: nullcontext(
        lambda count: None
    )
    started: float = field(default_factory=time.perf_counter)
    photos: dict[str, Photo] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    vectors: EmbeddingSet | None = None
    target_fmr: float | None = None  # of the product's threshold; default: the product's own

    def __post_init__(self) -> None:
        sharding.check(self.how.workers, self.how.ray)

    @cached_property
    def pipeline(self) -> Pipeline:
        return Pipeline.from_models(
            self.how.detector, self.how.model, background=self.how.background
        )

    @cached_property
    def embedder(self) -> PhotoEmbedder:
        cache = None if self.how.no_cache else self._cache("quality")
        keep = None if cache is None else cache.put
        return PhotoEmbedder(self.pipeline, self.how, words=self.words, keep_quality=keep)

    def embed(
        self,
        photos: Sequence[Photo],
        *,
        file: Path | None = None,
        contract_id: str | None = None,
    ) -> EmbeddingSet:
        """Vectors of the photos, from the file of embeddings or by the model.

        Raises ``DatasetInvalid`` where not one photo could be used.
        """
        self.photos |= {p.name: p for p in photos}
        file = file or self.how.embeddings
        found = self._run_model(photos) if file is None else self._load(file, photos)
        if contract_id is not None:
            found.require_contract(contract_id)
        self.failed |= {found.names[i]: failure for i, failure in found.failures.items()}
        if len(found) and found.failed.all():
            first = next(iter(found.failures.values()))
            raise DatasetInvalid(
                f"not one of the {len(found)} photos could be used; the first: {first.message}"
            )
        self.vectors = found
        if self.how.save_embeddings is not None:
            found.save(self.how.save_embeddings)
        return found

    def _load(self, file: Path, photos: Sequence[Photo]) -> EmbeddingSet:
        wanted = weights.resolve(self.how.model).manifest.contract_id if self.how.model else None
        names = [p.name for p in photos]
        made_by_embed = _from_arcid_embed(file, photos)
        found = made_by_embed or load_embeddings(file, names=names)
        if wanted is not None:
            found.require_contract(wanted)
        return found

    def _run_model(self, photos: Sequence[Photo]) -> EmbeddingSet:
        cache = None if self.how.no_cache else self._cache()
        done = 0
        with self.bar("embedding", len(photos)) as advance:

            def progress(finished: int, new: int) -> None:
                nonlocal done
                position = len(photos) - new + finished
                advance(position - done)
                done = position

            with sharding.workers(self.how.workers, self.how.ray) as over:
                return embed_photos(
                    photos, self.embedder, cache=cache, batch=BATCH, progress=progress,
                    each=None if over is None else partial(self._apart, over),
                )  # fmt: skip

    def _apart(self, over: Workers, batches: Iterable[list[Photo]]) -> Iterator[list[Answer]]:
        """What workers answer, checked to be made as this process would make it."""
        work = partial(embed_apart, self.how, self.words)
        for answers, quality, made_with in shards(work, batches, over, kept=self._kept):
            if made_with != self.pipeline.provenance:
                raise UsageError(
                    f"a worker embeds with {made_with}, this process with "
                    f"{self.pipeline.provenance}: set ARCID_DETECTOR, ARCID_RECOGNISER, "
                    "ARCID_RUNTIME and ARCID_DEVICE alike everywhere, or name the models"
                )
            if quality and self.embedder.keep_quality is not None:
                self.embedder.keep_quality(quality)
            yield answers

    @property
    def _kept(self) -> str:
        if self.how.no_cache:
            return "Nothing was kept: that takes a cache."
        return "What was embedded is in the cache; started again, it goes on from there."

    def _cache(self, part: str = "") -> EmbeddingCache:
        folder = self.how.cache or paths.home_dir() / "cache" / "embeddings"
        try:
            return EmbeddingCache(
                folder, self.pipeline.embedder.contract_id, "|".join([*self._variant(), part])
            )
        except OSError as error:
            raise UsageError(f"{folder} cannot be written: {error.strerror}") from None

    def _variant(self) -> list[str]:
        """Everything but the contract that decides what vector a photo gets."""
        how, made_with = self.how, self.pipeline.provenance
        parts = [made_with[part] for part in ("model", "runtime", "precision")]
        parts.append(_digest(self.pipeline.bundle))
        by = [made_with["detector"], _digest(self.pipeline.detector_bundle)]
        parts += ["aligned", str(how.margin)] if how.aligned else by
        return [*parts, how.select, SyntheticMask().variant if how.masked else "plain"]

    def qualities(self) -> report.Qualities | None:
        """Quality of the photos as far as it was measured."""
        if self.how.embeddings is not None or self.how.no_cache or self.how.aligned:
            return None
        digests: dict[str, str] = {}
        for name, photo in self.photos.items():
            if name not in self.failed:
                digests[name] = photo.digest()
        known = self._cache("quality").get(sorted(set(digests.values())))
        rows = [known.get(digest) for digest in digests.values()]
        blank = np.full(len(QUALITY), np.nan)
        values = [
            r if isinstance(r, np.ndarray) and len(r) == len(QUALITY) else blank for r in rows
        ]
        return report.Qualities(tuple(digests), QUALITY, np.array(values).reshape(-1, len(QUALITY)))

    def product(self) -> tuple[float, float] | None:
        """(cosine, FMR) of the threshold that the product would use; None without calibration."""
        if self.how.embeddings is not None and self.how.model is None:
            return None
        if self.how.background != "keep":  # another contract, that nobody calibrated
            return None
        try:
            return self.product_threshold(), self._fmr
        except CalibrationError:
            return None

    def product_threshold(self) -> float:
        """Cosine of the product's threshold; raises ``CalibrationError`` kinds."""
        if self.how.embeddings is not None and self.how.model is None:
            raise UsageError(
                "vectors from a file have no threshold of their own; name one with --threshold, "
                "or their --model"
            )
        name = self.how.model
        bundle = weights.resolve(name) if name else weights.resolve_default("recognition")
        calibration = weights.find_calibration(bundle)
        return calibration.threshold_at_fmr(self._fmr, allow_extrapolation=True).cosine

    @property
    def _fmr(self) -> float:
        return decide.DEFAULT_FMR if self.target_fmr is None else self.target_fmr

    def picture(self, name: str) -> bytes | None:
        """The face that was embedded, as JPEG; of embeddings from a file the photo itself."""
        photo = self.photos.get(name)
        if photo is None:
            return None
        try:
            if self.how.embeddings is None:
                crop = self.embedder.crop(photo.source)
                return None if crop is None else _jpeg(crop)
            return _jpeg(load_image(photo.source))
        except ArcidError:
            return None

    def facts(self) -> dict[str, str]:
        """How this was measured, for people."""
        contract = self.vectors.contract_id if self.vectors is not None else ""
        found = {"data": self.data}
        if self.how.embeddings is not None:
            found |= {"embeddings": self.how.embeddings.name}
        elif self.vectors is not None:
            made_with = self.pipeline.provenance
            found |= {
                "model": made_with["model"],
                "detector": "none, aligned" if self.how.aligned else made_with["detector"],
                "face": "" if self.how.aligned else self.how.select,
                "runtime": "{runtime} {precision} on {device}".format(**made_with),
            }
        if self.how.masked:
            found |= {"masks": "drawn on every face"}
        if self.how.background != "keep":
            found |= {"background": f"grey, outside the {self.how.background}"}
        found |= {
            "contract": contract,
            "seed": str(self.how.seed),
            "date": datetime.now(UTC).date().isoformat(),
            "seconds": f"{time.perf_counter() - self.started:.1f}",
            "arcid": arcid.__version__,
            "command": self.command,
        }
        return {k: v for k, v in found.items() if v}

    def finish(
        self,
        result: Any,
        *,
        listed: PairList | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Report:
        """The report, written where that was asked for; ``listed``: the pairs scored."""
        pairs: PairScores | None = result.pairs if listed is not None else None
        facts = self.facts()
        extras = report.Extras(
            product=self.product() if self.vectors is not None else None,
            qualities=self.qualities() if pairs is not None else None,
            embeddings=self.vectors,
            facts=facts,
        )
        found = report.document(result, extras)
        reasons = by_reason(f.code for f in self.failed.values())
        found = replace(
            found,
            failed=[(n, f.message) for n, f in sorted(self.failed.items())],
            failed_by_reason=reasons,
        )
        if self.how.masked:
            found = replace(
                found, warnings=["A face mask is drawn on every face.", *found.warnings]
            )
        record = {
            "schema_version": report.SCHEMA_VERSION,
            **result.to_dict(),
            **report.at_product_threshold(pairs, extras.product, self.how.seed),
            **({} if listed is None else {"pairs_sha256": report.pairs_sha256(listed)}),
            **(more or {}),
            "measured": facts,
            "failed_by_reason": reasons,
            "failed": [
                {"photo": name, "code": f.code, "message": f.message}
                for name, f in sorted(self.failed.items())
            ],
        }
        folds = getattr(result, "folds", None)
        written: dict[str, str] = {}
        if self.how.output is not None:
            written = report.write(
                self.how.output,
                found,
                record,
                pictures=None if self.how.no_pictures else self.picture,
                pairs=pairs,
                accepted=None if folds is None else folds.accepted,
            )
        return Report(found, record, written)


def member_vectors(
    run: Run, folder: PeopleFolder
) -> tuple[list[str], list[npt.NDArray[np.float32]], list[str]]:
    """Names of an ensemble's members, each one's (N,D) unit vectors of the photos with a usable
    face, and whose those are. Raises ``UsageError`` where the model is no ensemble."""
    embedder = run.pipeline.embedder
    if not isinstance(embedder, Ensemble):
        raise UsageError("name an ensemble: --model a+b")
    found = run.embed(folder.photos)
    good = ~found.failed
    ends = np.cumsum([member.dim for member in embedder.members])[:-1]
    parts = [
        part / np.linalg.norm(part, axis=1, keepdims=True)
        for part in np.split(found.vectors[good], ends, axis=1)
    ]
    bundles = () if run.pipeline.bundle is None else run.pipeline.bundle.members
    called = {bundle.manifest.contract_id: bundle.name for bundle in bundles}
    names = [called.get(m.contract_id, m.contract_id[:12]) for m in embedder.members]
    return names, parts, [person for person, ok in zip(folder.people, good, strict=True) if ok]


def _digest(bundle: Bundle | None) -> str:
    """Of all that a bundle and its members say of themselves, the hashes of their files included:
    another model may have an old one's name."""
    if bundle is None:
        return ""
    about = [bundle.manifest.to_dict(), [_digest(one) for one in bundle.members]]
    return hashlib.sha256(canonical_json(about)).hexdigest()[:16]


def _from_arcid_embed(file: Path, photos: Sequence[Photo]) -> EmbeddingSet | None:
    """An NPZ of ``arcid embed`` (``files`` instead of ``names``); None for any other file."""
    data = read_arrays(file)
    if isinstance(data, np.ndarray) or not {"files", "vectors", "contract_id"} <= set(data):
        return None
    listed = [Path(str(f)).resolve() for f in data["files"]]
    vectors, contract = data["vectors"], str(data["contract_id"])
    row_of: dict[Path, int] = {}
    for row, path in enumerate(listed):
        if path in row_of:
            raise DatasetInvalid(
                f"{file.name} holds several faces of {path.name}; embed one face of each photo: "
                "arcid embed --select center"
            )
        row_of[path] = row
    rows = []
    for photo in photos:
        row_or_none = row_of.get(photo.source.resolve()) if isinstance(photo.source, Path) else None
        if row_or_none is None:
            raise DatasetInvalid(f"{file.name} holds no vector of {photo.name!r}")
        rows.append(row_or_none)
    return EmbeddingSet(tuple(p.name for p in photos), vectors[rows], contract)


def _jpeg(pixels: Image) -> bytes:
    from PIL import Image as Pil

    picture = Pil.fromarray(pixels)
    picture.thumbnail((PICTURE_PX, PICTURE_PX))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


__all__ = ["PhotoEmbedder", "Report", "Run", "member_vectors"]
