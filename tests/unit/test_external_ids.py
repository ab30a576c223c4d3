"""People by what another system calls them, and by what their metadata says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from arcid.errors import AlreadyExists, GalleryDamaged, InputError
from arcid.gallery import Gallery, NewFace
from arcid.gallery.rules import where_of
from arcid.gallery.schema import people
from arcid.types import Embeddings

CONTRACT = "c" * 8


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        yield gallery


def vectors(count: int, seed: int = 0) -> Embeddings:
    raw = np.random.default_rng(seed).standard_normal((count, 16))
    return Embeddings.normalised(raw, CONTRACT)


def test_an_external_id_is_one_persons(gallery: Gallery) -> None:
    ann = gallery.add_person("staff", "Ann", external_id=" HR-1 ")
    assert ann.external_id == "HR-1" and ann.to_dict()["external_id"] == "HR-1"
    assert gallery.person_with("staff", "HR-1") == ann
    assert gallery.person_with("staff", "hr-1") is None, "case matters"
    with pytest.raises(AlreadyExists) as refused:
        gallery.add_person("staff", "Ben", external_id="HR-1")
    assert refused.value.details["person_id"] == ann.id
    ben = gallery.add_person("staff", "Ben")
    assert gallery.add_person("staff", "Cleo").external_id is None, "many have none"
    with pytest.raises(AlreadyExists):
        gallery.update_person("staff", ben.id, external_id="HR-1")
    assert gallery.update_person("staff", ben.id, external_id="HR-2").external_id == "HR-2"
    assert gallery.update_person("staff", ben.id, name="Benno").external_id == "HR-2"
    assert gallery.update_person("staff", ben.id, external_id="").external_id is None
    gallery.create_collection("guests")
    assert gallery.add_person("guests", "Ann", external_id="HR-1").external_id == "HR-1"
    with pytest.raises(InputError):
        gallery.add_person("staff", "Dora", external_id="a\nb")


def test_somebody_fresh_is_nobody_who_is_there(gallery: Gallery) -> None:
    new = [NewFace(vectors(1))]
    ann = gallery.enrol_images("staff", new, name="Ann", external_id="7", fresh=True).person
    for whose in ({"name": "Bea", "external_id": "7"}, {"name": "ann"}):
        with pytest.raises(AlreadyExists) as refused:
            gallery.enrol_images("staff", [NewFace(vectors(1, 1))], fresh=True, **whose)
        assert refused.value.details["person_id"] == ann.id
    assert gallery.everybody("staff") and list(gallery.everybody("staff")) == [ann]


def test_putting_somebody_twice_changes_nothing(gallery: Gallery) -> None:
    first = gallery.put_person("staff", "7", "Ann", metadata={"site": "Berlin"})
    before = gallery.last_change()
    assert gallery.put_person("staff", "7", "Ann", metadata={"site": "Berlin"}) == first
    assert gallery.put_person("staff", "7", " Ann ") == first
    assert gallery.last_change() == before
    renamed = gallery.put_person("staff", "7", "Ann B", metadata={})
    assert (renamed.id, renamed.name, renamed.metadata) == (first.id, "Ann B", {})
    with pytest.raises(AlreadyExists):
        gallery.put_person("staff", "8", "ann b")


def test_faces_are_enrolled_under_it(gallery: Gallery) -> None:
    rows = vectors(3)
    made = gallery.enrol_images("staff", [NewFace(rows[0])], name="Ann", external_id="7")
    more = gallery.enrol_images("staff", [NewFace(rows[1])], name="Renamed", external_id="7")
    assert more.person.id == made.person.id and more.person.name == "Ann"
    with pytest.raises(AlreadyExists):
        gallery.enrol_images("staff", [NewFace(rows[2])], name="Ann", external_id="8")
    hits = gallery.search("staff", rows[:1], k=1)
    assert hits[0][0].external_id == "7" and hits[0][0].to_dict()["external_id"] == "7"
    nearest = gallery.compare("staff", made.person.id, rows[:1]).nearest
    assert nearest.external_id == "7"


def test_it_comes_back_with_an_undone_merge(gallery: Gallery) -> None:
    rows = vectors(2)
    ann = gallery.enrol_images("staff", [NewFace(rows[0])], name="Ann", external_id="1").person
    ben = gallery.enrol_images("staff", [NewFace(rows[1])], name="Ben", external_id="2").person
    kept = gallery.merge_people("staff", ann.id, ben.id, reversible=True)
    assert kept.external_id == "1" and gallery.person_with("staff", "2") is None
    (merge,) = gallery.merges("staff")
    assert gallery.unmerge("staff", merge.id).other.external_id == "2"


def test_a_changed_external_id_is_noticed(gallery: Gallery) -> None:
    person = gallery.add_person("staff", "Ann", external_id="1")
    for value in ("2", None):
        with gallery.database.write() as connection:
            connection.execute(sa.update(people).values(external_id=value))
        with pytest.raises(GalleryDamaged):
            gallery.person("staff", person.id)


METADATA: dict[str, dict[str, Any]] = {
    "Ann": {"site": "Berlin", "level": 1, "active": True},
    "Ben": {"site": "Berlin", "level": 1.0, "active": False},
    "Cleo": {"site": "berlin", "level": "1", "note": 'says "site":"Berlin"'},
    "Dora": {"home": {"site": "Berlin"}, "level": True, "active": None},
    "Émile": {"naïve": "é/%_\\'\"", "site": None},
    "Finn": {},
}


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({"site": "Berlin"}, ["Ann", "Ben"]),
        ({"site": "Berl"}, []),
        ({"level": 1}, ["Ann", "Ben"]),
        ({"level": 1.0}, ["Ann", "Ben"]),
        ({"level": True}, ["Dora"]),
        ({"level": "1"}, ["Cleo"]),
        ({"active": True}, ["Ann"]),
        ({"active": False}, ["Ben"]),
        ({"active": None}, ["Dora"]),
        ({"site": None}, ["Émile"]),
        ({"naïve": "é/%_\\'\""}, ["Émile"]),
        ({"site": "Berlin", "active": True}, ["Ann"]),
        ({"site": "Berlin", "missing": 1}, []),
    ],
)
def test_metadata_is_compared_exactly(
    gallery: Gallery, where: dict[str, Any], names: list[str]
) -> None:
    for name, metadata in METADATA.items():
        gallery.add_person("staff", name, metadata=metadata)
    assert [person.name for person in gallery.people("staff", where=where)] == names


def test_pages_of_a_filter_are_full_and_miss_nobody(gallery: Gallery) -> None:
    """What the database cannot rule out, and is none, does not shorten a page."""
    for n in range(25):
        held: Any = {"team": "a"} if n % 3 == 0 else {"nested": {"team": "a"}}
        gallery.add_person("staff", f"P{n:02}", metadata=held)
    seen, after = [], None
    while True:
        page = gallery.people("staff", where={"team": "a"}, limit=4, after=after)
        seen.append(len(page))
        after = page.next
        if after is None:
            break
    assert seen == [4, 4, 1]
    assert len(gallery.people("staff", where={"team": "a"}, search="p0")) == 4


def test_a_filtered_search_is_a_search_of_those_alone(gallery: Gallery) -> None:
    rows = vectors(60)
    for n in range(30):
        metadata = {"site": "Berlin" if n % 3 == 0 else "Bern"}
        faces = [NewFace(rows[2 * n]), NewFace(rows[2 * n + 1])]
        gallery.enrol("staff", f"P{n:02}", faces, metadata=metadata)
        if n % 3 == 0:
            gallery.create_collection("berlin") if n == 0 else None
            gallery.enrol("berlin", f"P{n:02}", faces)
    probes = vectors(7, seed=1)
    for aggregate in ("max", "mean"):
        found = gallery.search(
            "staff", probes, k=4, aggregate=aggregate, where={"site": "Berlin"}, photos=[3, 4]
        )
        alone = gallery.search("berlin", probes, k=4, aggregate=aggregate, photos=[3, 4])
        assert found.gallery_size == alone.gallery_size == 20
        assert [[(m.name, m.faces, m.given_to) for m in one] for one in found] == [
            [(m.name, m.faces, m.given_to) for m in one] for one in alone
        ]
        cosines = [[m.cosine for m in one] for one in found]
        assert cosines == [[pytest.approx(m.cosine, abs=1e-6) for m in one] for one in alone]
    nobody = gallery.search("staff", probes, where={"site": "Basel"})
    assert nobody.gallery_size == 0 and list(nobody) == [[]] * 7
    person = gallery.find_person("staff", "P00")
    assert person is not None
    gallery.update_person("staff", person.id, metadata={})
    moved = gallery.search("staff", probes, where={"site": "Berlin"})
    assert moved.gallery_size == 18 and "P00" not in {m.name for one in moved for m in one}


@pytest.mark.parametrize(
    "bad", [{}, {"a": [1]}, {"a": {"b": 1}}, {1: "a"}, {"a": float("nan")},
            {f"k{n}": n for n in range(17)}, {"a": "x" * 20_000}, ["a"]],
)  # fmt: skip
def test_filters_without_meaning(gallery: Gallery, bad: Any) -> None:
    gallery.enrol("staff", "Ann", [NewFace(vectors(1))])
    with pytest.raises(InputError):
        gallery.people("staff", where=bad)
    with pytest.raises(InputError):
        gallery.search("staff", vectors(1), where=bad)


def test_a_filter_is_written_as_text_or_as_a_value() -> None:
    assert where_of(["site=Berlin", "floor:=3", "left:=null", "note= a=b "]) == {
        "site": "Berlin", "floor": 3, "left": None, "note": "a=b",
    }  # fmt: skip
    assert where_of([]) is None
    for wrong in ("Berlin", "=x", "floor:=high", "floor:=[1]", ":=3"):
        with pytest.raises(InputError):
            where_of([wrong])


@pytest.mark.data
def test_the_command_line_knows_external_ids_and_filters(cli: Any, data_dir: Path) -> None:
    pairs = data_dir / "data" / "deepface-pairs"
    first, other = pairs / "img1.jpg", pairs / "img13.jpg"
    site = ("--metadata", "site=Berlin")
    assert cli("enrol", "Ann", first, "--external-id", "HR-1", *site).code == 0
    taken = cli("enrol", "Marc", other, "--external-id", "HR-1")
    assert taken.code != 0 and "Ann's" in taken.err
    assert cli("enrol", "Marc", other, "--metadata", "site=Rome").code == 0
    assert cli("gallery", "external-id", "Marc", "HR-2").code == 0
    assert cli("gallery", "external-id", "Marc", "HR-1").code != 0
    changed = cli("enrol", "Marc", pairs / "img14.jpg", "--external-id", "HR-3")
    assert changed.code != 0 and "HR-2" in changed.err

    def listed(*options: str) -> list[tuple[str, str]]:
        found = cli("gallery", "people", *options, "--json").json["people"]
        return [(one["name"], one["external_id"]) for one in found]

    assert listed() == [("Ann", "HR-1"), ("Marc", "HR-2")]
    assert listed("--where", "site=Rome") == listed("--external-id", "HR-2") == [("Marc", "HR-2")]
    assert (
        listed("--where", "site=Rome", "--where", "floor:=3") == listed("--external-id", "x") == []
    )

    everybody = cli("search", pairs / "img2.jpg", "--json")
    assert everybody.json["faces"][0]["candidates"][0]["name"] == "Ann"
    assert everybody.json["faces"][0]["decision"]["gallery_size"] == 2
    rome = cli("search", pairs / "img2.jpg", "--where", "site=Rome", "--json")
    (face,) = rome.json["faces"]
    assert [one["name"] for one in face["candidates"]] == ["Marc"] and rome.code == 1
    assert face["decision"]["gallery_size"] == 1
    assert cli("search", "--person", "Ann", "--where", "site=Rome").code == 2
