"""The audit: written with what it speaks of, kept for ever, and every row checked as a chain."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from arcid.errors import CollectionNotFound, InputError
from arcid.events import Audit, Events, acting, audit
from arcid.gallery import Gallery, NewFace
from arcid.gallery.schema import audit as rows
from arcid.gallery.schema import gallery as counter
from arcid.gallery.store.audit import digest
from arcid.types import Embeddings


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        yield gallery


def enrol(gallery: Gallery, name: str, *seeds: int) -> tuple[str, list[str]]:
    made = [np.random.default_rng(seed).standard_normal((1, 32)) for seed in seeds]
    faces = [
        NewFace(Embeddings.normalised(raw, "c" * 64), photo_id=f"{name}{seed}")
        for raw, seed in zip(made, seeds, strict=True)
    ]
    person, stored = gallery.enrol("staff", name, faces)
    return person.id, [face.id for face in stored]


def verbs(gallery: Gallery) -> list[str]:
    return [entry.verb for entry in Audit(gallery).find()]


# what is written


def test_several_rows_are_chained_as_one_by_one_and_asked_for_in_three_statements(
    gallery: Gallery,
) -> None:
    book, asked = Audit(gallery), []
    book.record(verb="list.view", subject="list:0")
    with gallery.database.write() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *a: asked.append(a[2]))
        told = [audit.Told("list.view", f"list:{n}", "key:1", details={"n": n}) for n in (1, 2, 3)]
        added = audit.append_all(connection, told)
        assert len(asked) <= 3
        assert audit.append_all(connection, []) == []
        with pytest.raises(InputError):
            audit.append_all(connection, [told[0], audit.Told("No verb", "list:4")])
    assert [row["seq"] for row in added] == [2, 3, 4]
    assert [(e.subject, e.actor, e.details) for e in book.find(limit=3)] == [
        (f"list:{n}", "key:1", {"n": n}) for n in (3, 2, 1)
    ]
    assert book.verify().rows == 4 and book.verify().first_wrong is None


def test_rows_say_who_what_and_when_and_are_found_by_each(gallery: Gallery) -> None:
    book, began = Audit(gallery), datetime.now(UTC)
    with acting("account:1"):
        book.record(verb="list.view", subject="list:a", collection="staff", reason="shift",
                    details={"n": 1, "é": [0.25, None]})  # fmt: skip
        book.record(verb="lists.view", subject="list:b")
    book.record(verb="list.view.all", subject="list:a", actor="key:1f8e22aa")
    assert [entry.seq for entry in book.find()] == [3, 2, 1]
    (first,) = book.find(collection="staff")
    assert (first.actor, first.reason, first.details) == (
        "account:1", "shift", {"n": 1, "é": [0.25, None]},
    )  # fmt: skip
    assert began <= first.at <= datetime.now(UTC)
    assert [e.seq for e in book.find(verb="list")] == [3, 1]
    assert [e.seq for e in book.find(subject="list:a", actor="account:1")] == [1]
    assert [e.seq for e in book.find(since=began, until=began)] == []
    assert len(book.find(until=datetime.now(UTC) + timedelta(seconds=1))) == 3
    page = book.find(limit=2)
    assert [e.seq for e in book.find(limit=2, after=page.next)] == [1]
    with pytest.raises(CollectionNotFound):
        book.find(collection="nowhere")


@pytest.mark.parametrize(
    "wrong",
    [
        {"verb": "Ann did it"},
        {"verb": ""},
        {"subject": ""},
        {"subject": "x" * 201},
        {"actor": ""},
        {"reason": "a\0b"},
        {"reason": "\ud800"},
        {"details": {"vector": float("nan")}},
        {"details": {"blob": "x" * 20_000}},
    ],
)
def test_what_no_row_may_hold(gallery: Gallery, wrong: dict[str, Any]) -> None:
    values: dict[str, Any] = {"verb": "list.view", "subject": "list:a"} | wrong
    with pytest.raises(InputError):
        Audit(gallery).record(**values)
    assert Audit(gallery).verify().rows == 0


def test_deletions_merges_and_moves_are_written_with_them_and_outlive_them(
    gallery: Gallery,
) -> None:
    ann, faces = enrol(gallery, "Ann", 1, 2, 3)
    ben, _ = enrol(gallery, "Ben", 4)
    with acting("account:7"):
        gallery.delete_face("staff", faces[0])
        gallery.move_face("staff", faces[1], ben)
        gallery.merge_people("staff", ben, ann)
        gallery.delete_person("staff", ben)
        collection = gallery.collection("staff").id
        gallery.delete_collection("staff")
    found = Audit(gallery).find(collection=collection)
    told = [{k: v for k, v in e.details.items() if k not in ("receipt", "sha256")} for e in found]
    assert [(e.verb, e.subject, d) for e, d in zip(found[::-1], told[::-1], strict=True)] == [
        ("face.delete", f"face:{faces[0]}", {"person": ann}),
        ("face.move", f"face:{faces[1]}", {"to": ben}),
        ("person.merge", f"person:{ben}", {"other": ann}),
        ("person.delete", f"person:{ben}", {"faces": 3}),
        ("collection.delete", f"collection:{collection}", {}),
    ]
    assert {e.actor for e in found} == {"account:7"}
    with gallery.database.read() as connection:
        kept = str(connection.execute(sa.select(rows)).all())
    assert "Ann" not in kept and "Ben" not in kept


def test_vectors_and_pictures_that_are_dropped_are_counted(gallery: Gallery) -> None:
    _, faces = enrol(gallery, "Ann", 1, 2)
    gallery.update_collection("staff", keep_crops=False)
    assert verbs(gallery) == []  # there were none
    gallery.update_collection("staff", keep_crops=True)
    pictured = np.zeros((16, 16, 3), np.uint8)
    shown = NewFace(Embeddings.normalised(np.ones((1, 32)), "c" * 64), crop=pictured)
    gallery.enrol("staff", "Ben", [shown])
    gallery.update_collection("staff", keep_crops=False)
    (row,) = Audit(gallery).find()
    assert (row.verb, row.details) == ("collection.drop_crops", {"crops": 1})
    (contract,) = (usage.contract_id for usage in gallery.contracts("staff"))
    gallery.drop_contract("staff", contract, force=True)
    (row,) = Audit(gallery).find(verb="collection.drop_contract")
    assert row.subject == f"collection:{gallery.collection('staff').id}"
    assert row.details == {"contract": contract, "vectors": 3, "faces": len(faces) + 1}


def test_what_is_undone_leaves_no_row(gallery: Gallery) -> None:
    with pytest.raises(RuntimeError), gallery.database.write() as connection:
        audit.append(connection, verb="list.view", subject="list:a")
        raise RuntimeError
    assert verbs(gallery) == []
    with gallery.database.write() as connection:
        audit.append(connection, verb="list.view", subject="list:a")
    assert Audit(gallery).verify().problem is None


def test_writers_at_once_make_one_chain(gallery: Gallery, database_url: str) -> None:
    other = Gallery.open(database_url)

    def write(on: Gallery, number: int) -> None:
        with acting(f"account:{number}"):
            for _ in range(10):
                Audit(on).record(verb="face.view", subject="face:a")

    threads = [
        threading.Thread(target=write, args=(on, number))
        for number, on in enumerate((gallery, other, gallery, other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    done = Audit(gallery).verify()
    assert (done.rows, done.problem) == (40, None)
    assert all(len(Audit(gallery).find(actor=f"account:{n}")) == 10 for n in range(4))


def test_processes_at_once_make_one_chain(gallery: Gallery, database_url: str) -> None:
    code = (
        "import sys; from arcid.events import Audit; from arcid.gallery import Gallery\n"
        "with Gallery.open(sys.argv[1]) as gallery:\n"
        "    print('ready', flush=True)\n"
        "    while sys.stdin.readline():\n"
        "        Audit(gallery).record(verb='face.view', subject='face:a', actor=sys.argv[2])\n"
        "        print('done', flush=True)\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, database_url, f"os:{number}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    for one in running:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    for _ in range(40):  # each time both start before either is awaited
        for one in running:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        for one in running:
            assert one.stdout is not None and one.stdout.readline() == "done\n"
    for one in running:
        one.communicate(timeout=60)
    assert [one.returncode for one in running] == [0, 0]
    done = Audit(gallery).verify()
    assert (done.rows, done.problem) == (80, None)
    by = [entry.actor for entry in Audit(gallery).find()]
    assert {by.count("os:0"), by.count("os:1")} == {40}


# the chain


def test_the_digest_is_what_is_documented(gallery: Gallery) -> None:
    Audit(gallery).record(verb="list.view", subject="list:ä", details={"b": 1, "a": "ö"})
    with gallery.database.read() as connection:
        row = connection.execute(sa.select(rows)).mappings().one()
    text = (
        f'["{"0" * 64}",1,{row["at"]},"library","list.view","list:\\u00e4",null,"",'
        '"{\\"a\\":\\"\\\\u00f6\\",\\"b\\":1}"]'
    )
    assert hashlib.sha256(text.encode()).hexdigest() == row["digest"]
    assert json.loads(text)[8] == row["details"]


def again(row: sa.RowMapping, **values: object) -> dict[str, object]:
    """As somebody writes a row who knows how the digest is made."""
    made = dict(row) | values
    return made | {"digest": digest(made)}


def alter(connection: sa.Connection) -> None:
    connection.execute(rows.update().where(rows.c.seq == 3).values(actor="account:2"))


def alter_details(connection: sa.Connection) -> None:
    connection.execute(rows.update().where(rows.c.seq == 3).values(details='{"n":9}'))


def alter_and_seal(connection: sa.Connection) -> None:
    row = connection.execute(sa.select(rows).where(rows.c.seq == 3)).mappings().one()
    values = again(row, actor="account:2")
    connection.execute(rows.update().where(rows.c.seq == 3).values(values))


def remove(connection: sa.Connection) -> None:
    connection.execute(rows.delete().where(rows.c.seq == 3))


def remove_first(connection: sa.Connection) -> None:
    connection.execute(rows.delete().where(rows.c.seq == 1))


def remove_last(connection: sa.Connection) -> None:
    connection.execute(rows.delete().where(rows.c.seq == 5))


def remove_and_close_up(connection: sa.Connection) -> None:
    remove(connection)
    for seq in (4, 5):
        connection.execute(rows.update().where(rows.c.seq == seq).values(seq=seq - 1))


def reorder(connection: sa.Connection) -> None:
    for old, new in ((3, 99), (4, 3), (99, 4)):
        connection.execute(rows.update().where(rows.c.seq == old).values(seq=new))


def add(connection: sa.Connection) -> None:
    row = connection.execute(sa.select(rows).where(rows.c.seq == 5)).mappings().one()
    connection.execute(rows.insert().values(again(row, seq=6, previous=row["digest"])))


def write_last_anew(connection: sa.Connection) -> None:
    row = connection.execute(sa.select(rows).where(rows.c.seq == 5)).mappings().one()
    values = again(row, actor="account:2")
    connection.execute(rows.update().where(rows.c.seq == 5).values(values))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (alter, 3),
        (alter_details, 3),
        (alter_and_seal, 3),
        (remove, 3),
        (remove_first, 1),
        (remove_last, 5),
        (remove_and_close_up, 3),
        (reorder, 3),
        (add, 6),
        (write_last_anew, 5),
    ],
)
def test_the_first_row_that_is_not_as_written_is_named(
    gallery: Gallery, change: Callable[[sa.Connection], None], wrong: int
) -> None:
    book = Audit(gallery)
    for number in range(5):
        book.record(verb="face.view", subject=f"face:{number}", details={"n": number})
    whole = book.verify()
    assert (whole.rows, whole.problem) == (5, None)
    with gallery.database.read() as connection:
        assert whole.digest == connection.execute(sa.select(counter.c.audit_digest)).scalar_one()
    with gallery.database.write() as connection:
        change(connection)
    found = book.verify()
    assert found.first_wrong == wrong
    assert found.problem is not None and f"row {wrong} " in found.problem


def test_rows_keep_no_collection_from_being_deleted(gallery: Gallery) -> None:
    """The audit refers to nothing, so nothing holds it and it holds nothing."""
    Audit(gallery).record(verb="list.view", subject="list:a", collection="staff")
    gallery.delete_collection("staff")
    assert verbs(gallery) == ["collection.delete", "list.view"]
    with pytest.raises(CollectionNotFound):
        Events(gallery).find("staff")
