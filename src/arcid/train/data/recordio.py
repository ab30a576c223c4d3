"""InsightFace RecordIO (``train.rec`` + ``train.idx``) in plain Python.

A record is ``magic u32 · kind and length u32 · payload · zeros up to 4 bytes``, little-endian. The
upper three bits of the second word say whether the payload is whole (0) or the first (1), a middle
(2) or the last (3) part; writers cut where the payload itself holds the magic at a multiple of
four and leave those four bytes out. A payload is a header ``flag u32 · label f32 · id u64 ·
id2 u64``, then ``flag`` float32 labels when flag > 0, then the encoded picture.

In InsightFace's sets record 0 is a signpost with two labels: images are records 1 to a-1, people
records a to b-1, and the two labels of a person's record are the range of its images. Sets without
a signpost carry the person in every image's label.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.train.data.files import (
    Index,
    SharedFile,
    printable,
    size_of,
    store_index,
    stored_index,
)

MAGIC = 0xCED7230A
_MAGIC_BYTES = struct.pack("<I", MAGIC)
_FRAME = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")
_LENGTH_BITS = 29


@dataclass(frozen=True, slots=True)
class Record:
    """One record taken apart; ``labels`` has one entry unless the writer stored several."""

    labels: tuple[float, ...]
    id: int
    picture: bytes = field(repr=False)


class RecordIoSource:
    """The images of one ``.rec``; without an ``.idx`` beside it the frames are scanned once."""

    def __init__(self, path: Path, *, index_cache: Path | None = None) -> None:
        self.path = path
        self._size = size_of(path, "the record file")
        self._file = SharedFile(path)
        index = stored_index(path, index_cache)
        if index is None:
            index = self._scan()
            store_index(path, index_cache, index)
        self._key, self._offset = index["key"], index["offset"]
        labels, identity = np.unique(index["label"], return_inverse=True)
        self.identity = identity.astype(np.int32)
        self.identities = tuple(str(int(label)) for label in labels)

    def __len__(self) -> int:
        return len(self._offset)

    def read(self, index: int) -> bytes:
        return self.record(int(self._offset[index])).picture

    def key(self, index: int) -> str:
        return str(int(self._key[index]))

    def record(self, offset: int, *, head_only: bool = False) -> Record:
        """The record at a byte offset; ``head_only`` leaves the picture out.

        Raises ``DatasetInvalid`` for a broken frame.
        """
        payload = self._payload(offset, 256 if head_only else None)
        if len(payload) < _HEADER.size:
            raise self._broken(offset, "its header is cut short")
        flag, label, id_, _ = _HEADER.unpack_from(payload)
        at = _HEADER.size + 4 * flag
        if not flag:
            return Record((label,), id_, b"" if head_only else payload[at:])
        if head_only and len(payload) < at:
            payload = self._payload(offset, at)
        if len(payload) < at:
            raise self._broken(offset, f"{flag} labels do not fit")
        labels = struct.unpack_from(f"<{flag}f", payload, _HEADER.size)
        return Record(labels, id_, b"" if head_only else payload[at:])

    def _payload(self, offset: int, at_most: int | None) -> bytes:
        parts: list[bytes] = []
        for kind, start, length in self._frames(offset):
            want = length if at_most is None else min(length, at_most)
            part = self._file.read(start, want)
            if len(part) < want:
                raise self._broken(offset, "the file ends inside it")
            parts.append(part)
            if kind in (0, 3) or (at_most is not None and sum(map(len, parts)) >= at_most):
                break
        return _MAGIC_BYTES.join(parts)

    def _frames(self, offset: int) -> Iterator[tuple[int, int, int]]:
        """(kind, start of payload, length) of the frames of the record at ``offset``."""
        expected: tuple[int, ...] = (0, 1)
        while True:
            frame = self._file.read(offset, _FRAME.size)
            if len(frame) < _FRAME.size:
                raise self._broken(offset, "the file ends inside it")
            magic, word = _FRAME.unpack(frame)
            kind, length = word >> _LENGTH_BITS, word & ((1 << _LENGTH_BITS) - 1)
            if magic != MAGIC:
                raise self._broken(
                    offset, "no record starts here; do .rec and .idx belong together?"
                )
            if kind not in expected:
                raise self._broken(offset, f"a part of kind {kind} comes out of order")
            yield kind, offset + _FRAME.size, length
            if kind in (0, 3):
                return
            expected = (2, 3)
            offset += _FRAME.size + -(-length // 4) * 4

    def _scan(self) -> Index:
        offsets = self._read_idx() or dict(enumerate(self._walk()))
        if not offsets:
            raise DatasetInvalid(f"{printable(self.path.name)} holds no record")
        last = max(offsets.values())
        if last >= self._size:
            raise DatasetInvalid(
                f"{printable(self.path.name)} is cut short: its index points to byte {last}, the "
                f"file has {self._size}; copy it again",
                path=str(self.path),
            )
        self._payload(last, None)
        first = min(offsets)
        signpost = self.record(offsets[first], head_only=True) if first == 0 else None
        if signpost is not None and len(signpost.labels) == 2:
            keys, labels = self._people(signpost, offsets)
        else:
            keys = sorted(offsets)
            labels = [int(self.record(offsets[k], head_only=True).labels[0]) for k in keys]
        if not keys:
            raise DatasetInvalid(f"{printable(self.path.name)} holds no image")
        return {
            "key": np.array(keys, np.int64),
            "offset": np.array([offsets[k] for k in keys], np.int64),
            "label": np.array(labels, np.int64),
        }

    def _people(self, signpost: Record, offsets: dict[int, int]) -> tuple[list[int], list[int]]:
        """Keys and labels of the images, from the ranges of the people's records."""
        keys: list[int] = []
        labels: list[int] = []

        def label_of(key: int) -> int:
            return int(self.record(offsets[key], head_only=True).labels[0])

        try:
            for person in range(int(signpost.labels[0]), int(signpost.labels[1])):
                low, high = map(int, self.record(offsets[person], head_only=True).labels[:2])
                if low >= high:
                    continue
                # float32 rounds ends above 2**24: what lies so near them says itself whose it is
                near = min(int(np.spacing(np.float32(high))) // 2, high - low)
                own = [label_of(low + near if low + near < high else low)] * (high - low)
                for key in {*range(low, low + near), *range(high - near, high)}:
                    own[key - low] = label_of(key)
                keys += range(low, high)
                labels += own
            for key in (keys[0], keys[-1]) if keys else ():
                offsets[key]
        except (KeyError, ValueError) as error:
            raise DatasetInvalid(
                f"{printable(self.path.name)}: the records of people do not fit its index "
                f"({error}); do .rec and .idx belong together?"
            ) from None
        missing = [key for key in keys if key not in offsets]
        if missing:
            raise DatasetInvalid(
                f"{printable(self.path.name)}: {len(missing)} images are not in its index, the "
                f"first is {missing[0]}"
            )
        return keys, labels

    def _read_idx(self) -> dict[int, int]:
        path = self.path.with_suffix(".idx")
        if not path.is_file():
            return {}
        try:
            table = np.loadtxt(path, dtype=np.int64, delimiter="\t", ndmin=2)
        except (OSError, ValueError):
            table = np.zeros((0, 0), np.int64)
        if table.ndim != 2 or table.shape[1] != 2 or (table < 0).any():
            raise DatasetInvalid(
                f"{printable(path.name)} must hold lines of number, tab, byte offset; delete it "
                "to have the records scanned",
                path=str(path),
            )
        return dict(zip(table[:, 0].tolist(), table[:, 1].tolist(), strict=True))

    def _walk(self) -> Iterator[int]:
        offset = 0
        while offset < self._size:
            yield offset
            for _, start, length in self._frames(offset):
                offset = start + -(-length // 4) * 4

    def _broken(self, offset: int, what: str) -> DatasetInvalid:
        return DatasetInvalid(
            f"{printable(self.path.name)}: the record at byte {offset} is broken: {what}",
            path=str(self.path),
            offset=offset,
        )


__all__ = ["MAGIC", "Record", "RecordIoSource"]
