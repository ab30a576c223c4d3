"""An embedder that sees faces without their background: a contract of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Literal

from arcid.embed import Embedder
from arcid.errors import UsageError
from arcid.landmarks.mask import ContourMask, EllipseMask
from arcid.models.manifest import canonical_json
from arcid.pipeline.opening import load_landmarks
from arcid.types import Crops, Embeddings, Template

Background = Literal["keep", "ellipse", "contour"]


class MaskedEmbedder:
    """Masks aligned crops, then embeds them.

    Its vectors mean something else than the embedder's own, so ``contract_id`` is another, and no
    calibration of that holds for them: measure one before anything is decided.
    """

    def __init__(self, embedder: Embedder, mask: Any) -> None:
        if embedder.template != "arcface":
            raise UsageError(
                f"the background is masked on the template arcface; this recogniser wants crops on "
                f"{embedder.template}"
            )
        self.inner, self._mask = embedder, mask
        about = {"contract": embedder.contract_id, "mask": mask.name}
        self.contract_id = hashlib.sha256(canonical_json(about)).hexdigest()
        self.dim, self.size = embedder.dim, embedder.size
        self.template: Template = "arcface"
        named = getattr(embedder, "manifest", embedder)
        self.name = f"{getattr(named, 'name', type(embedder).__name__)}, {mask.name}"
        self.session = getattr(embedder, "session", None)

    def embed(self, crops: Crops) -> Embeddings:
        """(N,S,S,3) uint8 RGB aligned crops in; (N,D) float32 unit-norm vectors out."""
        vectors = self.inner.embed(self._mask(crops)).vectors
        return Embeddings(vectors, self.contract_id)


def without_background(embedder: Embedder, background: Background) -> Embedder:
    """The embedder, its crops masked; ``keep`` gives it back. Raises ``UsageError`` for one that
    wants other crops, and what ``load_landmarks`` does."""
    masks: dict[str, Callable[[], Any]] = {
        "ellipse": EllipseMask,
        "contour": lambda: ContourMask(load_landmarks()),
    }
    if background == "keep":
        return embedder
    if background not in masks:
        raise UsageError(f"background {background!r} is unknown; known: keep, {', '.join(masks)}")
    return MaskedEmbedder(embedder, masks[background]())


__all__ = ["Background", "MaskedEmbedder", "without_background"]
