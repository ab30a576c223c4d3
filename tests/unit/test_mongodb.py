"""People in MongoDB. ``mongomock`` has pymongo's interface and no server behind it; change streams,
which it lacks, are a list of events in the shape that MongoDB documents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from arcid.apps import mongodb
from arcid.errors import CollectionNotFound, GalleryBusy, InputError, MissingExtra, UsageError
from arcid.gallery import Gallery, NewFace
from arcid.types import Embeddings

mongomock = pytest.importorskip("mongomock", reason="pip install mongomock")
bson = pytest.importorskip("bson", reason="pip install arcid[mongodb]")


@pytest.fixture
def documents() -> mongodb.Documents:
    return mongodb.Documents(mongomock.MongoClient().hr.staff)


@pytest.fixture
def gallery(fresh: Path) -> Iterator[Gallery]:
    with Gallery.open(fresh) as opened:
        opened.create_collection("staff")
        yield opened


def test_documents_become_people_again_and_again(
    gallery: Gallery, documents: mongodb.Documents
) -> None:
    started = datetime(2026, 3, 1, tzinfo=UTC)
    number = bson.ObjectId()
    documents.people.insert_many(
        [
            {"_id": number, "name": "Ada", "site": "Berlin", "since": started,
             "badges": [{"id": bson.ObjectId()}]},
            {"_id": 7, "name": "Grace"},
            {"_id": 8, "name": "grace"},
            {"_id": 9, "title": "nobody"},
        ]
    )  # fmt: skip
    done = mongodb.fetch(gallery, "staff", documents)
    assert (done.written, set(done.refused)) == (2, {"8", "9"})
    assert "no name" in done.refused["9"]
    ada = gallery.person_with("staff", str(number))
    assert ada is not None
    assert (ada.name, ada.metadata["site"], ada.metadata["since"][:10]) == (
        "Ada", "Berlin", "2026-03-01",
    )  # fmt: skip
    assert isinstance(ada.metadata["badges"][0]["id"], str)
    before = gallery.last_change()
    mongodb.fetch(gallery, "staff", documents)
    assert gallery.last_change() == before
    documents.people.update_one({"_id": 7}, {"$set": {"name": "Grace Hopper"}})
    mongodb.fetch(gallery, "staff", documents)
    assert gallery.person_with("staff", "7").name == "Grace Hopper"
    documents.people.delete_one({"_id": 7})
    mongodb.fetch(gallery, "staff", documents)
    assert gallery.person_with("staff", "7") is not None
    with pytest.raises(CollectionNotFound):
        mongodb.fetch(gallery, "visitors", documents)


def test_people_become_documents_and_go_with_them(
    gallery: Gallery, documents: mongodb.Documents
) -> None:
    ada = gallery.put_person("staff", "1", "Ada", metadata={"site": "Berlin"})
    grace = gallery.put_person("staff", "2", "Grace")
    gallery.create_collection("visitors")
    gallery.put_person("visitors", "1", "Somebody")
    documents.people.insert_one({"_id": "theirs", "name": "not ours"})
    assert mongodb.write(gallery, "staff", documents).to_dict()["written"] == 2
    found = documents.people.find_one({"_id": ada.id})
    assert (found["name"], found["external_id"], found["metadata"]) == (
        "Ada", "1", {"site": "Berlin"},
    )  # fmt: skip
    assert set(found) == {
        "_id", "collection_id", "name", "external_id", "metadata", "created_at", "updated_at",
    }  # fmt: skip
    assert mongodb.write(gallery, "staff", documents).written == 0
    gallery.put_person("staff", "1", "Ada Lovelace")
    gallery.put_person("visitors", "2", "Another")
    assert mongodb.write(gallery, "staff", documents).written == 1
    gallery.delete_person("staff", grace.id)
    assert mongodb.write(gallery, "staff", documents).removed == 1
    assert sorted(row["name"] for row in documents.people.find()) == ["Ada Lovelace", "not ours"]


def test_a_writer_that_was_killed_or_is_far_behind_writes_all(
    gallery: Gallery, documents: mongodb.Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [gallery.put_person("staff", str(i), f"p{i}") for i in range(6)]
    mongodb.write(gallery, "staff", documents)
    gallery.put_person("staff", "1", "changed")
    gallery.delete_person("staff", people[2].id)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(documents, "reached", killed)
        mongodb.write(gallery, "staff", documents)
    again = mongodb.write(gallery, "staff", documents)
    assert (again.written, again.removed) == (1, 0)  # the deletion was done before
    gallery.delete_person("staff", people[3].id)
    gallery.prune_changes(0)
    last = mongodb.write(gallery, "staff", documents)
    assert (last.written, last.removed) == (4, 1)
    assert {row["_id"] for row in documents.people.find()} == {
        person.id for person in gallery.people("staff")
    }


class Stream:
    """What ``Collection.watch`` hands out."""

    resume_token: ClassVar[dict[str, str]] = {"_data": "begun"}

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._events = events

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None: ...

    @property
    def alive(self) -> bool:
        return bool(self._events)

    def try_next(self) -> dict[str, Any] | None:
        return self._events.pop(0) if self._events else None


class Watched(mongodb.Documents):
    """Documents whose events are given: those after a token, as MongoDB resumes."""

    def __init__(self, people: Any, events: list[dict[str, Any]]) -> None:
        super().__init__(people)
        self.events = events
        self.asked: list[dict[str, Any]] = []
        self.people = self

    def find(self, *query: Any) -> Any:
        return mongomock.MongoClient().hr.staff.find()

    def watch(self, **how: Any) -> Stream:
        self.asked.append(how)
        tokens = [event["_id"] for event in self.events]
        after = how.get("resume_after")
        start = tokens.index(after) + 1 if after in tokens else 0
        return Stream([] if after is None else self.events[start:])


def event(number: int, kind: str, uid: int, **more: Any) -> dict[str, Any]:
    key = {"_id": {"_data": str(number)}, "operationType": kind, "documentKey": {"_id": uid}}
    return key | more


@pytest.mark.parametrize("erase", [False, True])
def test_what_changes_there_is_followed_and_gone_on_with(gallery: Gallery, erase: bool) -> None:
    events = [
        event(1, "insert", 1, fullDocument={"_id": 1, "name": "Ada"}),
        event(2, "update", 1, fullDocument={"_id": 1, "name": "Ada L.", "site": "Berlin"}),
        event(3, "update", 2, fullDocument=None),  # deleted since
        event(4, "insert", 3, fullDocument={"_id": 3}),
        event(5, "delete", 1),
        event(6, "delete", 99),
    ]
    there = Watched(mongomock.MongoClient().hr.staff, events)
    done = mongodb.follow(gallery, "staff", there, erase=erase)
    assert (done.written, set(done.refused)) == (2, {"3"})
    assert (done.removed, done.kept) == ((1, 0) if erase else (0, 1))
    assert (gallery.person_with("staff", "1") is None) == erase
    events.append(event(7, "insert", 4, fullDocument={"_id": 4, "name": "Grace"}))
    again = mongodb.follow(gallery, "staff", there, erase=erase)
    assert (again.written, again.removed, again.kept) == (1, 0, 0)
    assert there.asked[-1]["resume_after"] == {"_data": "6"}
    events.append(event(8, "drop", 0))
    with pytest.raises(InputError, match="as a whole"):
        mongodb.follow(gallery, "staff", there)


def test_a_change_that_cannot_be_stored_now_is_not_passed_over(
    gallery: Gallery, fresh: Path
) -> None:
    events = [event(1, "insert", 1, fullDocument={"_id": 1, "name": "Ada"})]
    there = Watched(mongomock.MongoClient().hr.staff, events)
    hurried = Gallery.open(fresh, busy_s=0.05)
    with hurried, gallery.database.write(), pytest.raises(GalleryBusy):
        mongodb.follow(hurried, "staff", there)
    assert mongodb.follow(gallery, "staff", there).written == 1
    assert gallery.person_with("staff", "1") is not None


def test_erasing_takes_faces_too(gallery: Gallery) -> None:
    vector = np.eye(1, 8, dtype=np.float32)
    person = gallery.put_person("staff", "1", "Ada")
    gallery.add_faces("staff", person.id, [NewFace(Embeddings(vector, "c" * 64))])
    there = Watched(mongomock.MongoClient().hr.staff, [event(1, "delete", 1)])
    mongodb.follow(gallery, "staff", there, erase=True)
    assert gallery.collection("staff").faces == 0


def test_the_commands_say_what_they_need(
    cli: Any, monkeypatch: pytest.MonkeyPatch, gallery: Gallery
) -> None:
    place = ("--collection", "staff", "--database", gallery.url)
    monkeypatch.delenv(mongodb.SETTING, raising=False)
    with pytest.raises(UsageError, match=r"DATABASE\.COLLECTION"), mongodb.connected("staff"):
        pass
    assert "ARCID_MONGODB_URL" in cli("import", "mongodb", "hr.staff", *place).err
    assert "--follow" in cli("import", "mongodb", "hr.staff", "--erase", *place).err
    monkeypatch.setenv(
        mongodb.SETTING, "mongodb://x:sesame@127.0.0.1:9/?serverSelectionTimeoutMS=1"
    )
    monkeypatch.setattr("pymongo.MongoClient", mongomock.MongoClient)
    gallery.put_person("staff", "1", "Ada")
    told = cli("gallery", "mongodb", "arcid.people", *place)
    assert told.code == 0, told.err
    assert "1 documents written, 0 deleted" in told.out
    assert cli("import", "mongodb", "arcid.other", *place).code == 0


def test_a_server_that_is_gone_is_told_without_its_password(
    cli: Any, monkeypatch: pytest.MonkeyPatch, gallery: Gallery
) -> None:
    pytest.importorskip("pymongo")
    monkeypatch.setattr(mongodb, "WAIT_MS", 100)
    monkeypatch.setenv(mongodb.SETTING, "mongodb://x:sesame@127.0.0.1:9")
    told = cli("gallery", "mongodb", "a.b", "--collection", "staff", "--database", gallery.url)
    assert told.code != 0
    assert "MongoDB does not do as asked" in " ".join(told.err.split())
    assert "sesame" not in told.err + told.out


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mongodb.SETTING, "mongodb://127.0.0.1")
    monkeypatch.setitem(__import__("sys").modules, "pymongo", None)
    with pytest.raises(MissingExtra, match="mongodb"), mongodb.connected("a.b"):
        pass
