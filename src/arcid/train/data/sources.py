"""Where aligned crops come from: one protocol, one file a format, and the table that names them."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from arcid.errors import DatasetInvalid
from arcid.train.config.recipe import SourceConfig, expand_path
from arcid.train.data.files import printable
from arcid.train.data.folder import FolderSource
from arcid.train.data.parquet import ParquetSource
from arcid.train.data.recordio import RecordIoSource
from arcid.train.data.tar import TarSource

UNLABELLED = -1


class ImageSource(Protocol):
    """Encoded pictures at random access. Opening reads an index, never a picture.

    ``identity`` (N,) int32 points into ``identities``; ``UNLABELLED`` where nobody is named.
    """

    @property
    def identities(self) -> Sequence[str]: ...

    @property
    def identity(self) -> npt.NDArray[np.int32]: ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> bytes:
        """The encoded picture. Raises ``OSError`` or ``DatasetInvalid`` when it is not there."""
        ...

    def key(self, index: int) -> str:
        """What the photo is called, unique in the source and the same on every machine."""
        ...


def open_source(config: SourceConfig, index_cache: Path | None = None) -> ImageSource:
    """Open one configured source.

    Raises ``DatasetInvalid`` when nothing is there, a shard is missing or damaged, or no photo is
    found; ``MissingExtra`` for Parquet without pyarrow.
    """
    kind, paths = resolve(config)
    if kind == "tar":
        return TarSource(paths, index_cache=index_cache)
    if kind == "recordio":
        return RecordIoSource(paths[0], index_cache=index_cache)
    if kind == "parquet":
        return ParquetSource(
            paths,
            image_column=config.image_column,
            label_column=config.label_column if config.labelled else None,
        )
    return FolderSource(paths[0])


def resolve(config: SourceConfig) -> tuple[str, list[Path]]:
    """The format and the files of a source. Raises ``DatasetInvalid`` when a file is missing."""
    paths = _expand(config.path)
    first = paths[0]
    kind = config.format if config.format != "auto" else _guess(first)
    if kind == "recordio" and first.is_dir():
        paths = [first / "train.rec"]
    elif kind in ("tar", "parquet") and first.is_dir():
        paths = sorted(first.glob(f"*.{kind}"))
        if not paths:
            raise DatasetInvalid(f"the folder {printable(first)} holds no .{kind} file")
    if kind in ("folder", "recordio") and len(paths) > 1:
        raise DatasetInvalid(
            f"{config.path} names {len(paths)} {kind} sets; list each as a source of its own"
        )
    for path in paths:
        if not path.exists():
            raise DatasetInvalid(
                f"{printable(path)} is missing; it was listed as {config.path}", path=str(path)
            )
    if kind == "folder" and not first.is_dir():
        raise DatasetInvalid(
            f"{printable(first)} is no folder; arcid trains from folders, .tar, .rec and .parquet"
        )
    return kind, paths


def source_name(config: SourceConfig) -> str:
    """The configured name, or the last part of the path; its folder for patterns and train.rec."""
    if config.name:
        return config.name
    path = Path(config.path)
    if path.name == "train.rec" or re.search(r"[*?\[{]", path.name):
        path = path.parent
    return path.stem if path.suffix in (".tar", ".rec", ".parquet") else path.name or "data"


def _guess(path: Path) -> str:
    if path.is_dir():
        if (path / "train.rec").is_file():
            return "recordio"
        for kind in ("tar", "parquet"):
            if next(path.glob(f"*.{kind}"), None) is not None:
                return kind
        return "folder"
    if re.search(r"\.tar\.\w+$|\.tgz$", path.name):
        raise DatasetInvalid(
            f"{printable(path.name)} is a compressed archive, whose photos cannot be reached one "
            "by one; unpack it to a plain .tar (WebP and JPEG do not shrink further)"
        )
    return {".tar": "tar", ".rec": "recordio", ".parquet": "parquet"}.get(path.suffix, "folder")


def _expand(text: str) -> list[Path]:
    """``{000..012}`` gives every name, present or not; ``*`` and ``?`` give what is there."""
    name = str(expand_path(text))
    names = [name]
    while span := re.search(r"\{(\d+)\.\.(\d+)\}", names[0]):
        low, high, width = int(span[1]), int(span[2]), len(span[1])
        if high < low or high - low >= 100_000:
            raise DatasetInvalid(f"{text}: the range {span[0]} is empty or too long")
        names = [
            n.replace(span[0], str(i).zfill(width), 1) for n in names for i in range(low, high + 1)
        ]
    if glob.has_magic(name):
        paths = sorted(Path(found) for n in names for found in glob.glob(n))  # noqa: PTH207
        if not paths:
            raise DatasetInvalid(f"no file matches {text}; is the folder right?", path=text)
        return paths
    return [Path(n) for n in names]


__all__ = ["UNLABELLED", "ImageSource", "open_source", "resolve", "source_name"]
