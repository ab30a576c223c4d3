"""Tar shards of crops, read in place: headers are scanned once, nothing is unpacked."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.image import SUFFIXES
from arcid.train.data.files import (
    Index,
    Names,
    SharedFile,
    printable,
    size_of,
    store_index,
    stored_index,
)

_BLOCK = 512


class TarSource:
    """Members ``identity/photo.webp`` of one or more plain tar files.

    One identity may lie in several shards. Members that are no photos are passed over.
    """

    def __init__(self, shards: Sequence[Path], *, index_cache: Path | None = None) -> None:
        indexes = [_index(shard, index_cache) for shard in shards]
        counts = [len(index["offset"]) for index in indexes]
        if not sum(counts):
            raise DatasetInvalid(
                f"{', '.join(printable(shard.name) for shard in shards[:3])}: no photo inside; "
                "expected members named identity/photo.webp"
            )
        self._files = [SharedFile(shard) for shard in shards]
        self._prefixes = [f"{s.name}:" if len(shards) > 1 else "" for s in shards]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._offset = np.concatenate([index["offset"] for index in indexes])
        self._size = np.concatenate([index["size"] for index in indexes])
        self._names = [Names(index["ends"], index["letters"].tobytes()) for index in indexes]
        people: dict[str, int] = {}
        identity = np.full(int(self._starts[-1]), -1, np.int32)
        for names, start in zip(self._names, self._starts, strict=False):
            for i, name in enumerate(names):
                folder = name.rpartition("/")[0].removeprefix("./")
                if folder not in ("", "."):
                    identity[start + i] = people.setdefault(folder, len(people))
        self.identity, self.identities = identity, tuple(people)

    def __len__(self) -> int:
        return len(self._offset)

    def read(self, index: int) -> bytes:
        shard = self._shard(index)
        return self._files[shard].read(int(self._offset[index]), int(self._size[index]))

    def key(self, index: int) -> str:
        shard = self._shard(index)
        name = self._names[shard][index - int(self._starts[shard])]
        return self._prefixes[shard] + name.removeprefix("./")

    def _shard(self, index: int) -> int:
        return int(np.searchsorted(self._starts, index, side="right")) - 1


def _index(path: Path, cache: Path | None) -> Index:
    size = size_of(path, "the shard")
    if (kept := stored_index(path, cache)) is not None:
        return kept
    names: list[str] = []
    offsets: list[int] = []
    sizes: list[int] = []
    end = 0
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK
                if end > size:
                    raise _cut_short(path, len(names))
                name = PurePosixPath(member.name)
                if (
                    member.isreg()
                    and name.suffix.lower() in SUFFIXES
                    and not name.name.startswith(".")
                ):
                    names.append(member.name)
                    offsets.append(member.offset_data)
                    sizes.append(member.size)
                archive.members = []  # type: ignore[attr-defined]  # or tarfile keeps every header
    except tarfile.TarError as error:
        if names:
            raise _cut_short(path, len(names)) from None
        raise DatasetInvalid(
            f"{printable(path.name)} is no plain tar file: {error}", path=str(path)
        ) from None
    if size < end + _BLOCK:
        raise _cut_short(path, len(names))
    if not _is_blank(path, end):
        raise DatasetInvalid(
            f"the shard {printable(path.name)} is damaged after {len(names)} photos: more follows "
            "that is no member; copy it again, or pack it anew where it was joined of several",
            path=str(path),
            photos=len(names),
        )
    packed = Names.pack(names)
    index: Index = {
        "offset": np.array(offsets, np.int64),
        "size": np.array(sizes, np.int64),
        "ends": packed.ends,
        "letters": np.frombuffer(packed.letters, np.uint8),
    }
    store_index(path, cache, index)
    return index


def _is_blank(path: Path, start: int) -> bool:
    """Whether only the zeros that end an archive follow; tarfile takes any bad header for its
    end."""
    with path.open("rb") as file:
        file.seek(start)
        return not any(part.strip(b"\0") for part in iter(lambda: file.read(1 << 20), b""))


def _cut_short(path: Path, photos: int) -> DatasetInvalid:
    return DatasetInvalid(
        f"the shard {printable(path.name)} is cut short after {photos} photos; copy it again",
        path=str(path),
        photos=photos,
    )


__all__ = ["TarSource"]
