"""The audit from end to end: vectors → pictures → what recognisers, detector and liveness say."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from arcid.detect import Detector
from arcid.errors import DatasetInvalid
from arcid.train.invert.audit.looks import Liveness, Looks, look
from arcid.train.invert.audit.measure import Against, Seen, against, as_int8, frechet
from arcid.train.invert.audit.recognisers import OTHERS, gather
from arcid.train.invert.batch import features
from arcid.train.invert.people import People
from arcid.train.invert.run import Inverted, invert
from arcid.train.invert.settings import Settings
from arcid.train.invert.targets import Targets
from arcid.train.weights.initial import Initial
from arcid.types import FloatArray

Basis = Literal["research", "synthetic", "consented"]
LEAST = 2  # people: one and a stranger
CONTROLS = 10  # vectors that are rotated and inverted again, at most


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Subjects:
    """Whose vectors are taken.

    The first ``attacked`` of ``people`` are; all of them are the public gallery. ``vectors``
    (attacked, D): as a gallery stores them, None to take those of the photos. ``basis`` says why it
    may be done. ``store``: what a gallery says of its protection, None without one.
    """

    people: People
    attacked: int
    basis: Basis
    vectors: FloatArray | None = None
    store: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Audited:
    """What came out; ``rotated`` is the attack on vectors turned by a secret rotation."""

    subjects: Subjects
    model: str
    settings: Settings
    inverted: Inverted
    recognisers: tuple[Against, ...]
    rotated: Against
    rotated_count: int
    frechet: dict[str, float]  # of pictures, and of as many other photos, to the photos
    int8_cosine: float  # least, of a vector and itself in eight bits
    looks: dict[str, Looks]  # "pictures" and "photos"
    liveness: str  # the check's name, or why there is none
    missing: tuple[str, ...]
    seconds: float
    facts: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        subjects = self.subjects
        return {
            "kind": "inversion",
            "model": self.model,
            "basis": subjects.basis,
            "source": subjects.people.source,
            "attacked": subjects.attacked,
            "gallery": len(subjects.people),
            "settings": self.settings.to_dict(),
            "batch_norms": self.inverted.layers,
            "white_box_cosine": {
                "mean": float(self.inverted.cosines.mean()),
                "least": float(self.inverted.cosines.min()),
            },
            "recognisers": [one.to_dict() for one in self.recognisers],
            "rotated": {**self.rotated.to_dict(), "attacked": self.rotated_count},
            "frechet_over_own_embedding": self.frechet,
            "int8_vector_cosine": self.int8_cosine,
            "looks": {name: found.to_dict() for name, found in self.looks.items()},
            "liveness": self.liveness,
            "store": subjects.store,
            "missing": list(self.missing),
            "inversion_seconds": self.inverted.seconds,
            "seconds": self.seconds,
        }


def audit(
    initial: Initial,
    subjects: Subjects,
    out: Path,
    settings: Settings | None = None,
    *,
    others: Sequence[str] = OTHERS,
    detector: Detector | None = None,
    liveness: Liveness | str = "not asked",
    quiet: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Audited | None:
    """Invert the vectors of ``subjects`` and measure what the pictures are good for.

    ``others``: recognisers that had no part in making the pictures. ``liveness``: a check, or why
    there is none. Pictures stay under ``out``; None where it was interrupted, and the same call
    goes on. Raises what ``invert`` does, and ``DatasetInvalid`` with fewer than two people.
    """
    began, settings = time.monotonic(), settings or Settings()
    people, count = subjects.people, subjects.attacked
    if len(people) < LEAST or not 1 <= count <= len(people):
        raise DatasetInvalid(
            f"{len(people)} people with two photos are too few to audit; {LEAST} are the least"
        )
    flip = bool(initial.manifest and initial.manifest.flip)
    recognisers, missing = gather(initial, others)
    own = recognisers[0]
    photos = people.photos[:count]
    vectors = subjects.vectors
    if vectors is None:
        vectors = features(initial.backbone, photos, flip=flip).numpy()

    def made(of: FloatArray, folder: str) -> Inverted:
        targets = Targets.of_vectors(of, people.names[: len(of)])
        return invert(
            initial.backbone, targets, out / folder, settings, flip=flip,
            photos=photos[: len(of)], quiet=quiet, tell=tell,
        )  # fmt: skip

    inverted = made(vectors, "pictures")
    if inverted.stopped:
        return None
    controls = min(count, CONTROLS)
    turned = made(vectors[:controls] @ rotation(vectors.shape[1], settings.seed), "rotated")
    if turned.stopped:
        return None
    tell("showing the pictures to recognisers")
    seen = {one.name: Seen.by(one, inverted.pictures, people) for one in recognisers}
    mine = seen[own.name]
    blind = Seen.by(own, turned.pictures, people)
    looks = {}
    check = None if isinstance(liveness, str) else liveness
    if detector is not None:
        for name, shown in (("pictures", inverted.pictures), ("photos", photos)):
            looks[name] = look(shown, mine.photos[:count], detector, own.embedder, check)
    return Audited(
        subjects=subjects,
        model=own.name,
        settings=settings,
        inverted=inverted,
        recognisers=tuple(against(one, seen[one.name], settings.seed) for one in recognisers),
        rotated=against(own, blind, settings.seed),
        rotated_count=controls,
        frechet={
            "pictures": frechet(mine.photos[:count], mine.pictures),
            "other_photos": frechet(mine.photos[:count], mine.others[:count]),
        },
        int8_cosine=float((as_int8(vectors) * vectors).sum(axis=1).min()),
        looks=looks,
        liveness=liveness if isinstance(liveness, str) else liveness.name,
        missing=tuple(missing),
        seconds=time.monotonic() - began,
    )


def rotation(dim: int, seed: int) -> FloatArray:
    """(D,D) an orthogonal matrix drawn evenly (Mezzadri 2007), as a secret key would be."""
    drawn = np.random.default_rng((seed, 0x0707)).standard_normal((dim, dim))
    q, r = np.linalg.qr(drawn)
    return np.asarray(q * np.sign(np.diag(r)), np.float32)


__all__ = ["Audited", "Basis", "Subjects", "audit", "rotation"]
