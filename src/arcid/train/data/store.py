"""All sources behind one row number: read, decode, fit to the canvas, keep in memory if asked."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from arcid.errors import ConfigError, DatasetInvalid
from arcid.train.data.crops import (
    Unusable,
    WrongSize,
    canvas_size,
    decode_crop,
    fit_crop,
)
from arcid.train.data.files import printable
from arcid.train.data.sources import ImageSource
from arcid.types import Image

_LOG = logging.getLogger(__name__)
_SHOWN = 10
_PROBED = 16  # photos of each source
_MEMORY_SHARE = 0.8


@dataclass
class Faults:
    """Photos that could not be used, each counted once."""

    reasons: dict[str, str] = field(default_factory=dict)  # key → why

    def add(self, key: str, reason: str) -> None:
        """Note one; the first ten are also logged."""
        if key in self.reasons:
            return
        self.reasons[key] = reason
        if len(self.reasons) <= _SHOWN:
            _LOG.warning("a photo was passed over: %s, %s", printable(key), reason)
        elif len(self.reasons) == _SHOWN + 1:
            _LOG.warning("more photos passed over; the report counts them")

    def __len__(self) -> int:
        return len(self.reasons)

    def lines(self) -> list[str]:
        """The report: a count, then how often which reason with one example."""
        if not self.reasons:
            return ["no photo was passed over"]
        example = {reason: key for key, reason in reversed(self.reasons.items())}
        counts = Counter(self.reasons.values()).most_common()
        total = f"{len(self.reasons)} photos were passed over"
        return [total, *(f"{count} × {why}, such as {example[why]}" for why, count in counts)]


class CropStore:
    """Rows 0 to N-1 over all sources, in their order."""

    def __init__(
        self,
        names: Sequence[str],
        sources: Sequence[ImageSource],
        margins: Sequence[int],
        size: int,
    ) -> None:
        self.names = tuple(names)
        self.sources = tuple(sources)
        self.margins = tuple(margins)
        self.size = size
        self.starts = np.concatenate([[0], np.cumsum([len(s) for s in sources])]).astype(np.int64)
        self._cache: Image | None = None
        self._slot: npt.NDArray[np.int64] | None = None
        self._full: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return int(self.starts[-1])

    def locate(self, row: int) -> tuple[int, int]:
        """Source number and index in it."""
        source = int(np.searchsorted(self.starts, row, side="right")) - 1
        return source, row - int(self.starts[source])

    def key(self, row: int) -> str:
        """``source/photo``: what lists of photos and reports call it."""
        source, index = self.locate(row)
        return f"{self.names[source]}/{self.sources[source].key(index)}"

    def read(self, row: int) -> Image:
        """The canvas of one crop. Raises ``Unusable``; the caller decides what takes its place."""
        if self._slot is not None and self._cache is not None and self._full is not None:
            slot = int(self._slot[row])
            if slot >= 0:
                if not self._full[slot]:
                    self._cache[slot] = self._decode(row)
                    self._full[slot] = True
                return np.asarray(self._cache[slot], np.uint8)
        return self._decode(row)

    def keep_in_memory(self, rows: npt.NDArray[np.int64]) -> None:
        """From now on decode each of these rows once. Raises ``ConfigError`` if they cannot fit."""
        side = canvas_size(self.size)
        needed, there = len(rows) * side * side * 3, _memory_bytes()
        if needed > there * _MEMORY_SHARE:
            raise ConfigError(
                f"data.cache=memory needs {needed / 2**30:.1f} GiB for {len(rows)} photos, this "
                f"machine has {there / 2**30:.1f}; set data.cache to none",
                key="data.cache",
            )
        self._slot = np.full(len(self), -1, np.int64)
        self._slot[rows] = np.arange(len(rows))
        self._full = np.zeros(len(rows), bool)
        self._cache = np.empty((len(rows), side, side, 3), np.uint8)

    def probe(self) -> Faults:
        """Open a few photos of every source before the first step.

        Raises ``DatasetInvalid`` when one has the wrong size or none can be read.
        """
        faults = Faults()
        for number, source in enumerate(self.sources):
            start, count = int(self.starts[number]), len(source)
            rows = sorted({start + i * (count - 1) // (_PROBED - 1) for i in range(_PROBED)})
            failed = 0
            for row in rows:
                try:
                    self._decode(row)
                except WrongSize as error:
                    raise DatasetInvalid(
                        f"{self.key(row)} has {error.message}; align the photos first",
                        photo=self.key(row),
                    ) from None
                except Unusable as error:
                    faults.reasons[self.key(row)] = error.message  # its caller reports
                    failed += 1
            if failed == len(rows):
                raise DatasetInvalid(
                    f"none of {failed} photos tried in {self.names[number]} can be read; the "
                    f"first is {faults.reasons[self.key(rows[0])]}"
                )
        return faults

    def _decode(self, row: int) -> Image:
        number, index = self.locate(row)
        try:
            data = self.sources[number].read(index)
        except (OSError, DatasetInvalid) as error:
            reason = error.strerror if isinstance(error, OSError) else error.message
            raise Unusable(f"not read ({reason})") from None
        return fit_crop(decode_crop(data), self.margins[number], self.size)


def _memory_bytes() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


__all__ = ["CropStore", "Faults"]
