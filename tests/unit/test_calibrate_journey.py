"""Calibrate, then verify, search and watch with it; undo brings the old answers back."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from arcid.calibration import Calibration
from arcid.cli import app
from arcid.cli.output import run_command
from arcid.gallery import Gallery
from arcid.models import calibrations, weights
from arcid.server import opening
from arcid.server.settings import Settings

pytestmark = pytest.mark.data
MARGIN = 8  # of the crops, around the aligned crop
PHOTOS = 6
ENROLLED = 4
CLIP = "data/video/short_hamilton_clip.mp4"
People = dict[str, list[Picture.Image]]


@pytest.fixture(scope="module")
def crops(data_dir: Path) -> People:
    """Aligned crops of 57 people, the first six of each."""
    found: People = {}
    with tarfile.open(data_dir / "data/train/vgg.tar") as tar:
        for member in tar:
            person = Path(member.name).parent.name
            if not member.isfile() or len(found.setdefault(person, [])) == PHOTOS:
                continue
            stream = tar.extractfile(member)
            assert stream is not None
            with Picture.open(io.BytesIO(stream.read())) as picture:
                side = picture.width - MARGIN
                found[person].append(picture.convert("RGB").crop((MARGIN, MARGIN, side, side)))
    return found


@pytest.fixture
def arcid(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """The command line, every command with models and a calibration of its own."""

    def run(*argv: object) -> SimpleNamespace:
        capfd.readouterr()
        code = run_command(app, [str(word) for word in argv])
        out, err = capfd.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ARCID_MODELS", "ARCID_DATABASE", "ARCID_RECOGNISER", "ARCID_DETECTOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    return tmp_path


def dealt(crops: People, count: int, seed: int, folder: Path) -> tuple[Path, list[str]]:
    """A folder a person for so many of them, and the names of the others."""
    order = [str(name) for name in np.random.default_rng(seed).permutation(sorted(crops))]
    for name in order[:count]:
        (folder / name).mkdir(parents=True)
        for number, crop in enumerate(crops[name]):
            crop.save(folder / name / f"{number}.png")
    return folder, order[count:]


class Door:
    """A gallery of people who are not calibrated on, photos of them and of strangers, and a film
    of a man who is enrolled."""

    def __init__(self, arcid: Callable[..., Any], crops: People, others: list[str], home: Path,
                 film: Path) -> None:  # fmt: skip
        self.arcid, self.film, self.days = arcid, film, 0
        self.known, self.strangers = others[:ENROLLED], others[ENROLLED:]
        self.probes = home / "probes"
        self.probes.mkdir()
        for i, name in enumerate(others):
            crops[name][0].save(home / f"{name}.png")
            crops[name][1].save(self.probes / f"{i:02}.png")
        for name in self.known:
            assert arcid("enrol", name, home / f"{name}.png", "--aligned").code == 0
        self.home, self.vectors = home, home / "probes.npz"
        photos = sorted(self.probes.iterdir())
        assert arcid("embed", *photos, "--aligned", "-o", self.vectors).code == 0
        frames = cv2.VideoCapture(str(film))
        cv2.imwrite(str(home / "frame.png"), frames.read()[1])
        frames.release()
        assert arcid("enrol", "Singer", home / "frame.png", "--select", "largest").code == 0

    def answers(self) -> dict[str, Any]:
        """Every decision that is asked for, without its times."""
        one = self.home / f"{self.known[0]}.png"
        self.days += 1  # a film of the same time is not written twice
        ran = self.arcid("attend", "--source", self.film, "--json", "--camera", "door",
                         "--start", f"2026-03-{self.days:02}T08:00:00+00:00")  # fmt: skip
        assert ran.code == 0, ran.err
        return {
            "same": self._decision("verify", one, self.probes / "00.png", "--aligned"),
            "other": self._decision("verify", one, self.probes / "01.png", "--aligned"),
            "search": self._decision("search", "--embedding", self.vectors)["probes"],
            "seen": [(e["kind"], e.get("name")) for e in map(json.loads, ran.out.splitlines())],
        }

    def _decision(self, *command: object) -> dict[str, Any]:
        ran = self.arcid(*command, "--json")
        assert ran.code in (0, 1), (command, ran.out, ran.err)
        return {k: v for k, v in json.loads(ran.out).items() if k != "time"}


@pytest.fixture(scope="module")
def film(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a man singing, out of a film."""
    path = tmp_path_factory.mktemp("film") / "song.avi"
    frames = cv2.VideoCapture(str(data_dir / CLIP))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (640, 360))
    for number in range(140):
        frame = frames.read()[1]
        if number >= 84 and number % 2 == 0:
            writer.write(frame)
    writer.release()
    frames.release()
    return path


@pytest.mark.slow
@pytest.mark.parametrize("count", [8, pytest.param(50, marks=pytest.mark.long)])
def test_the_journey(
    count: int, arcid: Callable[..., Any], crops: People, home: Path, film: Path
) -> None:
    folder, others = dealt(crops, count, 1, home / "people")
    door = Door(arcid, crops, others, home, film)
    before = door.answers()
    shown = arcid("calibrate", folder, "--aligned", "--dry-run", "--json")
    assert shown.code == 0, shown.err
    assert not (home / "home/models").exists()
    made = json.loads(arcid("calibrate", folder, "--aligned", "--json").out)
    assert made["written"] is True
    assert made["changes"] == json.loads(shown.out)["changes"]
    assert all(row["after"] is not None for row in made["changes"] if row["before"] is not None)
    assert arcid("doctor").code == 0
    after = door.answers()
    for answer in (after["same"], after["other"], *(face["decision"] for face in after["search"])):
        assert answer["outcome"] in ("match", "no_match"), answer
        assert answer["extrapolated"] is False
    assert (after["same"]["outcome"], after["other"]["outcome"]) == ("match", "no_match")
    outcomes = [face["decision"]["outcome"] for face in after["search"]]
    assert outcomes[:ENROLLED].count("match") >= ENROLLED - 1
    assert outcomes[ENROLLED:].count("match") == 0
    assert ("arrival", "Singer") in after["seen"]
    assert made["calibration_id"] in json.dumps(after)
    assert after != before

    undone = arcid("calibrate", "--undo", "--json")
    assert json.loads(undone.out)["path"] is None
    assert door.answers() == before
    back = arcid("calibrate", "--undo")
    assert "in force: yours" in back.out
    assert door.answers() == after


@pytest.mark.slow
def test_ten_of_ten_draws_of_eight_people_succeed(
    arcid: Callable[..., Any], crops: People, home: Path
) -> None:
    packaged = weights.packaged_calibration(weights.resolve_default("recognition"))
    for seed in range(10):
        folder, _ = dealt(crops, 8, 100 + seed, home / str(seed))
        ran = arcid("calibrate", folder, "--aligned", "--json")
        assert ran.code == 0, (seed, ran.out, ran.err)
        made = Calibration.load(Path(json.loads(ran.out)["path"]))
        assert made.threshold_at_fmr(packaged.smallest_supported_fmr).combined
    assert len(list(calibrations.in_force(packaged.contract_id).parent.iterdir())) == 10


def test_a_bundle_named_by_its_folder_is_the_one_calibrated(
    home: Path, crops: People, arcid: Callable[..., Any]
) -> None:
    shipped = weights.resolve_default("recognition")
    folder = home / "elsewhere" / "mine"
    shutil.copytree(shipped.folder, folder)
    assert arcid("models", "accept", folder).code == 0
    people, _ = dealt(crops, 8, 0, home / "people")
    out = home / "made.json"
    ended = arcid("calibrate", people, "--aligned", "--model", folder, "-o", out)
    assert ended.code == 0, ended.err
    assert Calibration.load(out).contract_id == shipped.manifest.contract_id


def test_what_is_written_says_what_happens(
    arcid: Callable[..., Any], crops: People, home: Path
) -> None:
    folder, _ = dealt(crops, 8, 3, home / "people")
    photo = next(path for path in sorted(folder.rglob("*")) if path.is_file())
    copy = shutil.copy(photo, photo.with_name(f"copy{photo.suffix}"))
    first = arcid("calibrate", folder, "--aligned", "--dry-run")
    assert "1 photo is a copy of another" in first.err
    copy.unlink()
    dry = first.out
    assert "these people alone support no rate" in dry
    assert "nothing was written" in dry
    ran = arcid("calibrate", folder, "--aligned")
    assert ran.code == 0, ran.err
    done = ran.out
    assert "in force now, in place of the packaged one" in done
    assert "restart" in done
    again, _ = dealt(crops, 20, 4, home / "more")
    assert "the one before is kept in" in arcid("calibrate", again, "--aligned").out
    assert "in force: yours, measured on 8 people of people" in arcid("calibrate", "--undo").out
    nowhere = arcid("calibrate")
    assert nowhere.code == 2
    assert "--undo" in nowhere.err


@pytest.mark.slow
def test_doctor_names_default_rates_that_are_not_supported(
    arcid: Callable[..., Any], crops: People, home: Path
) -> None:
    folder, others = dealt(crops, 50, 5, home / "people")
    assert arcid("calibrate", folder, "--aligned", "--alone").code == 0
    crops[others[0]][0].save(home / "ada.png")
    assert arcid("enrol", "Ada", home / "ada.png", "--aligned").code == 0
    ran = arcid("doctor", "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["ok"]) == (4, False)
    (refused,) = [p for p in found["problems"] if p["serious"]]
    assert "default false match rate of 0.0001" in refused["message"]
    assert "--undo" in refused["advice"]
    assert arcid("calibrate", "--undo").code == 0
    assert arcid("doctor", "--json").code == 0


@pytest.fixture
def crowded(home: Path) -> Iterator[Gallery]:
    """A collection larger than the packaged calibration supports at the default rate."""
    from arcid.gallery import NewFace
    from arcid.types import Embeddings

    contract = weights.resolve_default("recognition").manifest.contract_id
    vectors = np.random.default_rng(0).standard_normal((900, 256))
    (home / "home").mkdir()
    with Gallery.open(str(home / "home/gallery.db")) as gallery:
        gallery.create_collection("staff")
        gallery.create_collection("door")
        faces = Embeddings.normalised(vectors, contract)
        gallery.enrol("staff", "Crowd", [NewFace(faces[i]) for i in range(900)])
        yield gallery


def test_a_gallery_too_large_for_its_calibration_is_named(
    arcid: Callable[..., Any], crowded: Gallery
) -> None:
    ran = arcid("doctor", "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["ok"]) == (0, True)
    (note,) = [p for p in found["problems"] if "staff" in p["message"]]
    assert not note["serious"]
    assert "(900 templates)" in note["message"]
    assert "ends in review" in note["message"]
    assert re.search(r"\d notes? above", arcid("doctor").out)


def test_a_running_pipeline_says_that_another_calibration_is_in_force(
    arcid: Callable[..., Any], crops: People, home: Path
) -> None:
    running = opening.open_pipeline(Settings.load())
    before = running.calibration.calibration_id
    assert not running.calibration_replaced
    folder, _ = dealt(crops, 8, 6, home / "people")
    assert arcid("calibrate", folder, "--aligned").code == 0
    assert running.calibration_replaced
    assert running.calibration.calibration_id == before
    assert opening.open_pipeline(Settings.load()).calibration.calibration_id != before
    assert arcid("calibrate", "--undo").code == 0
    assert not running.calibration_replaced
