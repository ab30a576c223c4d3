"""An index is read from its sealed file where that helps, and never after somebody was erased.

On SQLite and PostgreSQL, but for what concerns the bytes of a file, with files of a few rows.
Whatever is wrong with a file, the answers are those of an index built from SQL.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.databases import leave_unsealed

from arcid.errors import KeyUnavailable
from arcid.gallery import Gallery, NewFace, keeping, snapshots
from arcid.gallery.database import Database
from arcid.gallery.index import int8
from arcid.gallery.index.exact import ExactIndex
from arcid.gallery.store import vectors
from arcid.types import Embeddings

CONTRACT, OTHER = "a" * 64, "b" * 64
DIM = 64
PEOPLE = 10  # with two faces each: two whole blocks and half of one
BLOCK = 8


def vector(i: int, contract: str = CONTRACT) -> Embeddings:
    return Embeddings.normalised(np.random.default_rng(i).normal(size=(1, DIM)), contract)


def make_index(dim: int, fetch: Any) -> ExactIndex:
    return ExactIndex(dim, fetch, block_rows=BLOCK)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "WORTH_ROWS", 4)
    monkeypatch.setattr(snapshots, "PIECE_BYTES", 256)
    monkeypatch.setattr(keeping, "MANY", 3)


@pytest.fixture
def url(bare_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    return bare_database_url


def opened(url: str) -> Gallery:
    return Gallery.open(url, make_index=make_index)


def enrol(gallery: Gallery, *numbers: int) -> None:
    for i in numbers:
        faces = [NewFace(vector(100 * i + k), f"{i}-{k}") for k in (0, 1)]
        gallery.enrol("staff", f"Person {i}", faces)


@pytest.fixture
def kept(url: str) -> str:
    """A gallery whose index is in a file."""
    with opened(url) as gallery:
        gallery.create_collection("staff")
        enrol(gallery, *range(PEOPLE))
        assert nearest(gallery, 100) == "Person 1"
    return url


def nearest(gallery: Gallery, i: int) -> str:
    return gallery.search("staff", vector(i), k=1)[0][0].name


def answers(gallery: Gallery) -> list[list[tuple[str, float]]]:
    probes = Embeddings(np.concatenate([vector(100 * i).vectors for i in range(14)]), CONTRACT)
    return [[(hit.name, hit.cosine) for hit in one] for one in gallery.search("staff", probes, k=9)]


def person(gallery: Gallery, i: int) -> str:
    return gallery.person_called("staff", f"Person {i}").id


def file_of(url: str) -> Path:
    (found,) = files_of(url)
    return found


def files_of(url: str) -> list[Path]:
    beside = Path(url).with_name("gallery.db-index") if "://" not in url else None
    folder = beside or Path(os.environ["ARCID_HOME"]) / "cache" / "index"
    return [path for path in folder.rglob("*") if path.is_file()]


@contextmanager
def reading() -> Iterator[list[int]]:
    """How often an index was built from SQL."""
    built: list[int] = []
    real = vectors.blocks

    def counted(*args: Any) -> Any:
        built.append(1)
        return real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "blocks", counted)
        yield built


def built_anew(url: str) -> list[list[tuple[str, float]]]:
    """What an index says that was built from SQL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "header_of", lambda path: None)
        patch.setattr(snapshots, "WORTH_ROWS", 1000)
        with Gallery.open(url) as gallery:
            return answers(gallery)


def test_the_next_process_begins_with_the_file(kept: str) -> None:
    expected = built_anew(kept)
    with reading() as built, opened(kept) as gallery:
        assert answers(gallery) == expected
        assert built == [] and gallery.check() == []


def test_what_happened_since_is_followed(kept: str) -> None:
    with Gallery.open(kept) as other:
        enrol(other, 11)
        face = other.faces("staff", person(other, 2))[0]
        other.move_face("staff", face.id, person(other, 3))
    with reading() as built, opened(kept) as gallery:
        assert nearest(gallery, 1100) == "Person 11" and nearest(gallery, 200) == "Person 3"
        assert built == [] and gallery.check() == []
        assert answers(gallery) == built_anew(kept)


def test_it_is_written_anew_at_the_end_where_much_changed(kept: str) -> None:
    before = file_of(kept).read_bytes()
    with opened(kept) as gallery:
        assert nearest(gallery, 100) == "Person 1"
        enrol(gallery, 12)
        assert nearest(gallery, 1200) == "Person 12"
    assert file_of(kept).read_bytes() == before, "two faces are few"
    with opened(kept) as gallery:
        enrol(gallery, 13, 14)
        assert nearest(gallery, 1400) == "Person 14"
    header = snapshots.header_of(file_of(kept))
    assert header is not None and header.rows == 2 * (PEOPLE + 3)


def erase_person(gallery: Gallery) -> None:
    gallery.delete_person("staff", person(gallery, 1))


def erase_face(gallery: Gallery) -> None:
    gallery.delete_face("staff", gallery.faces("staff", person(gallery, 1))[0].id)


def erase_contract(gallery: Gallery) -> None:
    gallery.drop_contract("staff", CONTRACT, force=True)


def erase_collection(gallery: Gallery) -> None:
    gallery.delete_collection("staff")


ERASE = [erase_person, erase_face, erase_contract, erase_collection]


@pytest.mark.parametrize("erase", ERASE)
def test_erasing_destroys_the_key_of_every_copy(
    kept: str, tmp_path: Path, erase: Callable[[Gallery], None]
) -> None:
    file = file_of(kept)
    header = snapshots.header_of(file)
    shutil.copy(file, tmp_path / "copy")
    with Gallery.open(kept) as gallery:
        assert gallery.database.vault.index_cipher(header.key_id)
        erase(gallery)
        with pytest.raises(KeyUnavailable):
            gallery.database.vault.index_cipher(header.key_id)
    shutil.copy(tmp_path / "copy", file)
    with reading() as built, opened(kept) as gallery:
        if erase is not erase_collection:
            gallery.search("staff", vector(100), k=3)
        assert built == ([] if erase is erase_collection else [1])
        if erase is erase_person:
            assert nearest(gallery, 100) != "Person 1" and nearest(gallery, 200) == "Person 2"


@pytest.mark.parametrize("bare_database_url", ["sqlite"], indirect=True)
def test_dropped_by_a_process_that_died_before_its_key_it_is_empty(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dead:
        dead.setattr(Database, "shred", lambda self: None)
        with Gallery.open(kept) as gallery:
            erase_contract(gallery)
        with opened(kept) as gallery:
            assert list(gallery.search("staff", vector(100), k=1)[0]) == []
            assert gallery.size("staff", CONTRACT) == 0


def test_an_erasure_of_others_leaves_it(kept: str) -> None:
    with Gallery.open(kept) as gallery:
        gallery.create_collection("guests")
        guest, _ = gallery.enrol("guests", "Eve", [NewFace(vector(9000))])
        gallery.delete_person("guests", guest.id)
    with reading() as built, opened(kept) as gallery:
        assert nearest(gallery, 100) == "Person 1" and built == []


def test_a_file_after_an_erasure_holds_nobody_who_was_erased(kept: str) -> None:
    with opened(kept) as gallery, Gallery.open(kept) as other:
        assert nearest(gallery, 100) == "Person 1"
        gone = [face.id for face in other.faces("staff", person(other, 1))]
        other.delete_person("staff", person(other, 1))
    header = snapshots.header_of(file_of(kept))
    assert header.rows == 2 * PEOPLE - len(gone)
    with reading() as built, opened(kept) as gallery:
        by = gallery.database.vault.index_cipher(header.key_id)
        held = np.concatenate([part().faces for part in snapshots.parts(file_of(kept), header, by)])
        assert len(held) == header.rows and not {3, 4} & set(held.tolist())
        assert nearest(gallery, 100) != "Person 1" and built == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_who_is_erased_while_it_is_written_is_in_no_file_that_opens(
    url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    real = snapshots.write

    def writing(*args: Any) -> None:
        if moment == "after":
            real(*args)
        with Gallery.open(url) as other:
            other.delete_person("staff", person(other, 1))
        if moment == "before":
            real(*args)

    with opened(url) as gallery:
        gallery.create_collection("staff")
        enrol(gallery, *range(PEOPLE))
        assert nearest(gallery, 100) == "Person 1"
        gallery._projection._keeping.close([])  # the first file, by its own thread
        header = snapshots.header_of(file_of(url))
        monkeypatch.setattr(snapshots, "write", writing)
        enrol(gallery, 11, 12)
        assert nearest(gallery, 1100) == "Person 11"
    written = snapshots.header_of(file_of(url))
    assert written.key_id != header.key_id
    with Gallery.open(url) as gallery, pytest.raises(KeyUnavailable):
        gallery.database.vault.index_cipher(written.key_id)
    with reading() as built, opened(url) as gallery:
        assert nearest(gallery, 100) != "Person 1" and built == [1]


# files that are not what they should be


def torn(data: bytes) -> Iterator[bytes]:
    yield b""
    for keep in (5, 20, 200, len(data) // 2, len(data) - 1):
        yield data[:keep]
    yield data + b"\0"


def flipped(data: bytes) -> Iterator[bytes]:
    for at in (0, 18, 60, 400, 900, len(data) // 2, len(data) - 3):
        yield data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def stretched(data: bytes) -> Iterator[bytes]:
    for told, claimed in ((b'"rows": 20', b'"rows": 99'), (b'"format": 2', b'"format": 1')):
        assert told in data
        yield data.replace(told, claimed)


def exchanged(data: bytes) -> Iterator[bytes]:
    end = len(data)
    piece = 12 + 256 + 16
    first, second = data[end - 3 * piece : end - 2 * piece], data[end - 2 * piece : end - piece]
    yield data[: end - 3 * piece] + second + first + data[end - piece :]


@pytest.mark.parametrize("bare_database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("spoilt", [torn, flipped, stretched, exchanged])
def test_a_file_that_was_cut_or_changed_is_not_used(
    kept: str, spoilt: Callable[[bytes], Iterator[bytes]]
) -> None:
    file, expected = file_of(kept), built_anew(kept)
    whole = file.read_bytes()
    for data in spoilt(whole):
        file.write_bytes(data)
        with reading() as built, opened(kept) as gallery:
            assert answers(gallery) == expected and built == [1]
        assert snapshots.header_of(file) is not None, "written anew"
    with reading() as built, opened(kept) as gallery:
        assert answers(gallery) == expected and built == []


@pytest.mark.parametrize("bare_database_url", ["sqlite"], indirect=True)
def test_the_file_of_another_gallery_or_model_is_not_used(
    kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "gallery.db"
    other.parent.mkdir()
    with opened(str(other)) as gallery:
        gallery.create_collection("staff")
        enrol(gallery, *range(20, 20 + PEOPLE))
        assert nearest(gallery, 2100) == "Person 21"
    expected = built_anew(kept)
    shutil.copy(file_of(str(other)), file_of(kept))
    with reading() as built, opened(kept) as gallery:
        assert answers(gallery) == expected and built == [1]
    with opened(kept) as gallery:
        for i in range(PEOPLE):
            face = NewFace(vector(5000 + i, OTHER), f"other-{i}")
            gallery.add_faces("staff", person(gallery, i), [face])
        gallery.search("staff", vector(5001, OTHER), k=1)
    one, two = files_of(kept)
    shutil.copy(one, two)
    with opened(kept) as gallery:
        assert gallery.search("staff", vector(5001, OTHER), k=1)[0][0].name == "Person 1"
        assert answers(gallery) == expected


def test_other_sizes_of_blocks_and_pruned_logs_are_built_anew(kept: str) -> None:
    with reading() as built, Gallery.open(kept) as gallery:
        assert nearest(gallery, 100) == "Person 1" and built == [1]
    with opened(kept) as gallery:
        assert nearest(gallery, 100) == "Person 1"
    with Gallery.open(kept) as other:
        enrol(other, 11)
        other.prune_changes(keep=1)
    with reading() as built, opened(kept) as gallery:
        assert nearest(gallery, 1100) == "Person 11" and built == [1]


@pytest.mark.parametrize("bare_database_url", ["sqlite"], indirect=True)
def test_a_database_that_was_put_back_is_not_taken_for_the_one_of_the_file(kept: str) -> None:
    """Numbers and all else are equal: only the entries themselves differ."""
    path = Path(kept)
    shutil.copy(path, path.with_name("copy.db"))
    with opened(kept) as gallery:
        enrol(gallery, 11, 12)
        assert nearest(gallery, 1100) == "Person 11"
    for suffix in ("", "-wal", "-shm", "-mark"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.with_name("copy.db").replace(path)
    with Gallery.open(kept) as gallery:
        enrol(gallery, 13, 14, 15)
    with reading() as built, opened(kept) as gallery:
        assert nearest(gallery, 1300) == "Person 13" and built == [1]
        assert "Person 11" not in {name for one in answers(gallery) for name, _ in one}


def test_a_gallery_without_encryption_writes_none(url: str) -> None:
    with opened(url) as gallery:
        leave_unsealed(gallery)
        gallery.create_collection("staff")
        enrol(gallery, *range(PEOPLE))
        assert nearest(gallery, 100) == "Person 1"
    assert files_of(url) == []


@pytest.mark.parametrize("bare_database_url", ["sqlite"], indirect=True)
def test_it_opens_after_a_change_of_keys(kept: str) -> None:
    with Gallery.open(kept) as gallery:
        gallery.rotate_keys()
    with reading() as built, opened(kept) as gallery:
        assert nearest(gallery, 100) == "Person 1" and built == []


@pytest.mark.parametrize("bare_database_url", ["sqlite"], indirect=True)
def test_no_row_stands_in_it_and_only_its_owner_reads_it(kept: str) -> None:
    file = file_of(kept)
    data = file.read_bytes()
    rows = np.concatenate([vector(100 * i + k).vectors for i in range(PEOPLE) for k in (0, 1)])
    codes = int8.quantise(rows).codes
    needles = [row.tobytes()[:12] for row in codes] + [c.tobytes()[:12] for c in codes.T]
    needles += [row.tobytes()[:12] for row in rows]
    assert not any(needle in data for needle in needles)
    assert file.stat().st_mode & 0o777 == 0o600


KILLED = """
    import os, sys
    from tests.contracts import test_index_snapshots as here
    from arcid.gallery import snapshots, keeping

    snapshots.WORTH_ROWS, snapshots.PIECE_BYTES, keeping.MANY = 4, 256, 3
    left, real = int(sys.argv[2]), snapshots._place
    def place(*args):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return real(*args)
    with here.opened(sys.argv[1]) as gallery:
        here.enrol(gallery, *map(int, sys.argv[3:]))
        here.nearest(gallery, 100)
        snapshots._place = place
"""


@pytest.mark.parametrize("bare_database_url", ["sqlite"], indirect=True)
def test_killed_while_it_writes_the_file_before_stays_and_nothing_is_left(kept: str) -> None:
    file = file_of(kept)
    before = file.read_bytes()
    for step in (0, 1, 5):
        numbers = [str(20 + 3 * step + i) for i in range(3)]
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(KILLED), kept, str(step), *numbers],
            check=False, capture_output=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert ran.returncode == -9, ran.stderr
        assert file.read_bytes() == before
    drafts = [path for path in files_of(kept) if path != file]
    assert len(drafts) == 3
    for draft in drafts:
        os.utime(draft, (0, 0))
    with reading() as built, opened(kept) as gallery:
        assert answers(gallery) == built_anew(kept) and built == [1]
    assert files_of(kept) == [file]
    assert file.read_bytes() != before
