"""What runs on a GPU gives the answers of a plain scan: the same code, run on the processor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.contracts.test_index_congruence import (
    _history,
    check_faces,
    check_people,
    clustered,
    filled,
)

from arcid.errors import GalleryError, UsageError
from arcid.gallery.index import cuda, int8

torch = pytest.importorskip("torch")


def small(dim: int, fetch: Any) -> cuda.CudaIndex:
    return cuda.CudaIndex(dim, fetch, device="cpu", block_rows=48)


TestHistory = _history(small)


@pytest.mark.parametrize("dim", [24, 100, 512])
def test_faces_and_people_are_those_of_a_plain_scan(
    dim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "PRODUCTS", 32 * 8 * 3)  # several pieces of a block
    rows, people = clustered(np.random.default_rng(dim), 60, 5, dim, 0.4)
    index, truth = filled(
        lambda dim, fetch: cuda.CudaIndex(dim, fetch, device="cpu", block_rows=128), rows, people
    )
    assert isinstance(index, cuda.CudaIndex) and "cpu" in index.kernel
    only = np.unique(people)[::2]
    for step in range(2):
        check_faces(index, truth, rows[:9], 7)
        check_faces(index, truth, rows[:3], 400, excluded=int(people[0]))
        check_people(index, truth, rows[:5], 4, 1 + 2 * step)
        gone = np.array(sorted(truth.rows))[::3]
        index.remove(gone)
        for key in gone.tolist():
            del truth.rows[key]
    assert index.held(only) == sum(p in only for p, _ in truth.rows.values())


def test_copies_go_with_what_they_are_copies_of() -> None:
    rows, people = clustered(np.random.default_rng(1), 40, 5, 32, 0.4)
    index, truth = filled(small, rows, people)
    assert isinstance(index, cuda.CudaIndex)
    check_faces(index, truth, rows[:1], 3)
    held = len(index._copies._there)
    assert held == 3 * len(index._blocks)
    index.remove(np.array(sorted(truth.rows))[:96])
    index.search_faces(rows[-1:], 3)
    assert len(index._copies._there) == 3 * len(index._blocks) < held
    index.close()
    assert index._copies._there == {}


def test_a_device_that_is_not_there_or_counts_wrong_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UsageError, match="no device"):
        cuda.CudaIndex(8, lambda keys: keys, device="cuda:99")
    exact = torch._int_mm
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: exact(a, b).clamp(max=1 << 20))
    with pytest.raises(GalleryError, match="exactly"):
        cuda.CudaIndex(8, lambda keys: keys, device="cpu")
    assert int8.kernel()
