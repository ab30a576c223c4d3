"""Exact search on a GPU (``arcid[cuda]``): ``Gallery.open(url, make_index=CudaIndex)``.

The scan of ``ExactIndex`` on copies of its codes there: int8 products by cuBLASLt, bounds and the
choice of what may matter on the device; only that comes back, and is measured in full as ever. The
same code runs with ``device="cpu"``, where tests hold it to the answers of a plain scan.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import GalleryError, MissingExtra, UsageError
from arcid.gallery.index import FetchVectors, int8
from arcid.gallery.index.blocks import Block, Chosen, Piece, Rows
from arcid.gallery.index.exact import ExactIndex
from arcid.types import FloatArray

BLOCK_ROWS = 1 << 21  # few large products keep a GPU busy
PRODUCTS = 1 << 27  # made together
_LEAST_ROWS, _MULTIPLE = 32, 8  # what cuBLASLt takes of rows; of numbers a row, and of probes


class CudaIndex(ExactIndex):
    """``ExactIndex`` whose rows are scanned on a device of PyTorch's.

    Codes and bounds are in the device's memory and in that of the process. Raises ``MissingExtra``,
    ``UsageError`` where there is no such device, ``GalleryError`` where it multiplies inexactly.
    """

    def __init__(
        self,
        dim: int,
        fetch: FetchVectors,
        *,
        device: str = "cuda",
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        super().__init__(dim, fetch, threads=1, block_rows=block_rows)
        self._copies = _Copies(device)
        rows, probes = int8.reference()
        there = self._copies.of(rows, len(rows))
        found = _products(there, probes)[:, : len(rows)].cpu().numpy()
        if not np.array_equal(found, int8.numpy_products(rows, probes)):
            raise GalleryError(f"{device} does not multiply int8 exactly; use ExactIndex")

    @property
    def kernel(self) -> str:
        """What scans, and where."""
        return f"torch-int8 on {self._copies.device}"

    def close(self) -> None:
        """Free memory of both; the index cannot be used again."""
        super().close()
        self._copies.keep([])

    def _begin(self, probes: FloatArray, k: int) -> tuple[Sequence[Block], FloatArray]:
        blocks, checked = super()._begin(probes, k)
        self._copies.keep([array for b in blocks for array in (b.codes, b.step, b.error)])
        return blocks, checked

    def _rows_at_once(self, probes: int) -> int:
        return max(_LEAST_ROWS, PRODUCTS // _up(probes, _MULTIPLE) // _LEAST_ROWS * _LEAST_ROWS)

    def _piece(
        self, block: Block, start: int, stop: int, probes: int8.Probes, chosen: Chosen
    ) -> Piece:
        return _Piece(self._copies, block, start, stop, probes, chosen)


class _Piece(Piece):
    """Its bounds stay on the device."""

    def __init__(
        self,
        copies: _Copies,
        block: Block,
        start: int,
        stop: int,
        probes: int8.Probes,
        chosen: Chosen,
    ) -> None:
        self.block, self._probes = block, probes
        self.rows = part = slice(start, stop)
        codes, step, error = (
            copies.of(column, block.size) for column in (block.codes, block.step, block.error)
        )
        whole = slice(start, start + _up(stop - start, _LEAST_ROWS))
        upper = _products(codes[whole], probes)[:, : stop - start]
        upper *= step[part]
        upper *= copies.put(probes.step)[:, None]
        upper += error[part]
        others = chosen.others(block.people[part])
        if others is not None:
            upper[:, copies.put(others)] = -np.inf
        self._upper: Any = upper
        self._copies = copies

    def upper(self) -> FloatArray:
        found: FloatArray = self._upper.cpu().numpy()
        return found

    def _able(self, least: FloatArray) -> tuple[Rows, Rows]:
        probe, row = (self._upper >= self._copies.put(least)[:, None]).nonzero(as_tuple=True)
        return probe.cpu().numpy(), row.cpu().numpy()

    def _top(self, probe: int, count: int, of: int) -> Rows:
        found: Any = self._upper[probe, :of].topk(count)
        places: Rows = found.indices[found.values > -np.inf].cpu().numpy()
        return places


class _Copies:
    """Arrays on a device, for as long as blocks hold them. Rows are only ever added to an array."""

    def __init__(self, device: str) -> None:
        try:
            import torch
        except ImportError:
            raise MissingExtra("searching on a GPU", "cuda") from None
        self._torch = torch
        try:
            self.device = torch.device(device)
            torch.zeros(1, device=self.device)
        except (RuntimeError, AssertionError):
            raise UsageError(f"there is no device {device!r} here, or PyTorch lacks it") from None
        self._lock = threading.Lock()
        self._there: dict[int, tuple[npt.NDArray[Any], Any, int]] = {}  # by id of the array

    def put(self, array: npt.NDArray[Any]) -> Any:
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def of(self, array: npt.NDArray[Any], size: int) -> Any:
        """The first ``size`` rows; more of zeros, and zeros to the right of a matrix."""
        with self._lock:
            _, there, done = self._there.get(id(array), (None, None, 0))
            if there is None:
                shape = (
                    _up(len(array), _LEAST_ROWS),
                    *(_up(n, _MULTIPLE) for n in array.shape[1:]),
                )
                kind = self._torch.int8 if array.dtype == np.int8 else self._torch.float32
                there = self._torch.zeros(shape, dtype=kind, device=self.device)
            if done < size:
                part = (slice(done, size), *(slice(n) for n in array.shape[1:]))
                there[part] = self.put(array[done:size])
                self._there[id(array)] = (array, there, size)
            return there

    def keep(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Forget all others."""
        wanted = {id(array) for array in arrays}
        with self._lock:
            self._there = {k: held for k, held in self._there.items() if k in wanted}


def _products(codes: Any, probes: int8.Probes) -> Any:
    """(n,D) on the device in, n and D as cuBLASLt wants them; (Q,n) float32 there out."""
    import torch

    count, dim = probes.codes.shape
    turned = torch.zeros((_up(count, _MULTIPLE), codes.shape[1]), dtype=torch.int8)
    turned[:count, :dim] = torch.from_numpy(probes.codes)
    found = torch._int_mm(codes, turned.to(codes.device).T)
    return found[:, :count].T.to(torch.float32)


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
