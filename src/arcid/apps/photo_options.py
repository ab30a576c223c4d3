"""The choices of a measurement on photos; light to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from arcid import files


@dataclass(frozen=True)
class Options:
    """How photos become vectors, and what the report shows.

    Raises ``UsageError`` where the outputs cannot be written.
    """

    model: str | None = None  # default: the default recogniser
    detector: str | None = None
    select: Literal["prominent", "one", "largest", "center"] = "prominent"
    aligned: bool = False  # the photos are aligned crops
    margin: int = 0  # pixels cut off each side of aligned crops
    masked: bool = False  # a face mask is drawn on every aligned face
    background: Literal["keep", "ellipse", "contour"] = "keep"  # grey around the face otherwise
    embeddings: Path | None = None  # measured instead of running a model
    save_embeddings: Path | None = None
    cache: Path | None = None  # of vectors; default: cache/embeddings in ARCID_HOME
    no_cache: bool = False
    workers: int = 1  # processes that embed
    ray: str | None = None  # address of a Ray cluster that embeds instead
    seed: int = 0
    output: Path | None = None  # folder of the report
    no_pictures: bool = False

    def __post_init__(self) -> None:
        if self.output is not None:
            files.require_folder(self.output)
        if self.save_embeddings is not None:
            files.require_place(self.save_embeddings)
        if self.cache is not None and not self.no_cache:
            files.require_folder(self.cache)
