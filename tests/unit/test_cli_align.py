"""``arcid align``: crops that training reads, of photographs that were not made for it."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pil

from arcid import files
from arcid.apps.aligning import How, align_photos, list_photos
from arcid.errors import DatasetInvalid, UsageError
from arcid.geometry import template_points
from arcid.image import load_image
from arcid.pipeline import load_detector
from arcid.train.config.recipe import SourceConfig
from arcid.train.data.crops import canvas_size, decode_crop, fit_crop
from arcid.train.data.sources import ImageSource, open_source

pytestmark = pytest.mark.data
Cli = Callable[..., Any]


@pytest.fixture
def pairs(data_dir: Path) -> Path:
    return data_dir / "data" / "deepface-pairs"


@pytest.fixture
def messy(data_dir: Path, pairs: Path, tmp_path: Path) -> Path:
    """Two people as they come from a disk, each kind of trouble once."""
    root, photos = tmp_path / "people", data_dir / "data" / "photos"
    ada, grace = root / "Ada", root / "Grace"
    (ada / "old" / "deep").mkdir(parents=True)
    grace.mkdir()
    shutil.copy(pairs / "img1.jpg", ada / "1.jpg")
    shutil.copy(pairs / "img1.jpg", ada / "copy.jpg")
    Pil.fromarray(load_image(pairs / "img1.jpg")).save(ada / "pixels.png")
    shutil.copy(pairs / "img2.jpg", ada / "old" / "deep" / "1.jpg")
    shutil.copy(pairs / "img4.jpg", ada / "1.jpeg")
    shutil.copy(pairs / "img20.jpg", ada / "both.jpg")
    shutil.copy(pairs / "img20.jpg", grace / "x.jpg")
    shutil.copy(pairs / "img3.jpg", grace / "1.jpg")
    shutil.copy(photos / "misc" / "no_face.png", grace / "none.png")
    shutil.copy(photos / "group" / "couple.jpg", grace / "couple.jpg")
    (grace / "broken.jpg").write_bytes((pairs / "img5.jpg").read_bytes()[:3000])
    far = Pil.open(pairs / "img12.jpg")
    far.thumbnail((56, 56))
    room = Pil.new("RGB", (160, 160), (90, 110, 100))
    room.paste(far, (50, 50))
    room.save(grace / "far.png")
    (grace / "IMG_1.HEIC").write_bytes(b"a phone's")
    (grace / ".hidden.jpg").write_bytes(b"")
    shutil.copy(pairs / "img6.jpg", root / "stray.jpg")
    return root


MANY = 150


@pytest.fixture
def few(data_dir: Path, tmp_path: Path) -> Path:
    """24 photos of three people, as far as the folders say."""
    return people_of(data_dir, tmp_path / "people", 8)


@pytest.fixture
def many(data_dir: Path, tmp_path: Path) -> Path:
    """So many that a busy machine does not finish them between a look and a signal."""
    return people_of(data_dir, tmp_path / "people", MANY // 3)


def people_of(data_dir: Path, folder: Path, each: int) -> Path:
    images = data_dir / "data" / "lfw-dev" / "images"
    photos = [p for person in sorted(images.iterdir()) for p in sorted(person.iterdir())]
    for number, photo in enumerate(photos[: 3 * each]):
        target = folder / f"p{number // each}" / photo.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, target)
    return folder


def digest(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def crops(out: Path) -> dict[str, bytes]:
    """What training reads: key → encoded."""
    source = reader(out)
    return {source.key(i): source.read(i) for i in range(len(source))}


def reader(out: Path) -> ImageSource:
    return open_source(SourceConfig(path=str(out)))


def report_of(out: Path) -> Path:
    return Path(f"{out}.report.csv") if out.suffix else out / "report.csv"


def rows(report: Path) -> dict[str, dict[str, str]]:
    with report.open(newline="", encoding="utf-8") as stream:
        return {row["photo"]: row for row in csv.DictReader(stream)}


# what comes out


def test_every_photo_has_a_crop_or_a_reason(cli: Cli, messy: Path, tmp_path: Path) -> None:
    before, out = digest(messy), tmp_path / "crops"
    ran = cli("align", messy, out, "--json")
    assert ran.code == 0 and ran.err == ""
    assert digest(messy) == before
    reasons = {name: row["left_out"] for name, row in rows(out / "report.csv").items()}
    assert reasons == {
        "Ada/1.jpeg": "",
        "Ada/1.jpg": "",
        "Ada/both.jpg": "conflict",
        "Ada/copy.jpg": "duplicate",
        "Ada/old/deep/1.jpg": "",
        "Ada/pixels.png": "duplicate",
        "Grace/1.jpg": "",
        "Grace/IMG_1.HEIC": "not_a_photo",
        "Grace/broken.jpg": "image_unreadable",
        "Grace/couple.jpg": "several_faces_found",
        "Grace/far.png": "too_small",
        "Grace/none.png": "no_face_found",
        "Grace/x.jpg": "conflict",
        "stray.jpg": "no_person",
    }
    named = {n: row["crop"] for n, row in rows(out / "report.csv").items() if row["crop"]}
    assert named == {
        "Ada/1.jpeg": "Ada/1.png",
        "Ada/1.jpg": "Ada/1-2.png",
        "Ada/old/deep/1.jpg": "Ada/old-deep-1.png",
        "Grace/1.jpg": "Grace/1.png",
    }
    assert set(crops(out)) == set(named.values())
    detail = {name: row["detail"] for name, row in rows(out / "report.csv").items()}
    assert "Grace/x.jpg" in detail["Ada/both.jpg"] and "Ada/both.jpg" in detail["Grace/x.jpg"]
    assert "Ada/1.jpg" in detail["Ada/copy.jpg"]
    assert ".HEIC" in detail["Grace/IMG_1.HEIC"]

    seconds = ran.json.pop("seconds")
    assert seconds > 0
    assert {k: v for k, v in ran.json.items() if k != "seconds"} == {
        "out": str(out),
        "report": str(out / "report.csv"),
        "people": 2,
        "photos": 14,
        "crops": 4,
        "left_out": 10,
        "left_out_by_reason": {
            "conflict": 2, "duplicate": 2, "not_a_photo": 1, "no_face_found": 1,
            "image_unreadable": 1, "several_faces_found": 1, "too_small": 1, "no_person": 1,
        },
        "several_faces": 0,
        "looked_at": 12,
        "source": {"path": str(out)},
    }  # fmt: skip


def test_the_summary_is_in_plain_words(cli: Cli, messy: Path, tmp_path: Path) -> None:
    ran = cli("align", messy, tmp_path / "crops", "--several", "take")
    assert ran.code == 0
    first, *others = ran.out.splitlines()
    assert first == f"5 crops of 2 people from 14 photos, in {tmp_path / 'crops'}"
    assert "9 left out: 2 conflict, 2 duplicate, 1" in others[0]
    assert others[1] == "in 1 photos several faces may be meant; the most prominent was taken"
    assert "Ada/both.jpg: the same picture is Grace/x.jpg" in ran.err
    again = cli("align", messy, tmp_path / "crops", "--several", "take")
    assert again.out.splitlines()[1] == "11 photos were finished before"  # one cannot be opened
    taken = rows(tmp_path / "crops" / "report.csv")["Grace/couple.jpg"]
    assert taken["crop"] == "Grace/couple.png" and int(taken["faces"]) >= 2
    assert taken["detail"] == "the most prominent of 2 faces that may be meant"


@pytest.mark.parametrize("layout", ["folder", "tar", "shards"])
def test_training_reads_the_same_people(cli: Cli, few: Path, tmp_path: Path, layout: str) -> None:
    out = tmp_path / ("crops.tar" if layout == "tar" else "crops")
    words = ["--shards", 3] if layout == "shards" else []
    ran = cli("align", few, out, "--format", "webp", "--json", *words)
    assert ran.code == 0
    source = open_source(SourceConfig(**ran.json["source"]))
    assert list(source.identities) == sorted(p.name for p in few.iterdir())
    keys = [source.key(i).partition(":")[2] or source.key(i) for i in range(len(source))]
    assert [key.split("/")[0] for key in keys] == [
        source.identities[person] for person in source.identity
    ]
    expected = {p.relative_to(few).with_suffix(".webp").as_posix() for p in few.rglob("*.jpg")}
    assert set(keys) == expected and len(keys) == 24
    assert {decode_crop(source.read(i)).shape for i in range(24)} == {(128, 128, 3)}
    left = {p.name for p in tmp_path.iterdir()} - {"people", "home"}
    if layout == "tar":
        assert left == {"crops.tar", "crops.tar.report.csv", "crops.tar.journal.jsonl"}
    else:
        assert left == {"crops"} and not (out / ".unfinished").exists()
    if layout == "shards":
        assert sorted(p.name for p in out.glob("*.tar")) == [f"crops-00{i}.tar" for i in range(3)]
    if os.name == "posix":
        assert {p.stat().st_mode & 0o077 for p in tmp_path.rglob("crops*") if p.is_file()} <= {0}


@pytest.mark.parametrize(("size", "margin"), [(128, 8), (112, 0), (256, 16), (160, 0)])
def test_the_template_is_in_the_middle(pairs: Path, tmp_path: Path, size: int, margin: int) -> None:
    """The canvas that training makes of a crop has the five points where a network expects them."""
    person = tmp_path / "people" / "Ada"
    person.mkdir(parents=True)
    shutil.copy(pairs / "img1.jpg", person)
    detector = load_detector()
    report = align_photos(
        list_photos(person.parent), detector, tmp_path / "crops", How(size, margin)
    )
    config = SourceConfig(**report.source)
    crop = decode_crop(open_source(config).read(0))
    assert crop.shape == (size, size, 3)
    canvas = fit_crop(crop, config.margin_px, 112)
    assert canvas.shape[0] == canvas_size(112) == 128
    wide = cv2.copyMakeBorder(canvas, 64, 64, 64, 64, cv2.BORDER_REPLICATE)
    points = detector.detect([np.asarray(wide, np.uint8)])[0].points[0] - 64
    off = points - template_points(112) - 8
    assert np.abs(off.mean(axis=0)).max() < 1
    assert points.std() == pytest.approx(template_points(112).std(), rel=0.05)


def test_a_face_that_fills_the_frame(cli: Cli, few: Path, pairs: Path, tmp_path: Path) -> None:
    image = load_image(pairs / "img1.jpg")
    x0, y0, x1, y1 = load_detector().detect([image])[0].boxes[0].astype(int).clip(0)
    face = Pil.fromarray(image[y0:y1, x0:x1]).resize((500, 500))
    person = tmp_path / "tight" / "Ada"
    person.mkdir(parents=True)
    face.save(person / "tight.png")
    ran = cli("align", person.parent, tmp_path / "crops", "--json")
    assert (ran.code, ran.json["crops"]) == (0, 1)


def test_quality_leaves_out_what_enrolling_refuses(
    cli: Cli, data_dir: Path, pairs: Path, tmp_path: Path
) -> None:
    person = tmp_path / "people" / "Ada"
    person.mkdir(parents=True)
    Pil.fromarray(load_image(pairs / "img1.jpg") // 8).save(person / "1.png")
    shutil.copy(pairs / "img2.jpg", person)
    assert cli("align", person.parent, tmp_path / "all", "--json").json["crops"] == 2
    ran = cli("align", person.parent, tmp_path / "good", "--quality", "--json").json
    assert (ran["crops"], ran["left_out_by_reason"]) == (1, {"too_dark": 1})


def test_nothing_to_train_on_is_exit_code_1(cli: Cli, data_dir: Path, tmp_path: Path) -> None:
    person = tmp_path / "people" / "Ada"
    person.mkdir(parents=True)
    shutil.copy(data_dir / "data/photos/misc/no_face.png", person)
    for out in ("crops", "crops.tar"):
        ran = cli("align", person.parent, tmp_path / out)
        assert ran.code == 1 and "0 crops of 0 people from 1 photos" in ran.out
    assert not (tmp_path / "crops.tar").exists()


# going on


def started(people: Path, out: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "arcid", "align", people, out, *words]
    environment = {**os.environ, "ARCID_THREADS": "1"}
    # background jobs of a shell, and their children, may be told to ignore it
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return subprocess.Popen(
            [str(word) for word in command], env=environment, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)


def wait_for_lines(process: subprocess.Popen[str], journal: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not journal.is_file() or journal.read_bytes().count(b"\n") < count:
        assert process.poll() is None and time.monotonic() < deadline, "it ended too soon"
        time.sleep(0.002)


@pytest.mark.soak
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("layout", ["folder", "tar"])
def test_a_killed_run_goes_on(cli: Cli, many: Path, tmp_path: Path, layout: str) -> None:
    whole, out = (tmp_path / f"{n}{'.tar' * (layout == 'tar')}" for n in ("whole", "crops"))
    assert cli("align", many, whole).code == 0
    journal = out / ".journal.jsonl" if layout == "folder" else Path(f"{out}.journal.jsonl")
    finished: list[int] = []
    for lines in (20, 60):
        process = started(many, out)
        wait_for_lines(process, journal, lines)
        process.kill()
        process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL
        finished.append(journal.read_bytes().count(b"\n") - 1)
        with journal.open("r+b") as stream:  # and the last line was cut short
            stream.truncate(journal.stat().st_size - 9)
        assert layout == "folder" or not out.exists()
    assert finished[0] < finished[1] < MANY
    ran = cli("align", many, out, "--json")
    assert ran.code == 0
    assert ran.json["looked_at"] == MANY - (finished[1] - 2)  # of each kill one line was lost
    assert crops(out) == crops(whole)
    assert rows(report_of(out)) == rows(report_of(whole))
    assert not list(tmp_path.rglob("*.part")) and not Path(f"{out}.unfinished").exists()
    assert cli("align", many, out, "--json").json["looked_at"] == 0


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_an_interrupt_keeps_what_was_finished(cli: Cli, many: Path, tmp_path: Path) -> None:
    out = tmp_path / "crops"
    process = started(many, out)
    wait_for_lines(process, out / ".journal.jsonl", 5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and "what was finished is kept" in errors
    assert not (out / "report.csv").exists()
    ran = cli("align", many, out, "--json")
    assert 0 < ran.json["looked_at"] < MANY
    assert len(crops(out)) == ran.json["crops"] > MANY * 0.9


def test_packing_that_was_interrupted_goes_on(
    cli: Cli, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole" / "crops", tmp_path / "crops"
    assert cli("align", few, whole, "--shards", 3).code == 0
    move = files.move

    def stopped(path: Path, target: Path) -> None:
        if target.name.endswith("-001.tar"):
            raise KeyboardInterrupt
        move(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(files, "move", stopped)
        assert cli("align", few, out, "--shards", 3).code == 130
    assert [p.name for p in out.glob("*.tar")] == ["crops-000.tar"]
    assert cli("align", few, out, "--shards", 3, "--json").json["looked_at"] == 0
    assert crops(out) == crops(whole) and not (out / ".unfinished").exists()
    for photo in (few / "p1").iterdir():
        photo.unlink()
    assert cli("align", few, out, "--shards", 3, "--json").json["looked_at"] == 0
    assert {key.split(":")[1].split("/")[0] for key in crops(out)} == {"p0", "p2"}


@pytest.mark.parametrize("name", ["crops", "crops.tar"])
def test_what_came_changed_and_went_since(
    cli: Cli, few: Path, pairs: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    assert cli("align", few, out).code == 0
    photos = sorted(few.rglob("*.jpg"))
    photos[0].unlink()
    shutil.copy(pairs / "img3.jpg", photos[1])
    shutil.copy(photos[3], photos[2].with_name("0.jpg"))  # takes the place of a later one
    shutil.copytree(photos[-1].parent, few / "q0")  # everything of the last person conflicts
    ran = cli("align", few, out, "--json").json
    last = len(list((few / "q0").iterdir()))
    assert ran["looked_at"] == 2 + last
    assert ran["left_out_by_reason"] == {"conflict": 2 * last, "duplicate": 1}
    anew = tmp_path / f"anew-{name}"
    assert cli("align", few, anew).code == 0
    assert crops(out) == crops(anew)
    shutil.rmtree(few / "q0")
    assert cli("align", few, out, "--json").json["left_out_by_reason"] == {"duplicate": 1}
    assert len(crops(out)) == 23


def test_a_crop_that_was_lost_is_made_again(cli: Cli, few: Path, tmp_path: Path) -> None:
    out = tmp_path / "crops"
    cli("align", few, out)
    before = crops(out)
    next(iter(sorted(out.rglob("*.png")))).unlink()
    assert cli("align", few, out, "--json").json["looked_at"] == 1
    assert crops(out) == before


# what is refused


def test_a_place_that_holds_something_else_is_refused(
    cli: Cli, few: Path, pairs: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    (tmp_path / "crops.tar").write_bytes(b"somebody's")
    (tmp_path / "b.tar.report.csv").write_text("somebody's")
    before = digest(tmp_path)
    for out in (other, tmp_path / "crops.tar", tmp_path / "b.tar", other / "thesis.txt"):
        ran = cli("align", few, out, "--json")
        assert (ran.code, ran.json["error"]["code"]) == (2, "usage_error"), out
    for out in (few, few / "crops", few / "p0" / "x.tar", tmp_path):
        assert cli("align", few, out).code == 2, out
    assert cli("align", few, tmp_path / "c.tar", "--shards", 2).code == 2
    assert digest(tmp_path) == before


def test_another_way_or_folder_is_refused(cli: Cli, few: Path, pairs: Path, tmp_path: Path) -> None:
    for folder in sorted(few.iterdir())[1:]:
        shutil.rmtree(folder)
    out = tmp_path / "crops"
    assert cli("align", few, out).code == 0
    before = digest(out)
    ran = cli("align", few, out, "--size", 256, "--margin", 16)
    assert ran.code == 2 and "size was 128, not 256; margin was 8, not 16" in ran.err
    shutil.copytree(few, tmp_path / "others")
    ran = cli("align", tmp_path / "others", out)
    assert ran.code == 2 and f"folder was {few}" in ran.err
    assert digest(out) == before
    shutil.copy(pairs / "img1.jpg", out / "p0" / "by hand.jpg")
    ran = cli("align", few, out)
    assert ran.code == 2 and "p0/by hand.jpg" in ran.err
    assert (out / "p0" / "by hand.jpg").is_file()


def test_a_detector_without_points_leaves_nothing_behind(
    cli: Cli, few: Path, tmp_path: Path
) -> None:
    ran = cli("align", few, tmp_path / "crops", "--detector", "ultralight_rfb", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (3, "landmarks_required")
    assert not (tmp_path / "crops").exists()
    assert cli("align", few, tmp_path / "crops").code == 0


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
def test_two_at_once_are_refused(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "crops"
    listing = list_photos(few)
    align_photos(listing, load_detector(), out, How())
    with (
        files.alone(out / ".journal.jsonl"),
        pytest.raises(UsageError, match="another process"),
    ):
        align_photos(listing, load_detector(), out, How())


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 96}, {"size": 2000}, {"size": 128, "margin": 9}, {"margin": -1},
        {"shards": -1}, {"min_eyes_px": float("nan")}, {"format": "jpeg"}, {"several": "all"},
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        How(**wrong)


def test_a_folder_without_people_is_refused(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="not a folder"):
        list_photos(tmp_path / "none")
    shutil.copy(pairs / "img1.jpg", tmp_path)
    with pytest.raises(DatasetInvalid, match="one folder per person"):
        list_photos(tmp_path)


def test_a_foreign_tar_in_the_place_of_ours_is_refused(
    cli: Cli, few: Path, pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "crops.tar"
    assert cli("align", few, out).code == 0
    with tarfile.open(out, "w") as archive:
        archive.add(pairs / "img1.jpg", "p0/other.jpg")
    before = out.read_bytes()
    ran = cli("align", few, out)
    assert ran.code == 2 and "p0/other.jpg" in ran.err
    assert out.read_bytes() == before
    out.write_bytes(b"no tar")
    ran = cli("align", few, out)
    assert ran.code == 2 and "damaged" in ran.err
