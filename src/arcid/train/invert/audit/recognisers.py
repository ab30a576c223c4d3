"""Who the pictures are shown to: the attacked recogniser, its int8 form, and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from arcid.calibration import Calibration
from arcid.embed import Embedder, OnnxEmbedder, resized
from arcid.errors import CalibrationError, ModelError, ModelNotFound
from arcid.models import weights
from arcid.runtime import open_session
from arcid.train.backbones import Backbone
from arcid.train.invert.batch import features
from arcid.train.weights.initial import Initial
from arcid.types import Crops, Embeddings

Role = Literal["attacked", "int8", "other"]
OTHERS = ("mobilefacenet_128", "face_reid_retail_0095")


@dataclass(frozen=True, slots=True, eq=False)
class Recogniser:
    """One that judges pictures; ``calibration`` is None where none is known for it."""

    name: str
    role: Role
    embedder: Embedder
    calibration: Calibration | None


class TorchEmbedder:
    """A network of the trainer behind the ``Embedder`` protocol, for runs without a bundle."""

    def __init__(self, backbone: Backbone, label: str) -> None:
        self._backbone = backbone
        self.contract_id, self.dim, self.size = f"torch:{label}", backbone.dim, backbone.size
        self.template: Literal["arcface"] = "arcface"

    def embed(self, crops: Crops) -> Embeddings:
        """(N,S,S,3) uint8 RGB in; (N,D) unit-norm out."""
        if not len(crops):
            return Embeddings.empty(self.dim, self.contract_id)
        unit = features(self._backbone, resized(crops, self.size).pixels)
        return Embeddings.normalised(unit.numpy(), self.contract_id)


def gather(initial: Initial, others: Sequence[str]) -> tuple[list[Recogniser], list[str]]:
    """The attacked one first, its int8 form where installed, the others; and who is missing.

    The attacked one is its bundle as the product runs it, or the network of a run. A name that is
    not installed is told, not raised.
    """
    if initial.bundle is None:
        run = initial.folder
        name = initial.label if run is None else f"{run.name} {initial.label}"
        found = [Recogniser(name, "attacked", TorchEmbedder(initial.backbone, name), None)]
    else:
        found = [_opened(initial.bundle, "attacked")]
    missing = []
    wanted: list[tuple[str, Role]] = [(name, "other") for name in others]
    if initial.bundle is not None:
        wanted.insert(0, (f"{initial.bundle.name}-int8", "int8"))
    for name, role in wanted:
        try:
            found.append(_opened(weights.resolve(name), role))
        except ModelError as error:
            why = "not installed" if isinstance(error, ModelNotFound) else error.message
            missing.append(f"{name} ({why})")
    return found, missing


def _opened(bundle: weights.Bundle, role: Role) -> Recogniser:
    session = open_session(bundle.path, input_name=bundle.manifest.input.name)
    try:
        calibration = weights.find_calibration(bundle)
    except CalibrationError:
        calibration = None
    return Recogniser(bundle.name, role, OnnxEmbedder(session, bundle.manifest), calibration)


__all__ = ["OTHERS", "Recogniser", "Role", "TorchEmbedder", "gather"]
