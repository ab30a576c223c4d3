"""What a protected gallery stores opens in its place with its keys only, and never after erasure.

Each test runs on SQLite and PostgreSQL. A backup is a copy of the database alone: the key store is
a file of its own, which goes on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from tests.databases import leave_unsealed
from tests.unit.test_decide import ruler

from arcid.apps.duplicates import Duplicates, work
from arcid.apps.duplicates.tables import answers
from arcid.apps.onboarding import store as onboarding
from arcid.apps.onboarding.cases import Cases
from arcid.apps.watchlists import Alerts, Seen, Terms, Watchlists
from arcid.errors import KeyUnavailable, NotFound, SealBroken
from arcid.events import Events, Place, Sightings
from arcid.gallery import Gallery, NewFace, schema
from arcid.gallery.database import KEYS_LEFT
from arcid.gallery.seals import image_seal, vector_seal
from arcid.gallery.store import journal, sealed, vectors
from arcid.types import Embeddings
from arcid.vault import keystore, roots
from arcid.vault.keytables import destroyed
from arcid.vault.vault import Erased

CONTRACT = "a" * 64


def vector(i: int) -> Embeddings:
    return Embeddings.normalised(np.random.default_rng(i).normal(size=(1, 64)), CONTRACT)


def crop(i: int) -> np.ndarray:
    return np.random.default_rng(i).integers(0, 255, (16, 16, 3)).astype(np.uint8)


def new_face(i: int) -> NewFace:
    return NewFace(vector(i), f"photo-{i}", crop=crop(i))


def part(i: int) -> bytes:
    return vector(i).vectors[0].astype("<f4").tobytes()[64:128]


def pixels(i: int) -> bytes:
    from arcid.gallery.imaging import encode_crop

    return encode_crop(crop(i))[60:120]


@pytest.fixture
def url(bare_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(roots.SETTING, raising=False)
    (tmp_path / "keys").mkdir()
    monkeypatch.setenv(keystore.SETTING, str(tmp_path / "keys" / "store"))
    return bare_database_url


def filled(url: str, first: int = 0) -> Gallery:
    """``first``: where the numbers of its faces begin."""
    gallery = Gallery.open(url)
    gallery.create_collection("staff", keep_crops=True)
    for i, name in enumerate(["Ann", "Bea", "Cid"]):
        gallery.enrol("staff", name, [new_face(first + 10 * i + k) for k in (1, 2)])
    return gallery


def id_of(gallery: Gallery, name: str) -> str:
    person = gallery.find_person("staff", name)
    assert person is not None
    return person.id


def nearest(gallery: Gallery, i: int) -> str:
    return gallery.search("staff", vector(i), k=1)[0][0].name


class Backup:
    """Copies of the database as it is now, without its keys."""

    def __init__(self, url: str, folder: Path, request: pytest.FixtureRequest) -> None:
        self._url, self._folder, self._request = url, folder / "backup", request

    def take(self) -> None:
        if "://" not in self._url:
            self._folder.mkdir()
            for file in Path(self._url).parent.glob("gallery.db*"):
                shutil.copy2(file, self._folder)
            return
        self._copy(sa.make_url(self._url).database, "arcid_backup_copy")

    def put_back(self) -> None:
        if "://" not in self._url:
            for file in Path(self._url).parent.glob("gallery.db*"):
                file.unlink()
            for file in self._folder.iterdir():
                shutil.copy2(file, Path(self._url).parent)
            return
        self._copy("arcid_backup_copy", sa.make_url(self._url).database)
        self._run("DROP DATABASE arcid_backup_copy")

    def _copy(self, old: str | None, new: str | None) -> None:
        self._run(
            f"DROP DATABASE IF EXISTS {new} WITH (FORCE)", f"CREATE DATABASE {new} TEMPLATE {old}"
        )

    def _run(self, *statements: str) -> None:
        server = self._request.getfixturevalue("postgres")
        with server._engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


@pytest.fixture
def backup(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Backup:
    return Backup(url, tmp_path, request)


def test_a_new_gallery_is_sealed_and_finds_what_it_should(url: str) -> None:
    with filled(url) as gallery:
        assert [nearest(gallery, i) for i in (1, 2, 11, 22)] == ["Ann", "Ann", "Bea", "Cid"]
        assert gallery.protection()["encrypted"] and gallery.protection()["complete"]
        with gallery.database.read() as connection:
            stored = connection.execute(sa.select(schema.embeddings.c.vector)).scalars().all()
            stored += connection.execute(sa.select(schema.crops.c.image)).scalars().all()
        assert len(stored) == 12
        together = b"".join(stored)
        assert not any(part(i) in together or pixels(i) in together for i in (1, 2, 11, 12))
        face = gallery.faces("staff", id_of(gallery, "Ann"))[0]
        np.testing.assert_array_equal(gallery.face_crop("staff", face.id), crop(1))
        assert gallery.check() == []
    with Gallery.open(url) as again:
        assert nearest(again, 1) == "Ann"
        ((_, _, rows),) = list(again.vectors("staff", CONTRACT))
        np.testing.assert_array_equal(rows[0], vector(1).vectors[0])


# rows that were put elsewhere


def rewritten(gallery: Gallery, change: Callable[[dict[int, bytes]], dict[int, bytes]]) -> None:
    """Somebody with write access changes vectors by face key, and mends the checksums."""
    table = schema.embeddings
    with gallery.database.write() as connection:
        found = dict(connection.execute(sa.select(table.c.face_id, table.c.vector)).all())
        key = connection.execute(sa.select(schema.contracts.c.id)).scalar_one()
        for face, data in change(found).items():
            values = {"vector": data, "seal": vector_seal(face, key, data)}
            connection.execute(table.update().where(table.c.face_id == face).values(values))


def swap(found: dict[int, bytes]) -> dict[int, bytes]:
    first, *_, last = sorted(found)
    return {first: found[last], last: found[first]}


def swap_own(found: dict[int, bytes]) -> dict[int, bytes]:
    first, second, *_ = sorted(found)  # two faces of one person: one key
    return {first: found[second], second: found[first]}


def flip(found: dict[int, bytes]) -> dict[int, bytes]:
    first = min(found)
    return {first: found[first][:-1] + bytes([found[first][-1] ^ 1])}


def planted(found: dict[int, bytes]) -> dict[int, bytes]:
    return {min(found): vector(99).vectors[0].astype("<f4").tobytes()}


@pytest.mark.parametrize("change", [swap, swap_own, flip, planted])
def test_a_row_that_was_exchanged_or_planted_is_an_error_and_never_an_answer(
    url: str, change: Callable[[dict[int, bytes]], dict[int, bytes]]
) -> None:
    with filled(url) as gallery:
        rewritten(gallery, change)
    with Gallery.open(url) as gallery:
        with pytest.raises(SealBroken):
            gallery.search("staff", vector(1), k=1)
        assert [f for f in gallery.check() if "vectors are not what was written" in f]


def test_an_older_row_of_a_face_that_was_given_away_is_refused(url: str) -> None:
    with filled(url) as gallery:
        before: dict[int, bytes] = {}
        rewritten(gallery, lambda found: before.update(found) or {})
        face = gallery.faces("staff", id_of(gallery, "Ann"))[0]
        gallery.move_face("staff", face.id, id_of(gallery, "Bea"))
        assert nearest(gallery, 1) == "Bea"
        rewritten(gallery, lambda found: {min(found): before[min(found)]})
        gallery.drop_indexes()
        with pytest.raises(SealBroken):
            gallery.search("staff", vector(1), k=1)


def test_an_exchanged_crop_is_refused(url: str) -> None:
    table = schema.crops
    with filled(url) as gallery:
        with gallery.database.write() as connection:
            rows = connection.execute(sa.select(table.c.face_id, table.c.image)).all()
            (one, _), *_, (_, other) = sorted(rows)
            values = {"image": other, "seal": image_seal(one, other)}
            connection.execute(table.update().where(table.c.face_id == one).values(values))
        face = gallery.faces("staff", id_of(gallery, "Ann"))[0]
        with pytest.raises(SealBroken):
            gallery.face_crop("staff", face.id)
        assert "1 crops are not what was written" in gallery.check()


# erasure and older copies


def names(gallery: Gallery) -> set[str]:
    return {person.name for person in gallery.everybody("staff")}


def test_an_older_copy_does_not_bring_back_who_was_erased(url: str, backup: Backup) -> None:
    with filled(url) as gallery:
        pass
    backup.take()
    with Gallery.open(url) as gallery:
        gallery.delete_person("staff", id_of(gallery, "Ann"))
        gallery.enrol("staff", "Dot", [new_face(41)])
    backup.put_back()
    with Gallery.open(url) as gallery:
        assert names(gallery) == {"Bea", "Cid"}
        assert nearest(gallery, 1) != "Ann" and nearest(gallery, 11) == "Bea"
        assert gallery.check() == []
        with gallery.database.read() as connection:
            stored = connection.execute(sa.select(schema.people.c.name)).scalars().all()
        assert "Ann" not in stored
        gallery.enrol("staff", "Dot", [new_face(41)])


def test_not_even_their_sealed_bytes_can_be_opened(url: str, backup: Backup) -> None:
    with filled(url) as gallery:
        where = sa.select(schema.embeddings.c.vector).order_by(schema.embeddings.c.face_id)
        with gallery.database.read() as connection:
            (sealed, *_) = connection.execute(where).scalars().all()
        gallery.delete_person("staff", id_of(gallery, "Ann"))
        with pytest.raises(Erased):
            gallery.database.vault.unseal(sealed, b"")


def test_a_deleted_collection_stays_deleted(url: str, backup: Backup) -> None:
    with filled(url) as gallery:
        gallery.create_collection("guests")
        gallery.enrol("guests", "Eve", [new_face(51)])
    backup.take()
    with Gallery.open(url) as gallery:
        gallery.delete_collection("staff")
    backup.put_back()
    with Gallery.open(url) as gallery:
        assert [c.name for c in gallery.collections()] == ["guests"]
        assert gallery.search("guests", vector(51), k=1)[0][0].name == "Eve"


def test_notes_about_who_was_erased_keep_no_older_copy_shut(url: str, backup: Backup) -> None:
    with filled(url) as gallery:
        ann = id_of(gallery, "Ann")
        Events(gallery).add("staff", "arrival", ann, datetime.now(UTC), actor="op", note="needle")
    backup.take()
    with Gallery.open(url) as gallery:
        gallery.delete_person("staff", ann)
    backup.put_back()
    with Gallery.open(url) as gallery:
        assert names(gallery) == {"Bea", "Cid"} and gallery.check() == []
        assert [(e.name, e.note) for e in Events(gallery).find("staff")] == [(None, None)]


def test_who_is_erased_after_an_older_key_store_was_put_back_stays_erased(
    url: str, backup: Backup, tmp_path: Path
) -> None:
    store = tmp_path / "keys" / "store"
    filled(url).close()
    older = store.read_bytes()
    with Gallery.open(url) as gallery:
        gallery.delete_person("staff", id_of(gallery, "Ann"))
    store.write_bytes(older)
    backup.take()
    with Gallery.open(url) as gallery:
        gallery.delete_person("staff", id_of(gallery, "Bea"))
    backup.put_back()
    with Gallery.open(url) as gallery:
        assert names(gallery) == {"Cid"} and nearest(gallery, 11) == "Cid"


@pytest.mark.parametrize("left", [0, 2])
def test_an_older_key_store_gives_no_number_twice(
    url: str, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    monkeypatch.delenv(keystore.SETTING)
    with filled(url) as gallery:
        store = gallery.database.vault.store
        store.destroy([1, 2, 3, 4], [])
        known = store.destroyed(0).last
        with store.writing() as connection:  # as an older copy has it
            connection.execute(destroyed.delete().where(destroyed.c.key_id > left))
            again = (
                f"UPDATE sqlite_sequence SET seq = {left} WHERE name = 'destroyed'"
                if store.path is not None
                else f"ALTER SEQUENCE arcid_keys.destroyed_seq_seq RESTART {left + 1}"
            )
            connection.exec_driver_sql(again)
        seen = store.destroyed(known)
        assert seen.keys == tuple(range(1, left + 1))  # these may have been numbered twice
        store.destroy([7], ["guests"])
        assert store.destroyed(known).keys == (*seen.keys, 7)
        found = store.destroyed(seen.last)
        assert (found.keys, found.collections) == ((7,), ("guests",))
        assert store.destroyed(found.last) == (found.last, (), ())


@pytest.mark.parametrize("bare_database_url", ["sqlite"], indirect=True)
def test_two_processes_that_begin_with_an_older_copy_erase_once(
    url: str, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(url) as gallery:
        gallery.create_collection("guests")
    backup.take()
    with Gallery.open(url) as gallery:
        gallery.delete_collection("staff")
    backup.put_back()
    real = journal.writing

    def outrun(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(journal, "writing", real)
        Gallery.open(url).close()
        return real(*args, **options)

    monkeypatch.setattr(journal, "writing", outrun)
    with Gallery.open(url) as gallery:
        assert journal.writing is real
        assert [c.name for c in gallery.collections()] == ["guests"]


def test_merging_is_no_erasure_but_erasing_the_merged_is(url: str, backup: Backup) -> None:
    with filled(url):
        pass
    backup.take()
    with Gallery.open(url) as gallery:
        gallery.merge_people("staff", id_of(gallery, "Bea"), id_of(gallery, "Ann"))
        assert nearest(gallery, 1) == "Bea"
        assert gallery.check() == []
    backup.put_back()
    with Gallery.open(url) as gallery:
        assert names(gallery) == {"Ann", "Bea", "Cid"} and nearest(gallery, 1) == "Ann"
    backup_again(backup)
    with Gallery.open(url) as gallery:
        gallery.merge_people("staff", id_of(gallery, "Bea"), id_of(gallery, "Ann"))
        gallery.merge_people("staff", id_of(gallery, "Cid"), id_of(gallery, "Bea"))
        gallery.delete_person("staff", id_of(gallery, "Cid"))
    backup.put_back()
    with Gallery.open(url) as gallery:
        assert names(gallery) == set()


def backup_again(backup: Backup) -> None:
    shutil.rmtree(backup._folder, ignore_errors=True)
    backup.take()


def test_who_is_parted_again_is_erased_alone(url: str, backup: Backup) -> None:
    with filled(url):
        pass
    backup.take()
    with Gallery.open(url) as gallery:
        bea, ann = id_of(gallery, "Bea"), id_of(gallery, "Ann")
        gallery.merge_people("staff", bea, ann, reversible=True)
        (merge,) = gallery.merges("staff")
        gallery.unmerge("staff", merge.id)
        assert nearest(gallery, 1) == "Ann" and nearest(gallery, 11) == "Bea"
        gallery.delete_person("staff", ann)
        assert nearest(gallery, 11) == "Bea"
    backup.put_back()
    with Gallery.open(url) as gallery:
        assert names(gallery) == {"Bea", "Cid"} and nearest(gallery, 11) == "Bea"


def test_a_death_between_commit_and_destruction_is_made_good(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(url) as gallery:
        counted = gallery.database.vault.store.counts()["data_keys"]
        with monkeypatch.context() as patch:
            patch.setattr(type(gallery.database), "shred", lambda own: None)
            gallery.delete_person("staff", id_of(gallery, "Ann"))
            assert gallery.unscrubbed() == [KEYS_LEFT]
            gallery.database.close()
    with Gallery.open(url) as gallery:
        gallery.settle()
        assert gallery.unscrubbed() == []
        assert gallery.database.vault.store.counts()["data_keys"] == counted - 1
        assert names(gallery) == {"Bea", "Cid"}


def test_who_reads_an_older_state_meets_nobody_who_was_erased_since(url: str) -> None:
    with filled(url) as gallery, Gallery.open(url) as other:
        face = gallery.faces("staff", id_of(gallery, "Ann"))[0]
        with other.database.read() as connection:
            made_by = vectors.contract(connection, CONTRACT)
            key = connection.execute(
                sa.select(schema.faces.c.id).where(schema.faces.c.uid == face.id)
            ).scalar_one()
            gallery.delete_person("staff", id_of(gallery, "Ann"))
            with pytest.raises(Erased):
                vectors.fetch(connection, made_by, np.array([key]))
        assert nearest(other, 1) != "Ann"


# keys that are not there


def test_without_its_keys_a_gallery_does_not_open_and_says_why(url: str, tmp_path: Path) -> None:
    filled(url).close()
    root, store = tmp_path / "home" / "root.key", tmp_path / "keys" / "store"
    for lost, words in ((root, "root key"), (store, "key store")):
        kept = lost.read_bytes()
        lost.unlink()
        with pytest.raises(KeyUnavailable, match=words):
            Gallery.open(url)
        assert not lost.exists()
        lost.write_bytes(kept)
        lost.chmod(0o600)
    with Gallery.open(url) as gallery:
        assert nearest(gallery, 1) == "Ann"


# galleries of before


def of_before(url: str, tmp_path: Path) -> None:
    """As one looks that was made by an arcid without encryption."""
    with filled(url) as gallery:
        clear = []
        with gallery.database.read() as connection:
            for i, face in enumerate(connection.execute(sa.select(schema.faces.c.id)).scalars()):
                number = 10 * (i // 2) + i % 2 + 1
                clear.append((face, vector(number).vectors[0].astype("<f4").tobytes(), number))
        with gallery.database.write() as connection:
            key = connection.execute(sa.select(schema.contracts.c.id)).scalar_one()
            from arcid.gallery.imaging import encode_crop

            for face, data, number in clear:
                for table, column, value, seal in (
                    (schema.embeddings, "vector", data, vector_seal(face, key, data)),
                    (schema.crops, "image", encode_crop(crop(number)),
                     image_seal(face, encode_crop(crop(number)))),
                ):  # fmt: skip
                    own = table.update().where(table.c.face_id == face)
                    connection.execute(own.values({column: value, "seal": seal}))
            connection.execute(schema.people.update().values(key_id=None))
            connection.execute(schema.gallery.update().values(protected=0))
    (tmp_path / "keys" / "store").unlink()
    (tmp_path / "home" / "root.key").unlink()


def test_a_gallery_of_before_works_as_it_did_until_it_is_encrypted(
    url: str, tmp_path: Path
) -> None:
    of_before(url, tmp_path)
    with Gallery.open(url) as gallery, Gallery.open(url) as other:
        assert nearest(gallery, 1) == "Ann"
        gallery.enrol("staff", "Dot", [new_face(41)])
        assert not gallery.protection()["encrypted"]
        assert not (tmp_path / "keys" / "store").exists()
        assert gallery.check() == []
        seen = []
        assert gallery.encrypt(progress=lambda done, total: seen.append((done, total))) == 7
        assert seen[-1] == (7, 7)
        for each in (gallery, other):
            assert [nearest(each, i) for i in (1, 11, 41)] == ["Ann", "Bea", "Dot"]
            assert each.check() == []
        other.enrol("staff", "Eve", [new_face(51)])  # it was open before
        assert gallery.encrypt() == 0
        with gallery.database.read() as connection:
            together = b"".join(connection.execute(sa.select(schema.embeddings.c.vector)).scalars())
        assert not any(part(i) in together for i in (1, 2, 11, 41, 51))
        assert gallery.protection()["complete"]
    if "://" not in url:
        files = Path(url).parent.glob("gallery.db*")
        ran = subprocess.run(["cat", *map(str, files)], check=True, capture_output=True)
        assert not any(part(i) in ran.stdout or pixels(i) in ran.stdout for i in (1, 2, 11, 41))


def test_a_clear_vector_that_begins_as_sealed_ones_do_is_sealed_too(
    url: str, tmp_path: Path
) -> None:
    of_before(url, tmp_path)
    odd = vector(1).vectors.astype("<f4").copy()
    odd.view(np.uint8)[0, :2] = (0xA7, 1)
    data = Embeddings.normalised(odd, CONTRACT).vectors[0].astype("<f4").tobytes()
    data = bytes((0xA7, 1)) + data[2:]
    with Gallery.open(url) as gallery:
        rewritten(gallery, lambda found: {min(found): data})
        assert gallery.encrypt() == 6
        assert nearest(gallery, 1) == "Ann"
        assert gallery.check() == []


KILLED = """
    import os, sys
    from arcid.gallery import Gallery, encrypting
    from arcid.gallery.database import Database

    left, encrypting.BATCH = int(sys.argv[2]), 2
    real = Database.write
    def write(own, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return real(own, **options)
    gallery = Gallery.open(sys.argv[1])
    Database.write = write
    gallery.encrypt()
"""


def test_killed_at_any_commit_everybody_is_found_and_the_next_try_goes_on(
    url: str, tmp_path: Path
) -> None:
    of_before(url, tmp_path)
    for step in (0, 1, 2, 4, 6, 40):
        code = [sys.executable, "-c", textwrap.dedent(KILLED), url, str(step)]
        ran = subprocess.run(code, check=False, capture_output=True, env=os.environ)
        assert ran.returncode in (0, -9), ran.stderr
        with Gallery.open(url) as gallery:
            assert [nearest(gallery, i) for i in (1, 2, 11, 22)] == ["Ann", "Ann", "Bea", "Cid"]
            assert gallery.check() == []
    assert ran.returncode == 0
    with Gallery.open(url) as gallery:
        assert gallery.protection()["complete"]


def test_keys_are_changed_while_another_process_searches(url: str, tmp_path: Path) -> None:
    with filled(url) as gallery, Gallery.open(url) as other:
        assert nearest(other, 1) == "Ann"
        root = (tmp_path / "home" / "root.key").read_bytes()
        assert gallery.rotate_keys() == (4, 0)
        assert (tmp_path / "home" / "root.key").read_bytes() != root
        other.drop_indexes()
        for each in (gallery, other):
            assert nearest(each, 11) == "Bea"
        other.enrol("staff", "Dot", [new_face(41)])
        other.create_collection("guests")
        other.enrol("guests", "Eve", [new_face(51)])
    with Gallery.open(url) as again:
        assert nearest(again, 41) == "Dot"
        assert again.search("guests", vector(51), k=1)[0][0].name == "Eve"


def test_stolen_keys_open_nothing_of_a_gallery_whose_data_keys_were_changed(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = tmp_path / "thief"
    thief.mkdir()
    store = tmp_path / "keys" / "store"
    with filled(url) as gallery, Gallery.open(url) as running:
        running.enrol("staff", "Dot", [new_face(41)])  # more of its keys are ready
        for file in (store, tmp_path / "home" / "root.key"):
            shutil.copy2(file, thief)
        assert gallery.rotate_keys(data=True).people == 4
        running.enrol("staff", "Eve", [new_face(51)])
        assert [nearest(gallery, i) for i in (1, 11, 21)] == ["Ann", "Bea", "Cid"]
        assert gallery.check() == []
        with gallery.database.read() as connection:
            used = connection.execute(sa.select(schema.people.c.key_id)).scalars().all()
    with monkeypatch.context() as stolen:
        stolen.setenv("ARCID_HOME", str(thief))
        stolen.setenv(keystore.SETTING, str(thief / "store"))
        with Gallery.open(url) as gallery, pytest.raises(KeyUnavailable, match="it is older"):
            assert gallery.database.vault.store.data_keys(used) == []
            nearest(gallery, 1)
    with Gallery.open(url) as gallery:
        assert nearest(gallery, 1) == "Ann"
        assert gallery.rotate_keys(data=True).people == 5, "and once more"
        assert nearest(gallery, 1) == "Ann"


RESEALED = KILLED.replace("encrypting.BATCH = ", "resealing.BATCH = ").replace(
    "import Gallery, encrypting", "import Gallery, resealing"
).replace("gallery.encrypt()", "gallery.rotate_keys(data=True)")  # fmt: skip


def test_killed_while_data_keys_change_everybody_is_found_and_the_next_try_goes_on(
    url: str, tmp_path: Path
) -> None:
    filled(url).close()
    for step in (0, 1, 2, 3, 4, 40):
        code = [sys.executable, "-c", textwrap.dedent(RESEALED), url, str(step)]
        ran = subprocess.run(code, check=False, capture_output=True, env=os.environ)
        assert ran.returncode in (0, -9), ran.stderr
        with Gallery.open(url) as gallery:
            assert [nearest(gallery, i) for i in (1, 2, 11, 22)] == ["Ann", "Ann", "Bea", "Cid"]
            assert gallery.check() == []
    assert ran.returncode == 0


def test_a_backup_from_before_data_keys_changed_opens_and_brings_no_erased_back(
    url: str, backup: Backup
) -> None:
    filled(url).close()
    backup.take()
    with Gallery.open(url) as gallery:
        gallery.rotate_keys(data=True)
        gallery.delete_person("staff", id_of(gallery, "Ann"))
    backup.put_back()
    with Gallery.open(url) as gallery:
        assert gallery.find_person("staff", "Ann") is None
        assert [nearest(gallery, i) for i in (11, 22)] == ["Bea", "Cid"]


def keys(gallery: Gallery, name: str) -> set[int]:
    """Of a person, those of before too."""
    own = sa.select(schema.people.c.id, schema.people.c.key_id).where(schema.people.c.name == name)
    with gallery.database.read() as connection:
        person, key = connection.execute(own).one()
        more = sa.select(schema.inherited.c.key_id).where(schema.inherited.c.person_id == person)
        return {key, *connection.execute(more).scalars()}


def test_who_became_part_of_somebody_parted_again_is_erased_with_them(url: str) -> None:
    with filled(url) as gallery:
        ann, bea, cid = (id_of(gallery, name) for name in ("Ann", "Bea", "Cid"))
        of_both = keys(gallery, "Ann") | keys(gallery, "Bea")
        gallery.merge_people("staff", ann, bea, reversible=True)
        gallery.merge_people("staff", cid, ann, reversible=True)
        newest, _ = gallery.merges("staff")
        gallery.unmerge("staff", newest.id)
        assert len(gallery.merges("staff", ann)) == 1 and not keys(gallery, "Cid") & of_both
        gallery.delete_person("staff", ann)
        assert gallery.merges("staff") == []
        assert gallery.database.vault.store.data_keys(of_both) == []
        assert names(gallery) == {"Cid"} and nearest(gallery, 22) == "Cid"


def test_keys_from_before_follow_whoever_they_were_of_through_merges(url: str) -> None:
    with filled(url) as gallery:
        gallery.rotate_keys(data=True)
        ann, bea = (id_of(gallery, name) for name in ("Ann", "Bea"))
        of_bea = keys(gallery, "Bea")
        gallery.merge_people("staff", ann, bea, reversible=True)
        assert keys(gallery, "Ann") >= of_bea and len(of_bea) == 2
        gallery.rotate_keys(data=True)
        gallery.unmerge("staff", gallery.merges("staff")[0].id)
        assert keys(gallery, "Bea") > of_bea and not keys(gallery, "Ann") & of_bea
        every = keys(gallery, "Bea")
        gallery.delete_person("staff", bea)
        vault = gallery.database.vault
        assert vault.store.data_keys(every) == []
        assert len(vault.store.data_keys(keys(gallery, "Ann"))) == 3
        assert [nearest(gallery, i) for i in (1, 22)] == ["Ann", "Cid"]


# what people wrote

WRITTEN = {"needle-reason", "needle-step", "needle-pair", "needle-case"}


def written(gallery: Gallery) -> None:
    """A reason, and notes on an alert, a pair and an onboarding, of Ann and Bea."""
    own, ann = Watchlists(gallery), id_of(gallery, "Ann")
    at = datetime.now(UTC)
    terms = Terms(
        purpose="bans", legal_basis="house right", owner="op", expires_at=at + timedelta(days=90)
    )
    banned = own.create("Banned", "staff", terms, actor="op")
    own.add(banned.id, ann, actor="op", reason="needle-reason")
    seen = Seen(
        banned.id, ann, level="alert", place=Place("door", "door"), at=at, until=at, mark="1,2,3,4",
        grounds={}, vector=vector(2), crop=crop(2),
    )  # fmt: skip
    alert = Alerts(gallery).raise_(seen)
    assert alert is not None
    Alerts(gallery).answer(alert.id, "acknowledge", actor="op", note="needle-step")
    twins = Duplicates(gallery)
    same = Embeddings(vector(61).vectors, ruler().contract_id)
    for name in ("Ann", "Bea"):
        gallery.add_faces("staff", id_of(gallery, name), [NewFace(same, f"twin of {name}")])
    work(gallery, "staff", twins.runs.begin("staff", ruler(), actor="op").id, ruler())
    (pair,) = twins.every("staff")
    twins.answer("staff", pair.id, "unsure", actor="op", note="needle-pair")
    session, _ = Cases(gallery).start("staff")
    with journal.writing(gallery.database) as log:
        row = onboarding.find(log.connection, session.id)
        onboarding.answer(log.connection, row, "review", "op", "needle-case", log.now)


def read_back(gallery: Gallery) -> set[str]:
    found = {member.reason for member in Watchlists(gallery).members("Banned")}
    for alert in Alerts(gallery).find():
        found |= {step.note for step in alert.steps}
    found |= {answer.note for answer in Duplicates(gallery).answers("staff")}
    for case in Cases(gallery).find("staff", states=("started",)):
        found |= {answer.note for answer in case.answers}
    return found


def texts(gallery: Gallery) -> str:
    """Every column of text as it is stored."""
    found = []
    with gallery.database.read() as connection:
        for table in schema.metadata.sorted_tables:
            for row in connection.execute(sa.select(table)):
                found += [value for value in row if isinstance(value, str)]
    return "\n".join(found)


def test_what_people_wrote_is_sealed_and_goes_where_merges_go(url: str) -> None:
    with filled(url) as gallery:
        written(gallery)
        assert read_back(gallery) == WRITTEN
        assert "needle" not in texts(gallery)
        gallery.merge_people("staff", id_of(gallery, "Bea"), id_of(gallery, "Ann"), reversible=True)
        assert read_back(gallery) == WRITTEN
        (merge,) = gallery.merges("staff")
        gallery.unmerge("staff", merge.id)
        assert read_back(gallery) == WRITTEN
        with gallery.database.read() as connection:
            stored = connection.execute(sa.select(answers.c.note)).scalars()
            keys = set(sealed.keys_of(stored))
        gallery.delete_person("staff", id_of(gallery, "Ann"))
        assert read_back(gallery) == {"needle-case"}
        assert keys and keys <= set(gallery.database.vault.destroyed(0).keys)


READERS: dict[str, Callable[[Gallery, str], Iterable[Any]]] = {
    "members": lambda g, event: Watchlists(g).members("Banned"),
    "alerts": lambda g, event: Alerts(g).find(),
    "answers": lambda g, event: Duplicates(g).answers("staff"),
    "cases": lambda g, event: Cases(g).find("staff"),
    "history": lambda g, event: Events(g).history("staff", event),
    "unknown": lambda g, event: Events(g).unknown("staff", CONTRACT),
    "blocked": lambda g, event: Events(g).blocked("staff", CONTRACT),
}


@pytest.mark.parametrize("name", READERS)
def test_a_read_that_meets_who_is_erased_meanwhile_begins_anew(url: str, name: str) -> None:
    with filled(url) as gallery:
        written(gallery)
        at, door = datetime.now(UTC), Place("door", "door")
        (seen,) = Sightings(gallery).visitor(
            "staff", door, at, at, "mark", cooldown_s=60, alike=0.9, grounds={}, vector=vector(82)
        )
        events = Events(gallery)
        events.correct("staff", seen.id, "retime", actor="op", note="needle", at=at)
        (alert,) = Alerts(gallery).find()
        Alerts(gallery).answer(alert.id, "dismiss", actor="op", note="needle-step")
    with Gallery.open(url) as gallery, Gallery.open(url) as other:
        real = gallery.database.vault.unseal
        met: list[int] = []

        def unseal(value: bytes, where: bytes) -> bytes:
            if not met:  # the read has begun, and nothing of it was opened
                met.append(1)
                other.delete_collection("staff")
                other.create_collection("staff")
            return real(value, where)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gallery.database.vault, "unseal", unseal)
            read = READERS[name]
            if name in ("members", "history"):
                with pytest.raises(NotFound):
                    read(gallery, seen.id)
            else:
                assert list(read(gallery, seen.id)) == []
        assert met


def test_what_was_written_before_is_sealed_with_the_rest(url: str) -> None:
    with filled(url) as gallery:
        gallery.delete_collection("staff")
        leave_unsealed(gallery)
        gallery.create_collection("staff")
        for i, name in enumerate(["Ann", "Bea"]):
            gallery.enrol("staff", name, [new_face(i)])
        written(gallery)
        assert all(needle in texts(gallery) for needle in WRITTEN)
        gallery.encrypt()
        assert read_back(gallery) == WRITTEN
        assert "needle" not in texts(gallery)


def test_a_forgotten_onboarding_stays_so(url: str, backup: Backup) -> None:
    with filled(url) as gallery:
        written(gallery)
    backup.take()
    with Gallery.open(url) as gallery:
        (case,) = Cases(gallery).find("staff", states=("started",))
        Cases(gallery).forget(case.id)
    backup.put_back()
    with Gallery.open(url) as gallery:
        assert list(Cases(gallery).find("staff", states=("started",))) == []
        assert read_back(gallery) == WRITTEN - {"needle-case"}


# the byte hunt

LIVED = """
    import os, sys
    from datetime import UTC, datetime
    from tests.contracts.test_gallery_protection import crop, filled, id_of, nearest, vector
    from arcid.events import Events, Place, Sightings

    gallery = filled(sys.argv[1], 7000)  # a server keeps those of other tests in its log
    assert nearest(gallery, 7001) == "Ann"
    at, ann = datetime(2026, 3, 1, 8, 0, tzinfo=UTC), id_of(gallery, "Ann")
    door, events, sightings = Place("door", "door"), Events(gallery), Sightings(gallery)
    (seen,) = sightings.person("staff", door, ann, at, cooldown_s=60, grounds={},
                               vector=vector(7081), crop=crop(7081))
    events.correct("staff", seen.id, "retime", actor="op", note="needle-note", at=at)
    assert "needle-note" in [event.note for event in events.history("staff", seen.id)]
    (unknown,) = sightings.visitor("staff", door, at, at, "mark", cooldown_s=60, alike=0.9,
                                   grounds={}, vector=vector(7082), crop=crop(7082))
    print("lived", flush=True)
    os.kill(os.getpid(), 9)
"""


def everything(url: str, tmp_path: Path) -> bytes:
    """Every file of the test, read by another process; of PostgreSQL its tables and its log."""
    files = [str(file) for file in tmp_path.rglob("*") if file.is_file()]
    read = subprocess.run(["cat", *files], check=True, capture_output=True).stdout
    if "://" in url:
        with Gallery.open(url) as gallery, gallery.database._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("CHECKPOINT")
            folder = Path(connection.exec_driver_sql("SHOW data_directory").scalar_one())
            number = connection.exec_driver_sql(
                "SELECT oid FROM pg_database WHERE datname = current_database()"
            ).scalar_one()
        for place in (folder / "base" / str(number), folder / "pg_wal"):
            read += b"".join(file.read_bytes() for file in place.rglob("*") if file.is_file())
    return read


def test_no_file_ever_holds_a_face_or_a_note_in_the_clear(url: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIVED), url], check=False, capture_output=True,
        text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ran.stdout == "lived\n", ran.stderr[-2000:]
    needles = [part(i) for i in (7001, 7002, 7011, 7081, 7082)] + [
        pixels(i) for i in (7001, 7002, 7081, 7082)
    ]
    needles.append(b"needle-note")
    left = everything(url, tmp_path)
    assert b"Ann" in left
    assert not any(needle in left for needle in needles)
    with Gallery.open(url) as gallery:
        assert nearest(gallery, 7001) == "Ann"
        gallery.delete_person("staff", id_of(gallery, "Ann"))
        assert gallery.check() == []
    left = everything(url, tmp_path)
    assert not any(needle in left for needle in needles)
    assert "://" in url or b"Ann" not in left
