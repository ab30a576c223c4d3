"""An index whose engine holds turned vectors: the same people are found, no template leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from arcid.errors import UsageError
from arcid.gallery import Gallery, NewFace
from arcid.gallery.outside import Server, chroma
from arcid.gallery.outside.blinded import ROUNDING, blinded, rotation
from arcid.gallery.outside.stepwise import Stepwise
from arcid.types import Embeddings

CONTRACT, DIM = "c" * 64, 64


def units(seed: int, count: int, dim: int = DIM) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("dim", [3, 37, 128, 512])
def test_a_rotation_keeps_inner_products_within_what_is_stated(dim: int) -> None:
    turn = rotation(b"key", dim)
    assert turn.dtype == np.float32
    np.testing.assert_allclose(turn @ turn.T, np.eye(dim), atol=1e-6)
    rows = units(dim, 300, dim)
    before = rows.astype(np.float64) @ rows.T.astype(np.float64)
    turned = rows @ turn.T
    assert np.abs(turned @ turned.T - before).max() < ROUNDING / 2
    assert np.abs(rotation(b"other", dim) - turn).max() > 0.1
    if dim > 100:  # nothing of a vector is left in its place
        assert np.abs((turned * rows).sum(axis=1)).max() < 0.5


def test_a_rotation_is_the_same_everywhere() -> None:
    """Numbers that any other machine has to get as well: an index outlives the process."""
    expected = [[-0.6393490, 0.2697857, 0.7200336], [0.0503600, 0.9491077, -0.3108994],
                [0.7672657, 0.1625124, 0.6203975]]  # fmt: skip
    np.testing.assert_allclose(rotation(b"arcid", 3), expected, atol=1e-6)
    again = rotation(b"arcid", 512)
    np.testing.assert_array_equal(again, rotation(b"arcid", 512))


def test_rotations_are_drawn_evenly() -> None:
    """Of Haar's measure: entries of mean 0 and mean square 1/D, determinants of both signs."""
    drawn = np.stack([rotation(str(i).encode(), 4) for i in range(600)]).astype(np.float64)
    assert np.abs(drawn.mean(axis=0)).max() < 0.1
    assert np.abs((drawn**2).mean(axis=0) - 0.25).max() < 0.05
    assert 200 < (np.linalg.det(drawn) > 0).sum() < 400


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Stepwise]:
    pytest.importorskip("chromadb", reason="no Chroma: pip install arcid[chroma]")
    yield chroma.server(str(tmp_path / "chroma"), blind=True)


def enrolled(url: Path, server: Server, rows: np.ndarray) -> Gallery:
    gallery = Gallery.open(url, server=server)
    gallery.ensure_collection("default")
    for i, row in enumerate(rows):
        gallery.enrol("default", f"p{i}", [NewFace(Embeddings(row[None], CONTRACT))])
    return gallery


def who(gallery: Gallery, row: np.ndarray) -> str:
    return gallery.search("default", Embeddings(row[None], CONTRACT), k=1)[0][0].name


def outside(server: Stepwise, gallery: Gallery) -> tuple[str, np.ndarray]:
    """The contract in the one place there is, and the vectors in it by key."""
    (place,) = server.places(gallery.stats()["identity"])
    known = server.current(place)
    assert known is not None
    assert isinstance(server.tables, chroma.ChromaTables)
    held = server.tables._client.get_collection(known[0]).get(include=["embeddings"])
    order = np.argsort([int(key) for key in held["ids"]])
    return place.contract, np.array(held["embeddings"])[order]


def test_the_engine_holds_no_template_and_finds_the_same(fresh: Path, server: Stepwise) -> None:
    rows = units(1, 30)
    with enrolled(fresh, server, rows) as gallery:
        gallery.encrypt()
        assert [who(gallery, row) for row in rows] == [f"p{i}" for i in range(30)]
        contract, held = outside(server, gallery)
        assert contract.startswith(CONTRACT)
        assert np.abs(held @ rows.T).max() < 0.6  # like none of them
        np.testing.assert_allclose(held @ held.T, rows @ rows.T, atol=ROUNDING)  # the stated limit
        found = gallery.search("default", Embeddings(rows[:1], CONTRACT), k=30)[0]
        cosines = np.sort(rows @ rows[0])[::-1]
        np.testing.assert_allclose([m.cosine for m in found], cosines, atol=2e-6)


def test_new_keys_are_a_new_rotation(fresh: Path, server: Stepwise) -> None:
    rows = units(2, 12)
    with enrolled(fresh, server, rows) as gallery:
        gallery.encrypt()
        assert who(gallery, rows[3]) == "p3"
        before, held = outside(server, gallery)
        gallery.rotate_keys()
        assert [who(gallery, row) for row in rows] == [f"p{i}" for i in range(12)]
        gallery.settle()  # what was turned otherwise goes
        after, now = outside(server, gallery)
        assert after != before
        assert np.abs((held * now).sum(axis=1)).max() < 0.9
        assert gallery.check() == []


def test_a_process_that_did_not_rotate_the_keys_follows(fresh: Path, server: Stepwise) -> None:
    rows = units(3, 6)
    with enrolled(fresh, server, rows[:5]) as gallery:
        gallery.encrypt()
        assert who(gallery, rows[3]) == "p3"
        before, _ = outside(server, gallery)
        with Gallery.open(fresh) as other:
            other.rotate_keys()
            other.enrol("default", "p5", [NewFace(Embeddings(rows[5:], CONTRACT))])
        assert who(gallery, rows[5]) == "p5"
        gallery.settle()
        assert outside(server, gallery)[0] != before


def test_a_gallery_without_a_key_is_refused(fresh: Path, server: Stepwise) -> None:
    Gallery.open(fresh).close()
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(UsageError, match="arcid gallery encrypt"),
    ):
        patch.setattr("arcid.gallery.encrypting.is_protected", lambda _: False)
        Gallery.open(fresh, server=server)


def test_every_key_has_a_place_of_its_own() -> None:
    from arcid.gallery.outside import Place

    place = Place("g", "c", CONTRACT)
    assert len({blinded(place, key) for key in (b"1", b"2", b"3")} | {place}) == 4
    assert b"1".hex() not in blinded(place, b"1").contract
