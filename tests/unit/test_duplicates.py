"""Who is enrolled twice: exact, in blocks, again from where it ended, and every answer undone."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.test_decide import ruler

from arcid.apps.duplicates import Duplicates, Pair, Run, Side, tidy, work
from arcid.apps.duplicates.comparing import Blocks
from arcid.apps.duplicates.groups import groups
from arcid.apps.duplicates.tables import answers, pairs, runs
from arcid.apps.duplicates.worker import Worker
from arcid.errors import (
    AlreadyExists,
    ContractMismatch,
    NotFound,
    RateUnsupported,
    ReviewAnswered,
    SamePhotoConflict,
    UsageError,
)
from arcid.events import Events, Outbox
from arcid.events.audit import Audit, acting
from arcid.gallery import Gallery, NewFace
from arcid.gallery.index import packed
from arcid.gallery.index import pairs as panels
from arcid.gallery.schema import erasures, merges
from arcid.gallery.store import sealed
from arcid.types import Embeddings

CONTRACT = "ab" * 32
CALIBRATION = ruler()
DIM = 128


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as opened:
        opened.create_collection("staff")
        yield opened


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels of a few rows, so that a small gallery has many blocks."""
    monkeypatch.setattr(panels, "LEAST_ROWS", 7)


def direction(seed: int) -> np.ndarray:
    row = np.random.default_rng(seed).normal(size=DIM)
    return row / np.linalg.norm(row)


def near(seed: int, cosine: float, other: int = 900) -> np.ndarray:
    """A unit vector of that cosine to ``direction(seed)``."""
    base, side = direction(seed), direction(seed + other)
    side -= (side @ base) * base
    side /= np.linalg.norm(side)
    return cosine * base + (1 - cosine**2) ** 0.5 * side


def face(row: np.ndarray, photo: str | None = None, box: Any = None) -> NewFace:
    return NewFace(Embeddings.normalised(row[None], CONTRACT), photo, box=box)


def enrol(gallery: Gallery, name: str, *rows: np.ndarray, collection: str = "staff") -> str:
    person, _ = gallery.enrol(collection, name, [face(row) for row in rows])
    return person.id


def crowd(gallery: Gallery, people: int = 40, collection: str = "staff", seed: int = 0) -> None:
    """People with one to three faces, and ten of them under a second name, in no order."""
    rng = np.random.default_rng(seed)
    for i in rng.permutation(people):
        rows = [near(seed + int(i), 0.8, 900 + j) for j in range(1 + i % 3)]
        enrol(gallery, f"{seed} person {i}", *rows, collection=collection)
        if i < 10:
            enrol(
                gallery, f"{seed} again {i}", near(seed + int(i), 0.9, 990), collection=collection
            )


def searched(gallery: Gallery, **options: Any) -> Duplicates:
    """After a run that is done."""
    found = Duplicates(gallery)
    run = found.runs.begin("staff", CALIBRATION, actor="op", **options)
    assert work(gallery, "staff", run.id, CALIBRATION).state == "done"
    return found


def brute(gallery: Gallery, least: float, *names: str) -> dict[frozenset[str], float]:
    """Every pair of people by the cosine of their nearest templates."""
    rows: list[list[tuple[str, np.ndarray]]] = []
    for name in names:
        blocks = list(gallery.vectors(name, CONTRACT))
        rows.append([(p, v) for _, people, vs in blocks for p, v in zip(people, vs, strict=True)])
    best: dict[frozenset[str], float] = {}
    for a, x in rows[0]:
        for b, y in rows[-1]:
            cosine = float(np.float32((x.astype(np.float64) * y).sum()))
            if a != b and cosine >= least:
                best[frozenset((a, b))] = max(cosine, best.get(frozenset((a, b)), -1.0))
    return best


def listed(found: Duplicates, **options: Any) -> dict[frozenset[str], float]:
    some = found.find("staff", states=None, limit=None, **options)
    return {frozenset((p.a.person_id, p.b.person_id)): p.cosine for p in some}


def rows_in(gallery: Gallery, table: sa.Table) -> int:
    with gallery.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


# exact


@pytest.mark.parametrize("kernel", ["int8", "float32"])
@pytest.mark.parametrize(("dim", "least"), [(16, 0.5), (128, 0.2), (512, -0.02)])
def test_every_pair_that_reaches_the_floor_is_found(
    kernel: str, dim: int, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel == "float32":
        monkeypatch.setattr(packed, "packing_works", lambda: False)
    elif not packed.packing_works():
        pytest.skip("this processor multiplies no packed int8 exactly")
    monkeypatch.setattr(panels, "TILE", 1 << 12)
    rng = np.random.default_rng(dim)
    vectors = rng.normal(size=(701, dim)) * rng.exponential(size=dim)
    vectors[300:360] = vectors[:60] + rng.normal(size=(60, dim)) * 0.3
    vectors[360] = vectors[0]
    rows = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    keys = np.arange(701)
    a = panels.Panel(keys[:400], keys[:400] // 3, rows[:400])
    b = panels.Panel(keys[390:], keys[390:] // 3, rows[390:])
    got = {
        (int(a.faces[i]), int(b.faces[j])): c
        for part in panels.reaching(a, b, least, threads=2)
        for i, j, c in zip(part.rows, part.columns, part.cosines, strict=True)
    }
    full = (a.vectors.astype(np.float64)[:, None] * b.vectors[None]).sum(axis=2)
    full = full.astype(np.float32)
    wanted = {
        (int(a.faces[i]), int(b.faces[j])): full[i, j]
        for i, j in zip(*np.nonzero(full >= np.float32(least)), strict=True)
        if a.people[i] != b.people[j]
    }
    assert len(wanted) > 40
    assert got == wanted


def test_everybody_is_compared_with_everybody(gallery: Gallery, low: None) -> None:
    crowd(gallery)
    found = searched(gallery, false_pairs=0.1)
    (run,) = found.runs.find("staff")
    assert run.blocks > 20 and run.done == run.blocks and run.share == 1.0
    assert run.cosine_threshold == pytest.approx(-np.log10(0.1 / run.comparisons) / 10)
    wanted = brute(gallery, run.cosine_threshold, "staff")
    assert len(wanted) >= 10 and listed(found) == wanted
    shown = list(found.every("staff"))
    assert [p.cosine for p in shown] == sorted((p.cosine for p in shown), reverse=True)
    best = shown[0]
    assert best.probability == CALIBRATION.probability(best.cosine)
    assert best.fmr == CALIBRATION.stated_fmr(best.cosine)
    assert run.pairs == run.open == len(wanted)


def test_comparisons_are_of_different_people(gallery: Gallery) -> None:
    for seed, count in enumerate((1, 3, 4)):
        enrol(gallery, f"{seed}", *(direction(10 * seed + j) for j in range(count)))
    begin = Duplicates(gallery).runs.begin
    assert begin("staff", CALIBRATION, actor="op").comparisons == 1 * 3 + 1 * 4 + 3 * 4
    gallery.create_collection("guests")
    enrol(gallery, "guest", direction(99), direction(98), collection="guests")
    two = begin("staff", CALIBRATION, other="guests", actor="op")
    assert (two.comparisons, two.templates, two.kind) == (8 * 2, 10, "between")


def test_two_collections_are_compared(gallery: Gallery, low: None) -> None:
    gallery.create_collection("guests")
    crowd(gallery, 20)
    crowd(gallery, 15, "guests", seed=5)  # directions 5 to 19 are in both
    found = searched(gallery, other="guests", false_pairs=0.5)
    (run,) = found.runs.find("staff")
    assert listed(found) == brute(gallery, run.cosine_threshold, "staff", "guests")
    pair = found.find("staff")[0]
    assert {pair.a.collection, pair.b.collection} == {"staff", "guests"}
    said = found.answer("staff", pair.id, "same", actor="op")
    assert said.merge_id is None and found.get("staff", pair.id).state == "same"
    assert found.undo("staff", said.id, actor="op").pair_id == pair.id
    assert found.get("staff", pair.id).state == "open"


def two_of_two_collections(gallery: Gallery) -> Duplicates:
    """Ann of the staff is Anna of the guests."""
    gallery.create_collection("guests")
    enrol(gallery, "Ann", direction(1))
    enrol(gallery, "Anna", near(1, 0.9), collection="guests")
    return searched(gallery, other="guests")


def test_a_pair_of_two_collections_stays_in_its_list_whoever_is_merged(gallery: Gallery) -> None:
    found = two_of_two_collections(gallery)
    (pair,) = found.find("staff")
    other = enrol(gallery, "Nan", direction(2), collection="guests")
    gallery.merge_people("guests", other, pair.b.person_id, reversible=True)
    (asked,) = found.find("staff", run_id=pair.run_id)
    assert (asked.b.person_id, asked.cosine) == (other, pair.cosine)
    assert found.find("guests") == []
    gallery.unmerge("guests", gallery.merges("guests")[0].id)
    (again,) = found.find("staff")
    assert dataclasses.replace(again, id=pair.id) == pair and found.find("guests") == []


def test_nothing_said_of_the_people_of_a_deleted_collection_stays_in_another(
    gallery: Gallery,
) -> None:
    found = two_of_two_collections(gallery)
    (pair,) = found.find("staff")
    found.answer("staff", pair.id, "lookalike", actor="op", note="Anna is the twin")
    with gallery.database.read() as connection:
        keys = sealed.keys_of(connection.execute(sa.select(answers.c.note)).scalars())
    gallery.delete_collection("guests")
    assert found.answers("staff", undone=True) == [] and rows_in(gallery, answers) == 0
    assert keys and gallery.database.vault.store.any_destroyed(keys)
    with gallery.database.read() as connection:
        receipt = json.loads(connection.execute(sa.select(erasures.c.statement)).scalar_one())
    assert receipt["destroyed"]["answers_about_pairs"] == 1


# the threshold


def test_so_few_false_pairs_are_refused_in_words(gallery: Gallery) -> None:
    crowd(gallery)
    begin = Duplicates(gallery).runs.begin
    with pytest.raises(RateUnsupported, match="ask for 1 false pairs or more, allow") as caught:
        begin("staff", CALIBRATION, false_pairs=0.01, actor="op")
    assert caught.value.details["smallest_false_pairs"] == 1
    run = begin("staff", CALIBRATION, false_pairs=0.01, allow_extrapolation=True, actor="op")
    assert run.extrapolated
    assert run.promise.startswith("at most 0.01 false pairs expected in ")
    assert "extrapolated beyond the measured data" in run.promise
    with pytest.raises(RateUnsupported, match="ends at 1"):
        begin("staff", CALIBRATION, false_pairs=1e-7, allow_extrapolation=True, actor="op")
    loose = begin("staff", CALIBRATION, false_pairs=1000, actor="op")
    assert loose.target_fmr == 1e-4  # no pair that two photos would not be
    for bad in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError):
            begin("staff", CALIBRATION, false_pairs=bad, actor="op")


def test_what_cannot_be_compared_is_refused(gallery: Gallery) -> None:
    begin = Duplicates(gallery).runs.begin
    with pytest.raises(ContractMismatch):
        begin("staff", CALIBRATION, actor="op")
    enrol(gallery, "Ann", direction(1))
    with pytest.raises(UsageError, match="naming no other"):
        begin("staff", CALIBRATION, other="staff", actor="op")
    with pytest.raises(UsageError, match="do that first"):
        begin("staff", CALIBRATION, since_last=True, actor="op")
    run = begin("staff", CALIBRATION, actor="op")
    with pytest.raises(UsageError, match="another calibration"):
        work(gallery, "staff", run.id, ruler(1e-4))
    assert work(gallery, "staff", run.id, CALIBRATION).state == "done"
    with pytest.raises(UsageError, match="done"):
        work(gallery, "staff", run.id, CALIBRATION)


# stopped, killed, since


def test_a_run_goes_on_where_it_was_stopped(gallery: Gallery, low: None) -> None:
    crowd(gallery)
    found = Duplicates(gallery)
    run = found.runs.begin("staff", CALIBRATION, false_pairs=0.1, actor="op")
    seen: list[int] = []

    def progress(done: int, blocks: int) -> None:
        seen.append(done)
        if done == 5:
            found.runs.stop("staff", run.id)

    stopped = work(gallery, "staff", run.id, CALIBRATION, progress=progress)
    assert (stopped.state, stopped.done) == ("stopped", 5)
    half = work(gallery, "staff", run.id, CALIBRATION, stopped=lambda: len(seen) > 8,
                progress=lambda done, blocks: seen.append(done))  # fmt: skip
    assert (half.state, half.done) == ("stopped", 9)
    done = work(gallery, "staff", run.id, CALIBRATION)
    assert listed(found) == brute(gallery, done.cosine_threshold, "staff")
    assert seen == list(range(1, 10))


def test_whoever_works_on_a_run_takes_it_over(gallery: Gallery, low: None) -> None:
    crowd(gallery)
    run = Duplicates(gallery).runs.begin("staff", CALIBRATION, false_pairs=0.1, actor="op")
    taken: list[Run] = []

    def progress(done: int, blocks: int) -> None:
        if done == 3 and not taken:
            taken.append(work(gallery, "staff", run.id, CALIBRATION))

    lost = work(gallery, "staff", run.id, CALIBRATION, progress=progress)
    assert taken[0].state == lost.state == "done"
    assert listed(Duplicates(gallery)) == brute(gallery, lost.cosine_threshold, "staff")


KILLED = """
    import sys, time
    from tests.unit.test_duplicates import CALIBRATION, panels
    from arcid.apps.duplicates import Duplicates, work
    from arcid.gallery import Gallery

    panels.LEAST_ROWS = 7
    with Gallery.open(sys.argv[1]) as gallery:
        run = Duplicates(gallery).runs.find("staff")[0]
        def progress(done, blocks):
            print(done, flush=True)
            time.sleep(0.02)
        work(gallery, "staff", run.id, CALIBRATION, progress=progress)
"""


def test_a_run_outlives_being_killed(tmp_path: Path, low: None) -> None:
    path = tmp_path / "gallery.db"
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
        crowd(gallery)
        found = Duplicates(gallery)
        run = found.runs.begin("staff", CALIBRATION, false_pairs=0.1, actor="op")
        done = 0
        for blocks in (2, 3, 5):
            command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path)]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent.parent,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(["src", "."])},
            )  # fmt: skip
            assert process.stdout is not None
            for _ in range(blocks):
                assert process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
            now = found.runs.get("staff", run.id)
            assert now.state == "running" and done + blocks <= now.done < now.blocks
            assert not now.silent  # it is only just dead
            done = now.done
        ended = work(gallery, "staff", run.id, CALIBRATION)
        assert listed(found) == brute(gallery, ended.cosine_threshold, "staff")


def test_only_what_came_since_is_compared(gallery: Gallery, low: None) -> None:
    crowd(gallery, 20)
    found = searched(gallery, false_pairs=0.5)
    before = listed(found)
    assert searched(gallery, since_last=True).runs.find("staff")[0].comparisons == 0
    enrol(gallery, "new", near(15, 0.9))
    enrol(gallery, "newer", near(15, 0.85, 901), near(16, 0.9, 902))
    moved = gallery.people("staff", search="0 person 17")[0]
    (first, *_) = gallery.faces("staff", moved.id)
    to = gallery.add_person("staff", "split off")
    gallery.move_face("staff", first.id, to.id)
    deleted = gallery.people("staff", search="0 person 1")[0]
    gallery.delete_person("staff", deleted.id)
    found = searched(gallery, since_last=True, false_pairs=0.5)
    run = found.runs.find("staff")[0]
    (count,) = [collection.faces for collection in gallery.collections()]
    assert run.comparisons == 2 * (count - 1) + 2 * (count - 2) - 5  # one, two and one new face
    new = listed(found, run_id=run.id)
    wanted = brute(gallery, run.cosine_threshold, "staff")
    names = {gallery.person_called("staff", name).id for name in ("new", "newer", "split off")}
    assert new == {couple: c for couple, c in wanted.items() if couple & names}
    gone = {couple for couple in before if deleted.id in couple}
    assert set(listed(found)) == (set(before) - gone) | set(new)
    enrol(gallery, "last", direction(77))
    gallery.prune_changes(0)
    with pytest.raises(UsageError, match="compare everybody"):
        found.runs.begin("staff", CALIBRATION, since_last=True, actor="op")


def test_a_whole_run_ends_what_only_earlier_ones_found(gallery: Gallery) -> None:
    crowd(gallery, 20)
    found = searched(gallery, false_pairs=1)
    first, second = found.find("staff")[:2]
    found.answer("staff", second.id, "unsure", actor="op")
    gallery.delete_face("staff", first.a.face_id)
    searched(gallery, false_pairs=0.1)
    left = found.every("staff")
    assert second.id in {p.id for p in left} and first.id not in {p.id for p in left}


# answers


def double(gallery: Gallery, cosine: float = 0.9) -> Pair:
    """Ann is enrolled again as Anna."""
    enrol(gallery, "Ann", direction(1), near(1, 0.8, 901))
    enrol(gallery, "Anna", near(1, cosine))
    for seed in range(5, 12):
        enrol(gallery, f"person {seed}", direction(seed))
    return searched(gallery).find("staff")[0]


def test_two_who_are_the_same_are_merged_and_two_again(gallery: Gallery) -> None:
    pair = double(gallery)
    found = Duplicates(gallery)
    gallery.update_person("staff", pair.b.person_id, metadata={"badge": 7})
    anna = gallery.person("staff", pair.b.person_id)
    (face_id,) = [face.id for face in gallery.faces("staff", anna.id)]
    said = found.answer("staff", pair.id, "same", actor="op", note="the same passport")
    assert (said.a_name, said.b_name) in {("Ann", "Anna"), ("Anna", "Ann")}
    assert [p.name for p in gallery.people("staff", search="ann")] == ["Ann"]
    assert gallery.people("staff", search="ann")[0].faces == 3
    assert not found.find("staff", states=None)
    (merge,) = gallery.merges("staff", pair.a.person_id)
    assert (merge.id, merge.other_name, merge.faces) == (said.merge_id, "Anna", 1)
    gallery.enrol("staff", "Ann", [face(near(1, 0.7, 905))])
    undone = found.undo("staff", said.id, actor="boss")
    assert (undone.missing_faces, undone.answer.undone_by) == (0, "boss")
    again = gallery.person("staff", anna.id)
    assert dataclasses.replace(again, updated_at=anna.updated_at) == anna
    assert [f.id for f in gallery.faces("staff", anna.id)] == [face_id]
    assert gallery.person("staff", pair.a.person_id).faces == 3  # what came since stays
    assert undone.pair_id is not None
    back = found.get("staff", undone.pair_id)
    assert (back.state, back.cosine) == ("open", pair.cosine)
    assert {back.a.face_id, back.b.face_id} == {pair.a.face_id, pair.b.face_id}
    assert found.undo("staff", said.id, actor="boss") == undone  # once is enough
    assert gallery.merges("staff") == [] and gallery.check() == []
    assert [a.verdict for a in found.answers("staff")] == []
    assert [a.note for a in found.answers("staff", undone=True)] == ["the same passport"]
    for person in (anna.id, pair.a.person_id):
        assert len(found.answers("staff", undone=True, person_id=person)) == 1
    nobody = gallery.add_person("staff", "Nobody").id
    assert list(found.answers("staff", undone=True, person_id=nobody)) == []


def test_who_is_kept_can_be_said(gallery: Gallery) -> None:
    pair = double(gallery)
    names = {pair.a.person_id: pair.a.name, pair.b.person_id: pair.b.name}
    anna = next(uid for uid, name in names.items() if name == "Anna")
    Duplicates(gallery).answer("staff", pair.id, "same", actor="op", keep_id=anna)
    assert [p.name for p in gallery.people("staff", search="ann")] == ["Anna"]


def test_what_cannot_be_restored_is_said(gallery: Gallery) -> None:
    pair = double(gallery)
    found = Duplicates(gallery)
    said = found.answer("staff", pair.id, "same", actor="op")
    gallery.add_person("staff", "Anna")
    with pytest.raises(AlreadyExists):
        found.undo("staff", said.id, actor="op")
    gallery.delete_face("staff", pair.b.face_id)
    undone = found.undo("staff", said.id, actor="op", name="Anna the first")
    assert undone.missing_faces == 1
    assert gallery.person("staff", pair.b.person_id).name == "Anna the first"
    again = found.answer("staff", str(undone.pair_id), "same", actor="op")
    assert gallery.forget_merges(timedelta(0)) == 1
    with pytest.raises(NotFound, match="cannot be undone"):
        found.undo("staff", again.id, actor="op")


@pytest.mark.parametrize("newest_first", [True, False])
def test_merges_are_undone_in_any_order(gallery: Gallery, newest_first: bool) -> None:
    ids = {name: enrol(gallery, name, direction(seed)) for seed, name in enumerate("abc")}
    gallery.merge_people("staff", ids["a"], ids["b"], reversible=True)
    gallery.merge_people("staff", ids["c"], ids["a"], reversible=True)
    made = gallery.merges("staff")  # newest first
    for merge in made if newest_first else made[::-1]:
        gallery.unmerge("staff", merge.id)
    assert {p.id: (p.name, p.faces) for p in gallery.people("staff")} == {
        uid: (name, 1) for name, uid in ids.items()
    }
    gallery.merge_people("staff", ids["a"], ids["b"])
    assert gallery.merges("staff") == []  # not asked for


def test_what_was_said_about_a_third_goes_along_and_comes_back(gallery: Gallery) -> None:
    for name, cosine, other in (("Ann", 1.0, 900), ("Anna", 0.9, 900), ("Nan", 0.9, 901)):
        enrol(gallery, name, near(1, cosine, other))
    found = searched(gallery)
    pair = {frozenset((p.a.name, p.b.name)): p for p in found.every("staff")}
    assert len(pair) == 3
    twin = found.answer("staff", pair[frozenset(("Anna", "Nan"))].id, "lookalike", actor="op")
    before = {(p.a.name, p.b.name): dataclasses.replace(p, id="") for p in found.every("staff")}
    said = found.answer("staff", pair[frozenset(("Ann", "Anna"))].id, "same", actor="op")
    (left,) = found.every("staff")  # Ann, who is Anna, is not Nan
    assert (left.state, {left.a.name, left.b.name}) == ("lookalike", {"Ann", "Nan"})
    assert left.answer_id == twin.id
    found.undo("staff", said.id, actor="op")
    after = list(found.every("staff"))
    states = {frozenset((p.a.name, p.b.name)): (p.state, p.cosine) for p in after}
    assert states == {frozenset(k): (p.state, p.cosine) for k, p in before.items()}
    assert gallery.check() == []


def test_what_is_said_to_differ_is_asked_again_only_where_it_is_nearer(gallery: Gallery) -> None:
    pair = double(gallery, 0.6)
    found = Duplicates(gallery)
    said = found.answer("staff", pair.id, "different", actor="op")
    assert found.answer("staff", pair.id, "different", actor="op") == said
    with pytest.raises(ReviewAnswered, match="'different' before"):
        found.answer("staff", pair.id, "same", actor="op")
    searched(gallery)
    assert found.find("staff") == []
    gallery.enrol("staff", pair.b.name, [face(near(1, 0.95, 904))])
    searched(gallery)
    (asked,) = found.find("staff")
    assert asked.cosine > 0.9 and asked.answer_id is None
    found.answer("staff", asked.id, "lookalike", actor="op")
    gallery.enrol("staff", pair.b.name, [face(near(1, 0.99, 905))])
    searched(gallery)
    assert found.find("staff") == [] and found.waiting("staff") == 0


def test_the_newest_answer_is_taken_back_first(gallery: Gallery) -> None:
    pair = double(gallery)
    found = Duplicates(gallery)
    unsure = found.answer("staff", pair.id, "unsure", actor="op")
    assert found.get("staff", pair.id).state == "unsure"
    sure = found.answer("staff", pair.id, "lookalike", actor="op")
    with pytest.raises(ReviewAnswered, match="take that back first"):
        found.undo("staff", unsure.id, actor="op")
    found.undo("staff", sure.id, actor="op")
    assert found.get("staff", pair.id).state == "unsure"
    found.undo("staff", unsure.id, actor="op")
    assert found.get("staff", pair.id).state == "open"


def test_two_faces_of_one_photo_are_two_people(gallery: Gallery) -> None:
    gallery.enrol("staff", "left", [face(direction(1), "photo", (0, 0, 9, 9))])
    gallery.enrol("staff", "right", [face(near(1, 0.95), "photo", (20, 0, 29, 9))])
    gallery.enrol("staff", "twice", [face(near(1, 0.99), "photo", (0, 0, 9, 8))])
    found = searched(gallery)
    states = {frozenset((p.a.name, p.b.name)): p for p in found.every("staff")}
    assert states[frozenset(("left", "right"))].state == "photo"
    same = states[frozenset(("left", "twice"))]
    assert (same.state, same.same_photo) == ("open", True)
    with pytest.raises(SamePhotoConflict):
        found.answer("staff", same.id, "same", actor="op")
    assert found.get("staff", same.id).state == "open"


# faces that become somebody else's


def resting(gallery: Gallery, pair: Pair) -> tuple[str, str]:
    """Of ``double``: Ann's id, and her face that is nearest to Anna."""
    (ann,) = [side for side in (pair.a, pair.b) if side.name == "Ann"]
    return ann.person_id, ann.face_id


def shown(gallery: Gallery) -> list[tuple[set[str], float]]:
    return [({p.a.name, p.b.name}, p.cosine) for p in Duplicates(gallery).find("staff")]


@pytest.mark.parametrize("how", ["split", "move"])
def test_a_pair_goes_with_the_face_it_rests_on(gallery: Gallery, how: str) -> None:
    pair = double(gallery)
    ann, face_id = resting(gallery, pair)
    other = gallery.find_person("staff", "person 5")
    if how == "split":
        gallery.split_person("staff", ann, [face_id], "Nan")
    else:
        gallery.move_face("staff", face_id, other.id)
    assert shown(gallery) == [({"Anna", "Nan" if how == "split" else "person 5"}, pair.cosine)]
    (now,) = Duplicates(gallery).find("staff")
    assert face_id in (now.a.face_id, now.b.face_id) and now.templates == 1
    if how == "move":  # and back
        gallery.move_face("staff", face_id, ann)
        assert shown(gallery) == [({"Anna", "Ann"}, pair.cosine)]


def test_a_pair_ends_where_both_its_faces_are_of_one_person(gallery: Gallery) -> None:
    pair = double(gallery)
    _, face_id = resting(gallery, pair)
    gallery.move_face("staff", face_id, (pair.a, pair.b)[pair.a.name == "Ann"].person_id)
    assert shown(gallery) == []
    again = searched(gallery).find("staff")
    assert [({p.a.name, p.b.name}, p.cosine) for p in again if "Ann" in (p.a.name, p.b.name)] != [
        ({"Ann", "Anna"}, pair.cosine)
    ]


def test_deleting_the_face_a_pair_rests_on_answers_nothing(gallery: Gallery) -> None:
    pair = double(gallery)
    _, face_id = resting(gallery, pair)
    gallery.delete_face("staff", face_id)
    assert shown(gallery) == [({"Ann", "Anna"}, pair.cosine)]


def test_what_a_run_found_of_the_merged_goes_with_their_faces(gallery: Gallery) -> None:
    """A run after the merge; then the merge is undone."""
    ann = enrol(gallery, "Ann", direction(1))
    bea = enrol(gallery, "Bea", direction(2))
    gallery.merge_people("staff", bea, ann, reversible=True)
    enrol(gallery, "Anna", near(1, 0.9))
    searched(gallery)
    ((couple, cosine),) = shown(gallery)
    assert couple == {"Bea", "Anna"}
    gallery.unmerge("staff", gallery.merges("staff")[0].id)
    assert shown(gallery) == [({"Ann", "Anna"}, cosine)]


def test_what_was_said_of_a_pair_stays_when_a_face_goes(gallery: Gallery) -> None:
    pair = double(gallery)
    ann, face_id = resting(gallery, pair)
    found = Duplicates(gallery)
    found.answer("staff", pair.id, "different", actor="op")
    gallery.split_person("staff", ann, [face_id], "Nan")
    assert shown(gallery) == [({"Anna", "Nan"}, pair.cosine)]
    assert found.get("staff", pair.id).state == "different"


def test_who_is_seen_together_no_more_is_asked_about(gallery: Gallery) -> None:
    gallery.enrol("staff", "a", [face(direction(1), "one", (0.0, 0.0, 10.0, 10.0))])
    kept = enrol(gallery, "a", near(1, 0.99, 950))
    gallery.enrol("staff", "b", [face(near(1, 0.6), "one", (50.0, 0.0, 60.0, 10.0))])
    enrol(gallery, "b", near(1, 0.98, 950))
    (pair,) = searched(gallery).find("staff", states=["photo"])
    first = next(f for f in gallery.faces("staff", kept) if f.photo_id == "one")
    assert first.id not in (pair.a.face_id, pair.b.face_id)
    gallery.split_person("staff", kept, [first.id], "c")
    assert shown(gallery) == [({"a", "b"}, pair.cosine)]


def test_a_face_given_away_while_a_block_is_compared_makes_no_pair(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = enrol(gallery, "Ann", direction(1), direction(2))
    enrol(gallery, "Anna", near(1, 0.9))
    real = Blocks.compare

    def meanwhile(*args: Any, **options: Any) -> Any:
        compared = real(*args, **options)
        gallery.split_person("staff", ann, [gallery.faces("staff", ann)[0].id], "Nan")
        return compared

    monkeypatch.setattr(Blocks, "compare", meanwhile)
    searched(gallery)
    assert shown(gallery) == []


def test_nothing_stays_of_somebody_deleted(gallery: Gallery) -> None:
    pair = double(gallery)
    found = Duplicates(gallery)
    said = found.answer("staff", pair.id, "same", actor="op")
    found.undo("staff", said.id, actor="op")
    found.answer("staff", found.find("staff")[0].id, "different", actor="op")
    gallery.delete_person("staff", pair.b.person_id)
    assert rows_in(gallery, answers) == rows_in(gallery, pairs) == rows_in(gallery, merges) == 0
    assert rows_in(gallery, runs) == 1
    assert tidy(gallery, runs_kept=timedelta(0)) == (1, 0)


def test_the_audit_says_who_decided(gallery: Gallery) -> None:
    pair = double(gallery)
    with acting("account:7"):
        said = Duplicates(gallery).answer("staff", pair.id, "same", actor="op")
    Duplicates(gallery).undo("staff", said.id, actor="op")
    rows = Audit(gallery).find(collection="staff")
    assert [(row.verb, row.actor) for row in rows][:5] == [
        ("duplicates.undo", "library"), ("person.unmerge", "library"),
        ("duplicates.answer", "account:7"), ("person.merge", "account:7"),
        ("duplicates.begin", "library"),
    ]  # fmt: skip
    assert rows[2].details["verdict"] == "same" and len(rows[2].details["people"]) == 2


# groups


def test_groups_keep_apart_who_is_not_one(gallery: Gallery) -> None:
    for name, cosine, other in (("a", 1.0, 900), ("b", 0.9, 900), ("c", 0.9, 901)):
        enrol(gallery, name, near(1, cosine, other))
    enrol(gallery, "d", direction(7))
    enrol(gallery, "e", near(7, 0.9))
    found = searched(gallery)
    first, second = found.groups("staff")
    assert [s.name for s in first.people] == ["a", "b", "c"]
    assert [s.name for s in second.people] == ["d", "e"]
    assert len(first.pairs) == 3 and first.refused == ()
    pair = next(p for p in found.every("staff") if {p.a.name, p.b.name} == {"b", "c"})
    found.answer("staff", pair.id, "different", actor="op")
    first, second = found.groups("staff")
    assert [len(first.people), len(second.people)] == [2, 2]
    (apart,) = [g for g in (first, second) if g.people[0].name == "a"]
    assert len(apart.refused) == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_groups_are_components_and_never_hold_two_who_differ(data: st.DataObject) -> None:
    edge = st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda e: e[0] < e[1])
    edges = data.draw(st.sets(edge, max_size=14))
    never = data.draw(st.sets(edge, max_size=4))
    found = [made(a, b, 0.5 + i / 100) for i, (a, b) in enumerate(sorted(edges))]
    got = groups(found, [(str(a), str(b)) for a, b in never])
    together = [{int(s.person_id) for s in group.people} for group in got]
    assert sum(map(len, together)) == len(set().union(*together)) if together else True
    assert not any({a, b} <= group for a, b in never for group in together)
    if not never:
        parent = list(range(8))
        for a, b in edges:
            old, new = parent[a], parent[b]
            parent = [new if p == old else p for p in parent]
        real = {frozenset(i for i in range(8) if parent[i] == p) for p in parent}
        assert {frozenset(group) for group in together} == {c for c in real if len(c) > 1}


def made(a: int, b: int, cosine: float) -> Pair:
    first, second = (Side(str(i), f"p{i}", "staff", "", 1) for i in (a, b))
    now = datetime.now(UTC)
    return Pair(f"{a}-{b}", "r", first, second, cosine, 0.9, 1e-5, 1, "open", False, now, None)


def test_whoever_is_subscribed_is_told_of_a_run_that_is_done(gallery: Gallery) -> None:
    Outbox(gallery).subscribe({"hook": None})
    double(gallery)
    (event,) = Events(gallery).find("staff", kinds=["duplicate"])
    assert event.grounds["details"]["pairs"] == 1 and event.actor == "op"
    assert Outbox(gallery).counts()["hook"]["waiting"] == 1
    work_on = Worker(gallery, lambda: CALIBRATION)
    run = Duplicates(gallery).runs.begin("staff", CALIBRATION, actor="op")
    work_on.start()
    for _ in range(400):
        if Duplicates(gallery).runs.get("staff", run.id).state == "done":
            break
        time.sleep(0.02)
    work_on.close()
    assert len(Events(gallery).find("staff", kinds=["duplicate"])) == 2


def test_a_run_that_was_stopped_and_let_go_on_before_its_turn_waits(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    double(gallery)
    found = Duplicates(gallery).runs
    run = found.begin("staff", CALIBRATION, actor="op")
    worker = Worker(gallery, lambda: CALIBRATION)
    listed = worker._runs.waiting()
    found.stop("staff", run.id)

    def let_go_on(*args: Any, **options: Any) -> Run:
        try:
            return work(*args, **options)
        finally:
            found.go_on("staff", run.id)  # just after the worker met it stopped

    monkeypatch.setattr("arcid.apps.duplicates.worker.work", let_go_on)
    worker._work(*listed[0])
    assert found.get("staff", run.id).state == "waiting"


def test_a_service_leaves_alone_a_run_that_was_stopped_before_its_turn(gallery: Gallery) -> None:
    double(gallery)
    found = Duplicates(gallery).runs
    run = found.begin("staff", CALIBRATION, actor="op")
    found.stop("staff", run.id)
    with pytest.raises(UsageError, match="go on first"):
        work(gallery, "staff", run.id, CALIBRATION, holder="service")
    assert found.get("staff", run.id).state == "stopped"
    found.go_on("staff", run.id)
    assert work(gallery, "staff", run.id, CALIBRATION, holder="service").state == "done"


def test_a_service_takes_up_what_it_left(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    double(gallery)
    found = Duplicates(gallery).runs
    run = found.begin("staff", CALIBRATION, actor="op")
    left = work(gallery, "staff", run.id, CALIBRATION, holder="service", left="waiting",
                stopped=lambda: True)  # fmt: skip
    assert left.state == "waiting" and found.waiting() == [("staff", run.id)]
    with gallery.database.write() as connection:  # as a process that was killed leaves it
        old = {"state": "running", "owner": "x" * 32, "beat_at": 0, "holder": "service process 1"}
        connection.execute(runs.update().where(runs.c.uid == run.id).values(old))
    assert found.get("staff", run.id).silent
    found.take_up()
    assert found.waiting() == [("staff", run.id)]
    found.fail("staff", run.id, "no calibration")
    assert found.get("staff", run.id).problem == "no calibration"
    assert found.go_on("staff", run.id).state == "waiting"
