"""Rates by group: counted by hand, warned about where small, labels read with line numbers."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.cli.evaluate_groups import _people_or_photos
from arcid.errors import DatasetInvalid, InvalidArray
from arcid.evaluate.fairness import fairness, fairness_of_scores, labels_for, read_groups
from arcid.evaluate.pairs import PairScores

THRESHOLD = 0.5


def test_a_hidden_picture_beside_people_is_none_of_the_data(tmp_path: Path) -> None:
    for name in ("ann/1.jpg", "ben/1.jpg", "ben/._1.jpg", "._ann.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    photos, people = _people_or_photos(tmp_path)
    assert [photo.name for photo in photos] == ["ann/1.jpg", "ben/1.jpg"]
    assert people == ["ann", "ben"]


def population(seed: int = 0) -> tuple[Any, list[str], Any]:
    """Two groups of sixty people with three photos; those of ``b`` look more alike."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(120), 3)
    centres = rng.standard_normal((120, 32))
    centres[60:] += 0.75 * rng.standard_normal(32)
    raw = centres[people] + 0.5 * rng.standard_normal((360, 32))
    vectors = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    return vectors, ["a" if p < 60 else "b" for p in people], people


def test_rates_are_those_of_counting() -> None:
    vectors, groups, people = population()
    found = fairness(vectors, groups, THRESHOLD, people=people)
    scores = vectors @ vectors.T
    upper = np.triu(np.ones_like(scores, bool), 1)
    for g in found.groups:
        inside = np.array([x == g.group for x in groups])
        both = upper & inside[:, None] & inside[None]
        same = people[:, None] == people[None]
        assert g.fmr is not None
        assert g.fnmr is not None
        assert g.fmr.trials == (both & ~same).sum()
        assert g.fmr.count == (both & ~same & (scores >= THRESHOLD)).sum()
        assert g.fnmr.count == (both & same & (scores < THRESHOLD)).sum()
        assert g.fmr.low < g.fmr.value < g.fmr.high
        assert (g.photos, g.people) == (180, 60)


def test_the_group_of_look_alikes_stands_out() -> None:
    vectors, groups, people = population()
    found = fairness(vectors, groups, THRESHOLD, people=people)
    (ratio,) = [r for r in found.ratios if r.rate == "fmr"]
    assert (ratio.worst, ratio.best) == ("b", "a")
    assert 1 < ratio.low < ratio.value < ratio.high
    assert found.groups[0].group == "b"
    assert "times as high for b as for a" in found.describe()[0]
    assert found.to_dict()["ratios"][0]["worst"] == "b"


def test_equal_groups_are_not_told_apart() -> None:
    rng = np.random.default_rng(3)
    raw = rng.standard_normal((400, 24))
    vectors = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    found = fairness(vectors, ["a", "b"] * 200, 0.4)
    (ratio,) = found.ratios
    assert ratio.low < 1.25
    assert ratio.value < 1.5


def test_small_groups_are_warned_about_and_left_out_of_the_ratio() -> None:
    vectors, groups, people = population()
    few = ["c" if p < 4 else g for p, g in zip(people, groups, strict=True)]
    found = fairness(vectors, few, THRESHOLD, people=people)
    (small,) = [g for g in found.groups if g.group == "c"]
    assert any("4 people are too few to state an FMR" in w for w in small.warnings)
    assert all("c" not in (r.worst, r.best) for r in found.ratios)
    strict = fairness(vectors, groups, 0.93, people=people)
    assert any("errors are expected" in w for g in strict.groups for w in g.warnings)
    assert not any(r.rate == "fmr" for r in strict.ratios)


def test_a_best_group_of_few_errors_or_none_gives_no_endless_ratio() -> None:
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((400, 64))
    raw[:200, 0] += 6  # of a group that looks alike
    raw[200:, 1] += 2.2
    vectors = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    counts = []
    for threshold in (0.53, 0.6):
        found = fairness(vectors, ["a"] * 200 + ["b"] * 200, threshold)
        alike, other = found.groups
        assert alike.fmr is not None and other.fmr is not None and alike.fmr.count > 60
        counts.append(other.fmr.count)
        if other.fmr.count:
            (ratio,) = found.ratios
            assert ratio.value < ratio.high < ratio.value * 10
            continue
        assert not found.ratios
        assert "b: no error was seen in 19,900 pairs" in found.describe()[0]
    assert 0 < counts[0] < 5 and counts[1] == 0


def test_no_false_match_is_bounded_by_the_rule_of_3() -> None:
    vectors, groups, people = population()
    found = fairness(vectors, groups, 0.999, people=people)
    for g in found.groups:
        assert g.fmr is not None
        assert (g.fmr.value, g.fmr.high) == (0, pytest.approx(3 / g.fmr.trials))


def test_failed_photos_are_false_non_matches() -> None:
    vectors, groups, people = population()
    failed = np.zeros(360, bool)
    failed[0] = True
    blank = vectors.copy()
    blank[0] = 0
    before = fairness(vectors, groups, 0.0, people=people)
    after = fairness(blank, groups, 0.0, people=people, failed=failed)
    count = {r: {g.group: g.fnmr.count for g in f.groups if g.fnmr}
             for r, f in (("before", before), ("after", after))}  # fmt: skip
    assert count["after"]["a"] == count["before"]["a"] + 2
    assert count["after"]["b"] == count["before"]["b"]


def test_without_identities_doubles_can_be_set_aside() -> None:
    vectors, groups, _ = population()
    everything = fairness(vectors, groups, THRESHOLD)
    apart = fairness(vectors, groups, THRESHOLD, same_person_above=0.75)
    assert all(g.fnmr is None for g in apart.groups)
    assert apart.set_aside > 250  # nearly all of the 360 pairs of one person
    counts = [sum(g.fmr.count for g in f.groups if g.fmr) for f in (everything, apart)]
    assert counts[0] - counts[1] == apart.set_aside


def test_scored_pairs_give_the_same_rates() -> None:
    vectors, groups, people = population()
    first, second = np.triu_indices(len(people), 1)
    scores = np.einsum("md,md->m", vectors[first], vectors[second])
    pairs = PairScores(scores, people[first] == people[second], people[first], people[second])
    labels = [groups[a] if groups[a] == groups[b] else None
              for a, b in zip(first, second, strict=True)]  # fmt: skip
    ours = fairness_of_scores(pairs, labels, THRESHOLD)
    theirs = fairness(vectors, groups, THRESHOLD, people=people)
    assert ours.unlabelled == 180 * 180
    for a, b in zip(ours.groups, theirs.groups, strict=True):
        assert (a.group, a.people) == (b.group, b.people)
        assert a.fmr is not None
        assert b.fmr is not None
        assert (a.fmr.count, a.fmr.trials) == (b.fmr.count, b.fmr.trials)
        assert a.fmr.high == pytest.approx(b.fmr.high, rel=1e-6)


def test_labels_from_csv(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("photo,group,age\na/1.jpg,x,30\nb/1.jpg,y,41\n", "utf-8")
    assert read_groups(path) == {"a/1.jpg": "x", "b/1.jpg": "y"}
    assert read_groups(path, "age")["b/1.jpg"] == "41"
    assert labels_for(["a/1.jpg", "c/1.jpg"], read_groups(path)) == ["x", None]
    assert labels_for(["20_0"], lambda name: name.split("_")[1]) == ["0"]
    with pytest.raises(DatasetInvalid, match="no photo has a group label"):
        labels_for(["c/1.jpg"], read_groups(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photo,age\na,1\n", "line 1: no column group"),
        ("photo,group\na,x\nb,\n", "line 3: a value is missing"),
        ("photo,group\na,x\na,y\n", "line 3: 'a' is there twice"),
        ("photo,group\n", "labels no photo"),
    ],
)
def test_bad_labels_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(DatasetInvalid, match=message):
        read_groups(path)


def test_lengths_must_agree() -> None:
    vectors, groups, _ = population()
    with pytest.raises(InvalidArray, match="360 photos but 359 groups"):
        fairness(vectors, groups[1:], THRESHOLD)


def test_many_photos_of_one_person_are_not_copied_for_each_pair() -> None:
    vectors = np.random.default_rng(4).standard_normal((242, 512)).astype(np.float32)
    tracemalloc.start()
    found = fairness(vectors, ["a"] * 242, 0.5, people=[0] * 240 + [1, 2], replicates=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.groups[0].fnmr is not None
    assert peak < 512 * 4 * found.groups[0].fnmr.trials / 2
