"""Layouts of the seeds' sets, made up small; sets that are here, measured beside what is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.apps.evaluate_seeds import PUBLISHED, SETS
from arcid.errors import DatasetInvalid, UsageError
from arcid.evaluate import readers
from arcid.evaluate.readers import PairList


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"picture " + name.encode())


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def pairs(listed: PairList) -> set[tuple[str, str, bool]]:
    names = listed.unit_names
    return {
        (names[a], names[b], bool(same))
        for a, b, same in zip(listed.first, listed.second, listed.same, strict=True)
    }


# RFW


def rfw(root: Path, group: str, count: int) -> None:
    """``count`` folds of two pairs of one person and two of two."""
    lines = []
    for fold in range(count):
        a, b = f"m.{fold}a", f"m.{fold}b"
        touch(root / "data" / group, *(f"{p}/{p}_000{i}.jpg" for p in (a, b) for i in (1, 2)))
        lines += [f"{a}\t1\t2", f"{b}\t1\t2", f"{a}\t1\t{b}\t2", f"{a}\t2\t{b}\t1"]
    write(root / "txts" / group / f"{group}_pairs.txt", *lines)


def test_rfw_in_four_groups(tmp_path: Path) -> None:
    rfw(tmp_path, "African", 10)
    rfw(tmp_path, "Indian", 3)
    found = readers.read_rfw(tmp_path)
    assert [(name, one.name, len(one)) for name, one in found.items()] == [
        ("African", "rfw-african", 40), ("Indian", "rfw-indian", 12),
    ]  # fmt: skip
    african = found["African"]
    assert african.folds is not None and african.folds.tolist() == [i // 4 for i in range(40)]
    assert found["Indian"].folds is None
    assert ("m.0a/m.0a_0001", "m.0a/m.0a_0002", True) in pairs(african)
    assert ("m.0a/m.0a_0001", "m.0b/m.0b_0002", False) in pairs(african)
    numbers = african.person_numbers()
    np.testing.assert_array_equal(numbers[african.first] == numbers[african.second], african.same)


@pytest.mark.parametrize(
    ("line", "told"),
    [("m.0a 1", "line 1: expected"), ("m.0a 1 m.0a 2", "twice"), ("m.0a 1 9", "which is not"),
     ("../x 1 2", "leads out"), ("m.0a 1 x", "whole number")],
)  # fmt: skip
def test_rfw_says_what_is_wrong(tmp_path: Path, line: str, told: str) -> None:
    rfw(tmp_path, "Asian", 1)
    touch(tmp_path / "data/Asian", "../x/x_0001.jpg")
    write(tmp_path / "txts/Asian/Asian_pairs.txt", line)
    with pytest.raises(DatasetInvalid, match=told):
        readers.read_rfw(tmp_path)
    with pytest.raises(DatasetInvalid, match="txts/GROUP"):
        readers.read_rfw(tmp_path / "data")


# masks


def test_masked_pair_lists_with_the_label_first_or_last(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/2_mask.jpg", "b/1.jpg")
    last = write(tmp_path / "last.txt", "a/1.jpg a/2_mask.jpg 1", "a/1.jpg b/1.jpg 0")
    first = write(tmp_path / "first.txt", "1,a/1.jpg,a/2_mask.jpg", "0, a/1.jpg, b/1.jpg")
    found = [readers.read_labelled_list(path, tmp_path, name="m") for path in (last, first)]
    assert pairs(found[0]) == pairs(found[1]) == {
        ("a/1.jpg", "a/2_mask.jpg", True), ("a/1.jpg", "b/1.jpg", False),
    }  # fmt: skip
    with pytest.raises(DatasetInvalid, match="line 1"):
        readers.read_labelled_list(write(tmp_path / "x", "2 a/1.jpg b/1.jpg"), tmp_path, name="m")


def test_rmfrd_compares_masked_with_bare(tmp_path: Path) -> None:
    bare, masked = "AFDB_face_dataset", "AFDB_masked_face_dataset"
    touch(tmp_path, *(f"{bare}/{p}/{i}.jpg" for p in ("ann", "ben", "cleo") for i in (0, 1)))
    touch(tmp_path, f"{masked}/ann/0.jpg", f"{masked}/ann/1.jpg", f"{masked}/ben/0.jpg",
          f"{masked}/nobody/0.jpg", f"{masked}/ben/notes.txt", f"{masked}/ann/._0.jpg")  # fmt: skip
    found = readers.read_rmfrd(tmp_path)
    assert pairs(found) == {
        (f"{masked}/ann/0.jpg", f"{bare}/ann/0.jpg", True),
        (f"{masked}/ann/0.jpg", f"{bare}/ben/0.jpg", False),
        (f"{masked}/ann/1.jpg", f"{bare}/ann/1.jpg", True),
        (f"{masked}/ann/1.jpg", f"{bare}/ben/1.jpg", False),
        (f"{masked}/ben/0.jpg", f"{bare}/ben/0.jpg", True),
        (f"{masked}/ben/0.jpg", f"{bare}/ann/0.jpg", False),
    }
    shutil.rmtree(tmp_path / masked / "ben")
    with pytest.raises(DatasetInvalid, match="1 people are both"):
        readers.read_rmfrd(tmp_path)
    with pytest.raises(DatasetInvalid, match="no folder"):
        readers.read_rmfrd(tmp_path / bare)


# Trillion-Pairs


def test_trillion_pairs(tmp_path: Path) -> None:
    names = ["00/a.jpg", "00/b.jpg", "01/far.jpg"]
    touch(tmp_path / "testdata", *names)
    write(tmp_path / "testdata_lmk.txt",
          *(f"{name} " + " ".join(map(str, range(10))) for name in names))  # fmt: skip
    found = readers.read_trillion_pairs(tmp_path)
    assert [photo.name for photo in found.photos] == names
    np.testing.assert_array_equal(found.photos[0].points, np.arange(10).reshape(5, 2))
    with pytest.raises(DatasetInvalid, match="without labels"):
        found.parts()
    write(tmp_path / "labels.txt", "00/a.jpg ann", "00/b.jpg ann", "01/far.jpg -")
    near, people, far = readers.read_trillion_pairs(tmp_path).parts()
    assert [p.name for p in near] == names[:2] and people == ["ann", "ann"]
    assert [p.name for p in far] == names[2:]
    write(tmp_path / "labels.txt", "00/gone.jpg ann")
    with pytest.raises(DatasetInvalid, match=r"labels.txt line 1"):
        readers.read_trillion_pairs(tmp_path)
    write(tmp_path / "testdata_lmk.txt", "00/a.jpg 1 2 3")
    with pytest.raises(DatasetInvalid, match="ten coordinates"):
        readers.read_trillion_pairs(tmp_path)


# IJB-S


@pytest.fixture
def ijbs(tmp_path: Path) -> Path:
    meta = [f"{s},videos/{v}.mp4,1" for s, v in ((7, 40), (7, 41), (8, 40), (9, 42))]
    write(tmp_path / "protocols/cs6_metadata.csv", "SUBJECT_ID,FILE,FRAME", *meta, "7,img/1.jpg,0")
    for name, videos in (("single-booking", (40,)), ("surveillance", (40, 41))):
        lines = [f"videos/{v}.mp4" for v in videos]
        write(tmp_path / f"protocols/cs6_surveillance_to_{name}_probe.csv", "FILE", *lines)
    galleries = {
        "single": (["1,7,img/1.jpg"], ["2,8,img/2.jpg", "3,10,img/3.jpg"]),
        "booking": (["1,7,img/1.jpg", "1,7,img/4.jpg"], ["2,8,img/2.jpg"]),
        "surveillance": (["1,7,videos/40.mp4"], ["2,8,videos/40.mp4"]),
    }
    for name, parts in galleries.items():
        for part, lines in zip(("g1", "g2"), parts, strict=True):
            path = tmp_path / f"protocols/galleries/cs6_surveillance_to_{name}_{part}.csv"
            write(path, "TEMPLATE_ID,SUBJECT_ID,FILENAME", *lines)
    touch(
        tmp_path / "crops",
        *(f"7/videos_40_{frame}.jpg" for frame in (2, 10, 1)),
        *("7/videos_41_5.jpg", "7/videos_400_1.jpg", "8/videos_40_3.jpg", "7/img_1.jpg"),
        *("7/img_4.png", "8/img_2.jpg"),
    )
    return tmp_path


def test_ijbs_single_and_booking(ijbs: Path) -> None:
    found = readers.read_ijbs(ijbs)
    single = {"videos/40.mp4 7": {"1 7"}, "videos/40.mp4 8": {"2 8"}}
    assert {(a, b.partition(" ")[2]) for a, b, same in pairs(found) if same} == {
        (probe, template) for probe, those in single.items() for template in those
    }
    assert len(found) == 4 and found.same.sum() == 2  # nobody has a crop of subject 10
    frames = found.units[found.unit_names.index("videos/40.mp4 7")]
    assert [found.photos[i].name for i in frames] == [
        "7/videos_40_1.jpg", "7/videos_40_2.jpg", "7/videos_40_10.jpg",
    ]  # fmt: skip
    few = readers.read_ijbs(ijbs, max_frames=2)
    assert sorted(map(len, few.units)) == [1, 1, 1, 2]
    booking = readers.read_ijbs(ijbs, "booking")
    assert sorted(map(len, booking.units)) == [1, 1, 2, 3]


def test_ijbs_never_compares_a_video_with_itself(ijbs: Path) -> None:
    found = readers.read_ijbs(ijbs, "surveillance")
    assert {(a, b.partition(" ")[2]) for a, b, same in pairs(found) if same} == {
        ("videos/41.mp4 7", "1 7")
    }
    assert ("videos/40.mp4 7", "g2 2 8", False) in pairs(found)


def test_ijbs_says_what_is_missing(ijbs: Path) -> None:
    with pytest.raises(UsageError, match="uav"):
        readers.read_ijbs(ijbs, "uav")
    write(ijbs / "protocols/galleries/cs6_surveillance_to_single_g1.csv", "T,S,F", "1,7")
    with pytest.raises(DatasetInvalid, match="line 2: 3 columns"):
        readers.read_ijbs(ijbs)
    shutil.rmtree(ijbs / "crops")
    with pytest.raises(DatasetInvalid, match="ground truth"):
        readers.read_ijbs(ijbs, "booking")


# all of them


def test_what_is_published_is_of_a_set_that_is_known() -> None:
    known = {*SETS, "cfp-fp"}
    assert {name for name, _ in PUBLISHED} <= known
    assert all(0 < one.value < 1 and one.whose for these in PUBLISHED.values() for one in these)


@pytest.mark.data
def test_every_set_that_is_here_is_measured_and_told_beside_theirs(
    cli: Callable[..., Any], data_dir: Path, environment: Path, opened_models: None, tmp_path: Path
) -> None:
    lfw = data_dir / "data/lfw-dev"
    sets = tmp_path / "sets"
    lines = (lfw / "pairsDevTest.txt").read_text().splitlines()
    write(sets / "lfw-dev/pairsDevTest.txt", "6", *lines[1:7], *lines[501:507])
    (sets / "lfw-dev/images").symlink_to(lfw / "images")
    african = sets / "rfw/test"
    (african / "data").mkdir(parents=True)
    (african / "data/African").symlink_to(lfw / "images")
    write(african / "txts/African/African_pairs.txt", *lines[1:4], *lines[501:504])
    listed = [line.split("\t") for line in (*lines[1:3], *lines[501:503])]
    rows = [
        f"{f[0]}/{f[0]}_{int(f[1]):04d}.jpg {f[-2] if len(f) == 4 else f[0]}/"
        f"{f[-2] if len(f) == 4 else f[0]}_{int(f[-1]):04d}.jpg {int(len(f) == 3)}"
        for f in listed
    ]
    write(sets / "casia-masks/pairs.txt", *rows)
    (sets / "casia-masks/photos").symlink_to(lfw / "images")
    write(sets / "cplfw/notes.txt", "nothing")
    (sets / "bin").symlink_to(data_dir / "data/bin")
    ran = cli("evaluate", "seeds", "--data", sets, "-o", tmp_path / "out", "--json")
    assert ran.code == 0, ran.err
    found = {(row["set"], row["metric"]): row for row in ran.json["rows"]}
    ours = {key: row["ours"]["value"] for key, row in found.items() if row["ours"]}
    assert set(ours) == {
        ("lfw-dev", "accuracy"), ("rfw-african", "accuracy"), ("casia-masks", "accuracy"),
    }  # fmt: skip
    assert min(ours.values()) >= 0.75
    assert "0 lists of pairs" in found["cplfw", ""]["note"]
    assert "no pair of different people" in found["small_lfw.bin", ""]["note"]
    masks = found["casia-masks", "accuracy"]["published"]
    assert [one["value"] for one in masks] == [0.8795] and "HyperAI" in masks[0]["whose"]
    assert found["megaface", "rank 1 among 1,000,000"]["note"] == "not here"
    report = json.loads((tmp_path / "out/casia-masks/report.json").read_text())
    assert report["accuracy"] == ours["casia-masks", "accuracy"]
    shown = cli("evaluate", "seeds", "--data", sets, "--no-pictures")
    assert "87.95%" in shown.out and "HyperAI" in shown.out
    none = cli("evaluate", "seeds", "--data", sets / "cplfw")
    assert none.code == 3 and "folder of its own" in none.err
