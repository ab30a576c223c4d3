"""Measuring while training, with the scorer that judges finished models: ``arcid.evaluate``.

Three kinds, each only where the config asks for it: photos held out of the trained classes
(closed-set accuracy), identities held out whole (all their pairs), and lists of pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.errors import ConfigError, InputError
from arcid.evaluate.embeddings import EmbeddingSet, Failure
from arcid.evaluate.intervals import operating_points
from arcid.evaluate.metrics import Rate
from arcid.evaluate.protocols import all_pairs, verify
from arcid.evaluate.protocols.all_pairs import enough
from arcid.evaluate.readers import PairList, read_bin, read_lfw, read_pairs_csv
from arcid.image import load_image
from arcid.train.config.recipe import DataConfig, TrainConfig, expand_path
from arcid.train.data.dataset import SampleSet, TrainData
from arcid.train.data.features import embed, read_crops
from arcid.train.heads.classifier import Classifier
from arcid.train.ranks import Ranks
from arcid.types import FloatArray, Image

_CONTRACT = "the network in training"
HELD_FMR = 1e-3
HELD_TAR = f"held_tar_{HELD_FMR:.0e}".replace("e-0", "e-")


def held_score(found: Mapping[str, float]) -> tuple[float, float] | None:
    """TAR of the people held out and, where that is the same, the area under their curve."""
    return (found[HELD_TAR], found["held_auc"]) if HELD_TAR in found else None


class Align(Protocol):
    """Photos in; for each its (S,S,3) uint8 RGB aligned face, or why there is none, out."""

    def __call__(self, photos: Sequence[Path | bytes | Image]) -> Sequence[Image | Failure]: ...


@dataclass(frozen=True, eq=False)
class _Pairs:
    listed: PairList
    crops: Image = field(repr=False)  # (N,S,S,3), this rank's share of the photos
    failures: dict[int, Failure]  # of all


class Validator:
    """Prepared once (pairs read and aligned), then called with the network as it stands.

    Ranks share the photos. Raises ``ConfigError`` and ``DatasetInvalid`` for what could not be
    measured later.
    """

    def __init__(
        self, config: TrainConfig, data: TrainData, align: Align | None, ranks: Ranks
    ) -> None:
        limit = config.validation.photos
        self._size, self._flip, self._ranks = config.data.size, config.validation.flip, ranks
        self._compiled = config.precision.compile
        self._run: tuple[nn.Module, nn.Module] | None = None  # a network and it compiled
        self._holdout = _sample(data.holdout, limit) if config.validation.holdout else None
        self._held = _sample(data.held, limit, whole=True)
        if len(self._held):
            counts = np.bincount(self._held.labels)
            if (counts > 0).sum() < 2 or counts.max() < 2:
                raise ConfigError(
                    f"data.holdout_identities={config.data.holdout_identities} holds out no pair "
                    "to measure; at least two identities are needed, one of them with two photos",
                    key="data.holdout_identities",
                )
        beside = _folders(config.data)
        self._pairs = [
            _pairs(text, beside, self._size, align, ranks) for text in config.validation.pairs
        ]
        names = [pairs.listed.name for pairs in self._pairs]
        if len(set(names)) < len(names):
            raise ConfigError(
                f"validation.pairs names {', '.join(names)}; two lists of one name could not be "
                "told apart",
                key="validation.pairs",
            )

    def __call__(self, backbone: nn.Module, centres: Classifier | None) -> dict[str, float]:
        """Numbers by name; every rank calls it, and has them all."""
        was_training = backbone.training
        network = self._as_run(backbone.eval())
        found: dict[str, float] = {}
        if self._holdout is not None and len(self._holdout) and centres is not None:
            found |= self._closed_set(network, centres)
        if len(self._held):
            found |= self._open_set(network)
        for pairs in self._pairs:
            found |= self._verification(pairs, network)
        backbone.train(was_training)
        return found

    def _as_run(self, backbone: nn.Module) -> nn.Module:
        if not self._compiled:
            return backbone
        if self._run is None or self._run[0] is not backbone:
            self._run = backbone, cast(nn.Module, torch.compile(backbone))
        return self._run[1]

    def _closed_set(self, backbone: nn.Module, centres: Classifier) -> dict[str, float]:
        """The loss, margin and all, and the share of photos nearest to their own centre."""
        assert self._holdout is not None
        pixels, labels = read_crops(_share(self._holdout, self._ranks))
        device = self._ranks.device
        features = embed(backbone, pixels, device)
        count = int(self._ranks.largest(len(labels))[0])  # ranks bring as many photos each
        width = int(self._ranks.largest(features.shape[1])[0])
        own = torch.zeros(count, width, device=device)
        own[: len(labels)] = features
        wanted = torch.full((count,), -1, dtype=torch.int64, device=device)
        wanted[: len(labels)] = torch.from_numpy(labels)
        sums = torch.zeros(3, device=device)  # losses, hits, photos
        was_training = centres.training
        centres.eval()
        with torch.no_grad():
            for start in range(0, count, 1024):
                some, names = own[start : start + 1024], wanted[start : start + 1024]
                hits = centres.predict(some) == names
                losses = centres(some, names).losses
                sums += torch.stack([losses.sum(), hits.sum(), (names >= 0).sum()])
        centres.train(was_training)
        loss, hit, photos = self._ranks.total(sums).tolist()
        photos = max(photos, 1)
        return {"holdout_accuracy": hit / photos, "holdout_loss": loss / photos}

    def _open_set(self, backbone: nn.Module) -> dict[str, float]:
        mine = _share(self._held, self._ranks)
        pixels, labels = read_crops(mine)
        vectors = _unit(embed(backbone, pixels, self._ranks.device, flip=self._flip))
        parts = self._ranks.everywhere((vectors, labels))
        vectors = np.concatenate([v for v, _ in parts if len(v)])
        labels = np.concatenate([who for _, who in parts])
        stats = all_pairs(vectors, labels, top=enough(len(labels), HELD_FMR))
        (point,) = operating_points(stats.replicates(), [HELD_FMR], allow_unsupported=True)
        return {"held_auc": stats.auc, **_between(HELD_TAR, point.tar)}

    def _verification(self, pairs: _Pairs, backbone: nn.Module) -> dict[str, float]:
        own = _unit(embed(backbone, pairs.crops, self._ranks.device, flip=self._flip))
        parts = [part for part in self._ranks.everywhere(own) if len(part)]
        vectors = np.zeros((len(pairs.listed.photos), parts[0].shape[1]), np.float32)
        for rank, part in enumerate(parts):
            vectors[rank :: self._ranks.world] = part
        names = tuple(photo.name for photo in pairs.listed.photos)
        embedded = EmbeddingSet(names, vectors, _CONTRACT, pairs.failures)
        result = verify(pairs.listed, embedded, rates=())
        name = pairs.listed.name
        return {**_between(f"{name}_accuracy", result.accuracy), f"{name}_auc": result.auc}


def _share(samples: SampleSet, ranks: Ranks) -> SampleSet:
    """This rank's of the photos."""
    return samples.take(slice(ranks.rank, None, ranks.world))


def _folders(config: DataConfig) -> list[Path]:
    """Where .bin files lie beside a .rec."""
    paths = [expand_path(source.path) for source in config.sources]
    return [path if path.is_dir() else path.parent for path in paths]


def _between(name: str, rate: Rate) -> dict[str, float]:
    """A share and the ends of its 95 % interval over people."""
    return {name: rate.value, f"{name}_low": rate.low, f"{name}_high": rate.high}


def _unit(features: Tensor) -> FloatArray:
    vectors: FloatArray = F.normalize(features, dim=1).numpy(force=True)
    return vectors


def _sample(samples: SampleSet, limit: int, *, whole: bool = False) -> SampleSet:
    """At most ``limit`` photos, the same in every run; ``whole``: only whole identities."""
    if not limit or len(samples) <= limit:
        return samples
    rng = np.random.default_rng(0)
    if whole:
        order = rng.permutation(np.unique(samples.labels))
        counts = np.bincount(samples.labels)[order]
        people = order[: max(2, int((np.cumsum(counts) <= limit).sum()))]
        chosen = np.flatnonzero(np.isin(samples.labels, people))
    else:
        chosen = np.sort(rng.choice(len(samples), limit, replace=False))
    return samples.take(chosen)


def _pairs(
    text: str, beside: Sequence[Path], size: int, align: Align | None, ranks: Ranks
) -> _Pairs:
    listed, aligned = _listed(text, beside)
    if not aligned and align is None:
        raise ConfigError(
            f"validation.pairs names {text}, whole photos that need a detector; start the run "
            "with `arcid train`, hand in align=, or use a .bin of aligned faces",
            key="validation.pairs",
        )
    listed.require_both_kinds()
    numbers = range(ranks.rank, len(listed.photos), ranks.world)
    found: Sequence[Path | bytes | Image | Failure] = [listed.photos[i].source for i in numbers]
    if not aligned and align is not None:
        found = align([listed.photos[i].source for i in numbers])
    failures: dict[int, Failure] = {}
    crops = np.zeros((len(found), size, size, 3), np.uint8)
    for row, (number, source) in enumerate(zip(numbers, found, strict=True)):
        if isinstance(source, Failure):
            failures[number] = source
            continue
        try:
            crops[row] = _resized(source, size)
        except InputError as error:
            failures[number] = Failure(error.code, error.message)
    for others in ranks.everywhere(failures):
        failures = {**failures, **others}
    return _Pairs(listed, crops, failures)


def _listed(text: str, beside: Sequence[Path]) -> tuple[PairList, bool]:
    """The pairs, and whether their photos are aligned faces already."""
    path = expand_path(text)
    if text.isidentifier() and not path.exists():
        path = next((p for f in beside if (p := f / f"{text}.bin").is_file()), path)
    if not path.exists():
        more = f" nor {path.name}.bin beside the data" if text.isidentifier() else ""
        raise ConfigError(f"validation.pairs names {path.name}, which is not there{more}")
    if path.suffix == ".bin":
        return read_bin(path), True
    if path.suffix == ".csv":
        return read_pairs_csv(path, path.parent), False
    lists = [path] if path.is_file() else [path / "pairs.txt", path / "pairsDevTest.txt"]
    for listing in lists:
        if listing.is_file():
            images = listing.parent / "images"
            folder = images if images.is_dir() else listing.parent
            return read_lfw(listing, folder, name=path.stem), False
    raise ConfigError(
        f"validation.pairs names {path.name}; expected a .bin, a pairs .csv, or LFW's pairs.txt "
        "or pairsDevTest.txt beside a folder images"
    )


def _resized(source: Path | bytes | Image, size: int) -> Image:
    image = source if isinstance(source, np.ndarray) else load_image(source)
    if image.shape[:2] == (size, size):
        return image
    import cv2

    method = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=method), np.uint8)


__all__ = ["Align", "Validator", "held_score"]
