"""Parquet tables with a column of encoded pictures and a column of people."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import DatasetInvalid, MissingExtra
from arcid.train.data.files import printable, size_of

_GROUPS_KEPT = 8


class ParquetSource:
    """Pictures as bytes, or as a struct with a ``bytes`` field; people as text or numbers.

    A row is reached by reading its row group, of which the last few are kept: shuffled training
    wants small groups (some hundred rows) or ``data.cache: memory``.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        image_column: str = "image",
        label_column: str | None = "label",
    ) -> None:
        self._arrow()
        self.paths = list(paths)
        self.image_column = image_column
        people: dict[str, int] = {}
        identity: list[npt.NDArray[np.int32]] = []
        starts, groups = [0], []
        for number, path in enumerate(self.paths):
            size_of(path, "the table")
            with self._open(path, image_column, label_column) as table:
                for group in range(table.metadata.num_row_groups):
                    groups.append((number, group, starts[-1]))
                    starts.append(starts[-1] + table.metadata.row_group(group).num_rows)
                rows = table.metadata.num_rows
                if label_column is None:
                    identity.append(np.full(rows, -1, np.int32))
                    continue
                column = table.read(columns=[label_column]).column(0).to_pylist()
                identity.append(
                    np.fromiter(
                        (
                            -1 if v is None else people.setdefault(str(v), len(people))
                            for v in column
                        ),
                        np.int32,
                        rows,
                    )
                )
        if not starts[-1]:
            raise DatasetInvalid(f"{printable(self.paths[0].name)} holds no row")
        self._starts, self._groups = np.array(starts, np.int64), groups
        self.identity, self.identities = np.concatenate(identity), tuple(people)
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, index: int) -> bytes:
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        with self._lock:
            column = self._kept.pop(group, None)
            if column is None:
                column = self._read_group(group)
            self._kept[group] = column
            if len(self._kept) > _GROUPS_KEPT:
                self._kept.popitem(last=False)
        value = column[index - int(self._starts[group])].as_py()
        if isinstance(value, dict):
            value = value.get("bytes")
        if not isinstance(value, bytes):
            raise DatasetInvalid(f"row {self.key(index)} holds no picture")
        return value

    def key(self, index: int) -> str:
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        number = self._groups[group][0]
        first = next(start for n, _, start in self._groups if n == number)
        return f"{self.paths[number].name}:{index - first}"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_lock": threading.Lock()}

    def _read_group(self, group: int) -> Any:
        number, within, _ = self._groups[group]
        with self._arrow().ParquetFile(self.paths[number]) as table:
            return table.read_row_group(within, columns=[self.image_column]).column(0)

    def _open(self, path: Path, *columns: str | None) -> Any:
        arrow = self._arrow()
        import pyarrow

        try:
            table = arrow.ParquetFile(path)
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DatasetInvalid(
                f"{printable(path.name)} is no readable Parquet file: {reason}", path=str(path)
            ) from None
        names = table.schema_arrow.names
        missing = [name for name in columns if name is not None and name not in names]
        if missing:
            table.close()
            raise DatasetInvalid(
                f"{printable(path.name)} has no column {missing[0]!r}, only {', '.join(names)}; "
                "set image_column and label_column",
                path=str(path),
            )
        return table

    @staticmethod
    def _arrow() -> Any:
        try:
            import pyarrow.parquet
        except ImportError:
            raise MissingExtra("reading Parquet", "parquet") from None
        return pyarrow.parquet


__all__ = ["ParquetSource"]
