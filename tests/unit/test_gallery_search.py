"""Search over a real gallery file: right people, right order, right contract, on every index."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from arcid.errors import (
    CollectionNotFound,
    ContractMismatch,
    FaceNotFound,
    InputError,
    InvalidArray,
    PersonNotFound,
    UsageError,
)
from arcid.gallery import Gallery, IndexFactory, NewFace
from arcid.gallery.assignment import assign
from arcid.gallery.index.exact import ExactIndex
from arcid.gallery.index.reference import ReferenceIndex
from arcid.types import Embeddings, Match

OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture(params=[ReferenceIndex, ExactIndex], ids=["reference", "exact"])
def make_index(request: pytest.FixtureRequest) -> IndexFactory:
    factory: IndexFactory = request.param
    return factory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gallery.db"


@pytest.fixture
def gallery(path: Path, make_index: IndexFactory) -> Iterator[Gallery]:
    with Gallery.open(path, make_index=make_index) as opened:
        opened.create_collection("staff")
        yield opened


def vectors(count: int, contract: str = OLD, seed: int = 0, dim: int = 64) -> Embeddings:
    noise = np.random.default_rng(seed).normal(size=(count, dim))
    return Embeddings.normalised(noise, contract)


def near(target: Embeddings, row: int, cosine: float, seed: int = 1) -> Embeddings:
    """One vector with exactly that cosine to ``target[row]``, else at random."""
    base = target.vectors[row].astype(np.float64)
    noise = np.random.default_rng(seed).normal(size=base.shape)
    noise -= (noise @ base) * base
    side = noise / np.linalg.norm(noise)
    return Embeddings.normalised(
        (cosine * base + np.sqrt(1 - cosine**2) * side)[None], target.contract_id
    )


def found(matches: list[Match]) -> list[str]:
    return [match.name for match in matches]


def test_max_and_mean_rank_people_as_numpy_does(gallery: Gallery) -> None:
    rows = vectors(60)
    owner = [f"P{i % 12}" for i in range(60)]
    for name in sorted(set(owner)):
        own = [NewFace(rows[i]) for i in range(60) if owner[i] == name]
        gallery.enrol("staff", name, own, metadata={"who": name})
    probes = vectors(3, seed=5)
    cosines = rows.cosine(probes).T
    for aggregate, best in (("max", 1), ("mean", 3)):
        result = gallery.search("staff", probes, k=4, aggregate=aggregate, top_m=3)  # type: ignore[arg-type]
        for probe, matches in enumerate(result):
            expected = {
                name: np.sort([cosines[probe, i] for i in range(60) if owner[i] == name])[::-1]
                for name in set(owner)
            }
            ranked = sorted(expected, key=lambda n: -expected[n][:best].mean())
            assert found(matches) == ranked[:4]
            for match in matches:
                mean = float(expected[match.name][:best].mean())
                assert match.cosine == pytest.approx(mean, abs=1e-6)
                assert (match.faces, match.metadata) == (5, {"who": match.name})
                faces = gallery.faces("staff", match.person_id)
                nearest = int(np.argmax([cosines[probe, i] for i in range(60) if owner[i] == match.name]))  # fmt: skip  # noqa: E501
                assert match.face_id == faces[nearest].id


def test_empty_galleries_and_wrong_probes(gallery: Gallery) -> None:
    rows = vectors(4)
    assert list(gallery.search("staff", rows)) == [[], [], [], []]
    assert gallery.size("staff", OLD) == 0
    ann, _ = gallery.enrol("staff", "Ann", [NewFace(rows[0])])
    assert list(gallery.search("staff", rows[[]])) == []
    without = gallery.search("staff", rows[0], exclude_person=ann.id)
    assert list(without) == [[]] and without.gallery_size == 0
    assert gallery.search("staff", rows[0]).gallery_size == 1
    assert gallery.size("staff", OLD) == 1
    gallery.add_person("staff", "Faceless")
    assert [len(m) for m in gallery.search("staff", rows, k=50)] == [1, 1, 1, 1]
    with pytest.raises(InvalidArray):
        gallery.search("staff", vectors(1, dim=32))
    with pytest.raises(InputError):
        gallery.search("staff", rows, k=0)
    with pytest.raises(InputError):
        gallery.search("staff", rows, top_m=0, aggregate="mean")
    with pytest.raises(UsageError):
        gallery.search("staff", rows, aggregate="median")  # type: ignore[arg-type]
    with pytest.raises(PersonNotFound):
        gallery.search("staff", rows, exclude_person="nobody")
    with pytest.raises(CollectionNotFound):
        gallery.search("nowhere", rows)


def test_two_contracts_live_side_by_side_and_never_meet(gallery: Gallery) -> None:
    rows = vectors(3)
    gallery.enrol("staff", "Ann", [NewFace(rows[0])])
    with pytest.raises(ContractMismatch):
        gallery.search("staff", Embeddings(rows.vectors, NEW))
    # The very same numbers under the other contract belong to somebody else.
    gallery.enrol("staff", "Bob", [NewFace(Embeddings(rows.vectors[:1], NEW))])
    assert found(gallery.search("staff", rows[0])[0]) == ["Ann"]
    assert found(gallery.search("staff", Embeddings(rows.vectors[:1], NEW))[0]) == ["Bob"]
    assert (gallery.size("staff", OLD), gallery.size("staff", NEW)) == (1, 1)
    progress = {u.contract_id: (u.people, u.missing_people) for u in gallery.contracts("staff")}
    assert progress == {OLD: (1, 1), NEW: (1, 1)}
    ann = gallery.find_person("staff", "Ann")
    assert ann is not None and list(gallery.search_person("staff", ann.id, NEW)) == [[]]


def test_collections_do_not_see_each_other(gallery: Gallery) -> None:
    rows = vectors(2)
    gallery.create_collection("guests")
    gallery.enrol("staff", "Ann", [NewFace(rows[0])])
    gallery.enrol("guests", "Bob", [NewFace(rows[1])])
    assert found(gallery.search("staff", rows[1])[0]) == ["Ann"]
    assert found(gallery.search("guests", rows[0])[0]) == ["Bob"]


def test_every_kind_of_change_shows_in_the_next_search(gallery: Gallery) -> None:
    rows = vectors(6)
    ann, ann_faces = gallery.enrol("staff", "Ann", [NewFace(rows[i]) for i in (0, 1, 2)])
    bob, _ = gallery.enrol("staff", "Bob", [NewFace(rows[3])])

    def best(row: int) -> str:
        match = gallery.search("staff", rows[row], k=1)[0][0]
        assert match.cosine > 0.999
        assert gallery.check() == []
        return match.name

    assert [best(i) for i in range(4)] == ["Ann", "Ann", "Ann", "Bob"]
    gallery.move_face("staff", ann_faces[0].id, bob.id)
    assert [best(i) for i in range(4)] == ["Bob", "Ann", "Ann", "Bob"]
    cid = gallery.split_person("staff", ann.id, [ann_faces[1].id], "Cid")
    assert [best(i) for i in range(4)] == ["Bob", "Cid", "Ann", "Bob"]
    gallery.merge_people("staff", cid.id, bob.id)
    assert [best(i) for i in range(4)] == ["Cid", "Cid", "Ann", "Cid"]
    gallery.update_person("staff", cid.id, name="Cyd", metadata={"new": True})
    assert gallery.search("staff", rows[0])[0][0].metadata == {"new": True}
    gallery.add_faces("staff", ann.id, [NewFace(rows[4])])
    assert best(4) == "Ann"
    gallery.delete_face("staff", ann_faces[2].id)
    assert gallery.search("staff", rows[2], k=1)[0][0].cosine < 0.9
    gallery.delete_person("staff", cid.id)
    assert found(gallery.search("staff", rows[0])[0]) == ["Ann"]
    assert gallery.size("staff", OLD) == 1
    gallery.delete_collection("staff")
    gallery.create_collection("staff")
    assert list(gallery.search("staff", rows[0])) == [[]]


def test_random_changes_keep_a_followed_index_equal_to_a_fresh_one(
    gallery: Gallery, path: Path
) -> None:
    chance = np.random.default_rng(3)
    rows = vectors(400)
    probes = vectors(5, seed=8)
    used = itertools.count()
    for _ in range(60):
        people = gallery.people("staff", limit=1000)
        faces = [f for p in people for f in gallery.faces("staff", p.id)]
        match int(chance.integers(6)) if len(faces) > 8 else 0:
            case 0 | 1:
                name = f"P{chance.integers(8)}"
                gallery.enrol("staff", name, [NewFace(rows[next(used)]) for _ in range(3)])
            case 2:
                gallery.move_face(
                    "staff", chance.choice(faces).id, chance.choice(people).id  # type: ignore[arg-type]
                )  # fmt: skip
            case 3:
                gallery.delete_face("staff", chance.choice(faces).id)  # type: ignore[arg-type]
            case 4:
                gallery.merge_people(
                    "staff", chance.choice(people).id, chance.choice(people).id  # type: ignore[arg-type]
                )  # fmt: skip
            case 5:
                gallery.delete_person("staff", chance.choice(people).id)  # type: ignore[arg-type]
        if chance.random() < 0.5:
            gallery.search("staff", probes)
    followed = gallery.search("staff", probes, k=50)
    with Gallery.open(path, make_index=ReferenceIndex) as fresh:
        expected = fresh.search("staff", probes, k=50)
    for ours, theirs in zip(followed, expected, strict=True):
        assert [m.person_id for m in ours] == [m.person_id for m in theirs]
        assert [m.face_id for m in ours] == [m.face_id for m in theirs]
        assert [m.cosine for m in ours] == pytest.approx([m.cosine for m in theirs], abs=1e-6)
    assert gallery.check() == []


# one photo


def test_assignment_is_the_best_of_all_permutations() -> None:
    chance = np.random.default_rng(0)
    for _ in range(200):
        rows, columns = sorted(map(int, chance.integers(1, 6, size=2)))
        cost = chance.random((rows, columns))
        least = min(
            sum(cost[r, c] for r, c in enumerate(picked))
            for picked in itertools.permutations(range(columns), rows)
        )
        chosen = assign(cost)
        assert len(set(chosen)) == rows
        assert cost[np.arange(rows), chosen].sum() == pytest.approx(least)


def test_one_photo_never_gives_one_person_twice(gallery: Gallery) -> None:
    rows = vectors(3)
    for i, name in enumerate(("Ann", "Bob", "Cid")):
        gallery.enrol("staff", name, [NewFace(rows[i])])
    probes = Embeddings(
        np.concatenate([near(rows, 0, 0.9).vectors, near(rows, 0, 0.8, seed=2).vectors]), OLD
    )
    apart = gallery.search("staff", probes, k=3)
    assert [found(m)[0] for m in apart] == ["Ann", "Ann"]
    together = gallery.search("staff", probes, k=3, photos=[len(probes)])
    firsts = [found(m)[0] for m in together]
    assert len(set(firsts)) == 2
    assert "Ann" in firsts
    loser = firsts.index(next(name for name in firsts if name != "Ann"))
    assert [m.given_to for m in together[loser]] == [None, None, 1 - loser]
    assert found(together[loser])[-1] == "Ann"
    assert [m.given_to for m in together[1 - loser]] == [None, None]

    cosine = {(i, m.name): m.cosine for i, matches in enumerate(apart) for m in matches}
    total = max(
        cosine[0, a] + cosine[1, b] for a, b in itertools.permutations(["Ann", "Bob", "Cid"], 2)
    )
    assert sum(m[0].cosine for m in together) == pytest.approx(total)


def test_one_photo_with_more_faces_than_people(gallery: Gallery) -> None:
    rows = vectors(2)
    gallery.enrol("staff", "Ann", [NewFace(rows[0])])
    gallery.enrol("staff", "Bob", [NewFace(rows[1])])
    probes = Embeddings(
        np.concatenate([near(rows, i % 2, 0.9 - i / 10, seed=i).vectors for i in range(5)]), OLD
    )
    result = gallery.search("staff", probes, k=1, photos=[len(probes)])
    assert [found(m) for m in result] == [["Ann"], ["Bob"], ["Ann"], ["Bob"], ["Ann"]]
    assert [m[0].given_to for m in result] == [None, None, 0, 1, 0]
    several = gallery.search("staff", probes, k=5, photos=[len(probes)])
    assert [found(m) for m in several] == [found(m) for m in result]


def test_duplicates_of_a_person(gallery: Gallery) -> None:
    rows = vectors(5)
    ann, _ = gallery.enrol("staff", "Ann", [NewFace(rows[0]), NewFace(rows[1])])
    gallery.enrol("staff", "Anne", [NewFace(near(rows, 1, 0.8)), NewFace(rows[4])])
    gallery.enrol("staff", "Bob", [NewFace(rows[2])])
    empty = gallery.add_person("staff", "Faceless")
    (duplicates,) = searched = gallery.search_person("staff", ann.id)
    assert searched.gallery_size == 2 * 3  # each of hers with each of the others'
    assert found(duplicates) == ["Anne", "Bob"]
    assert duplicates[0].cosine == pytest.approx(0.8, abs=1e-5)
    assert found(gallery.search_person("staff", ann.id, OLD, k=1)[0]) == ["Anne"]
    assert list(gallery.search_person("staff", ann.id, NEW)) == [[]]
    assert list(gallery.search_person("staff", empty.id)) == [[]]


def test_a_probe_against_the_templates_of_one_person(gallery: Gallery) -> None:
    rows = vectors(5)
    ann, faces = gallery.enrol(
        "staff", "Ann", [NewFace(rows[0]), NewFace(near(rows, 1, 0.8)), NewFace(rows[3])]
    )
    told = gallery.compare("staff", ann.id, rows[1])
    assert told.cosines.tolist() == sorted(told.cosines.tolist(), reverse=True)
    assert told.cosines[0] == pytest.approx(0.8, abs=1e-5) and len(told.cosines) == 3
    assert (told.nearest.name, told.nearest.face_id) == ("Ann", faces[1].id)
    assert told.nearest.faces == 3
    with pytest.raises(FaceNotFound, match="no face of contract"):
        gallery.compare("staff", ann.id, Embeddings(rows.vectors[:1], NEW))
    with pytest.raises(FaceNotFound):
        gallery.compare("staff", gallery.add_person("staff", "Faceless").id, rows[0])
    with pytest.raises(PersonNotFound):
        gallery.compare("staff", "nobody", rows[0])
    with pytest.raises(InputError):
        gallery.compare("staff", ann.id, rows)


# two handles, two processes, many threads


def test_a_second_handle_sees_every_commit(gallery: Gallery, path: Path) -> None:
    rows = vectors(3)
    with Gallery.open(path) as other:
        assert list(other.search("staff", rows[0])) == [[]]
        ann, [face] = gallery.enrol("staff", "Ann", [NewFace(rows[0])])
        assert found(other.search("staff", rows[0])[0]) == ["Ann"]
        bob = other.add_person("staff", "Bob")
        other.move_face("staff", face.id, bob.id)
        assert found(gallery.search("staff", rows[0])[0]) == ["Bob"]
        gallery.delete_person("staff", bob.id)
        assert list(other.search("staff", rows[0])) == [[]]
        assert other.person("staff", ann.id).faces == 0


ENROL_ONE = """
    import sys, numpy as np
    from arcid.gallery import Gallery, NewFace
    from arcid.types import Embeddings
    rows = np.random.default_rng(0).normal(size=(6, 64))
    made = Embeddings.normalised(rows, "a" * 64)
    with Gallery.open(sys.argv[1], create=False) as gallery:
        sys.stdin.readline()
        gallery.enrol("staff", "Elsewhere", [NewFace(made[5])])
        print("done", flush=True)
        sys.stdin.readline()
"""


def test_a_face_enrolled_by_another_process_is_found_within_a_second(
    gallery: Gallery, path: Path
) -> None:
    rows = vectors(6)
    gallery.enrol("staff", "Ann", [NewFace(rows[0])])
    assert found(gallery.search("staff", rows[5])[0]) == ["Ann"]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ENROL_ONE), str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdin and child.stdout
        child.stdin.write("go\n")
        child.stdin.flush()
        assert child.stdout.readline() == "done\n"
        start = time.monotonic()
        assert found(gallery.search("staff", rows[5], k=1)[0]) == ["Elsewhere"]
        assert time.monotonic() - start < 1.0
        child.communicate("bye\n", timeout=20)
    assert child.returncode == 0


def test_eight_threads_enrol_search_move_and_delete(gallery: Gallery) -> None:
    rows = vectors(80)
    stop = threading.Event()
    wrong: list[str] = []

    def work(thread: int) -> None:
        mine = range(thread * 10, thread * 10 + 10)
        for i in mine:
            _, [face] = gallery.enrol("staff", f"T{thread}-{i}", [NewFace(rows[i])])
            best = gallery.search("staff", rows[i], k=1)[0][0]
            if best.name != f"T{thread}-{i}":
                wrong.append(f"{best.name} for T{thread}-{i}")
            if i % 5 == 0:
                gallery.delete_face("staff", face.id)
            elif i % 5 == 1:
                gallery.move_face("staff", face.id, gallery.add_person("staff", f"to {i}").id)

    def watch() -> None:
        while not stop.is_set():
            for matches in gallery.search("staff", rows[[3, 30, 70]], k=3, photos=[3]):
                if any(m.cosine < -1.001 or not m.name for m in matches):
                    wrong.append("nonsense")

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work, i) for i in range(8)]:
            future.result()
    stop.set()
    watcher.join()
    assert wrong == []
    assert gallery.collection("staff").faces == gallery.size("staff", OLD) == 64
    log = gallery.changes(0, limit=10_000)
    assert [c.seq for c in log] == list(range(1, len(log) + 1))
    assert gallery.check() == []


# rebuilding


def test_a_dropped_index_and_a_pruned_log_are_no_loss(gallery: Gallery, path: Path) -> None:
    rows = vectors(8)
    gallery.enrol("staff", "Ann", [NewFace(rows[0])])
    assert found(gallery.search("staff", rows[0])[0]) == ["Ann"]
    gallery.drop_indexes()
    assert found(gallery.search("staff", rows[0])[0]) == ["Ann"]
    with Gallery.open(path) as other:
        other.enrol("staff", "Bob", [NewFace(rows[1])])
        other.enrol("staff", "Cid", [NewFace(rows[2])])
        assert other.prune_changes(keep=1) > 0
        assert len(other.changes(0)) == 1
    assert found(gallery.search("staff", rows[1], k=1)[0]) == ["Bob"]
    gallery.prune_changes(keep=0)
    gallery.enrol("staff", "Dot", [NewFace(rows[3])])
    assert found(gallery.search("staff", rows[3], k=1)[0]) == ["Dot"]
    assert gallery.check() == []


def test_a_restored_backup_is_followed(gallery: Gallery, path: Path, tmp_path: Path) -> None:
    """The file is swapped under an open gallery; numbers go back, then past where they were."""
    rows = vectors(8)
    backup = tmp_path / "backup.db"
    gallery.enrol("staff", "Ann", [NewFace(rows[0])])
    with Gallery.open(path) as writer:
        writer.delete_person("staff", writer.add_person("staff", "x").id)  # empties the WAL
    shutil.copy(path, backup)  # with its rights
    gallery.enrol("staff", "Bob", [NewFace(rows[1])])
    assert found(gallery.search("staff", rows[1], k=1)[0]) == ["Bob"]
    number = gallery.last_change()

    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    backup.replace(path)
    assert found(gallery.search("staff", rows[1])[0]) == ["Ann"]
    assert gallery.last_change() < number
    with Gallery.open(path) as other:
        for i, name in enumerate(("Cid", "Dot", "Eve")):
            other.enrol("staff", name, [NewFace(rows[2 + i])])
    assert gallery.last_change() > number
    assert found(gallery.search("staff", rows[4], k=1)[0]) == ["Eve"]
    assert "Bob" not in found(gallery.search("staff", rows[1], k=9)[0])
    (finding,) = gallery.check()
    assert "acknowledged" in finding


def test_a_diverged_database_with_equal_numbers_is_noticed(gallery: Gallery, path: Path) -> None:
    """As above, but nothing searched in between: only the entries themselves differ."""
    rows = vectors(8)
    gallery.add_person("staff", "Ann")
    with Gallery.open(path) as writer:
        writer.delete_person("staff", writer.add_person("staff", "x").id)
    swapped = path.with_name("swapped.db")
    keys, other_keys = (p.with_name(f"{p.name}-keys") for p in (path, swapped))
    shutil.copy(path, swapped)
    shutil.copy(keys, other_keys)
    gallery.enrol("staff", "Bob", [NewFace(rows[1])])
    assert found(gallery.search("staff", rows[1], k=1)[0]) == ["Bob"]
    with Gallery.open(swapped) as other:
        other.enrol("staff", "Cid", [NewFace(rows[2])])
        assert other.last_change() == gallery.last_change()
        other.enrol("staff", "Dot", [NewFace(rows[3])])
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    swapped.replace(path)
    other_keys.replace(keys)
    assert sorted(found(gallery.search("staff", rows[1])[0])) == ["Cid", "Dot"]


def test_check_tells_when_an_index_disagrees_with_the_store(gallery: Gallery) -> None:
    rows = vectors(3)
    gallery.enrol("staff", "Ann", [NewFace(rows[0]), NewFace(rows[1])])
    gallery.search("staff", rows)
    assert gallery.check() == []
    [index] = gallery._projection._indexes.values()
    index.remove(np.array([1], np.int64))
    assert ["index holds 1" in finding for finding in gallery.check()] == [True]
    gallery.drop_indexes()
    assert gallery.check() == []
