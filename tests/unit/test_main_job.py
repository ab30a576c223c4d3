"""The main job from end to end, on real photographs with the packaged models.

Detect, embed, verify, enrol, search, over REST, attendance, a short training, an evaluation: each
step works on what the one before left.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving import running

from arcid.gallery import Gallery
from arcid.pipeline import Pipeline
from arcid.server.settings import Settings

pytestmark = pytest.mark.data
Cli = Callable[..., Any]
ANN, BEN, STRANGER = "img1.jpg", "img13.jpg", "img24.jpg"
ANN_AGAIN, BEN_AGAIN = "img4.jpg", "img14.jpg"
RECIPE = """
data:
  sources: ["${ARCID_DATA}/data/train/vgg.tar"]
  size: 32
  batch: 16
  workers: 1
  identities: 8
  max_images: 12
model: {backbone: mobilefacenet_relu_x0.5, dim: 32, options: {width: 0.25}}
schedule: {steps: 2}
validation: {every: 0}
"""


@pytest.fixture
def pairs(data_dir: Path) -> Path:
    return data_dir / "data" / "deepface-pairs"


@pytest.fixture
def staff(cli: Cli, pairs: Path, environment: Path) -> Iterator[Path]:
    """A gallery of two people, enrolled at the command line."""
    for name, photo in (("Ann", ANN), ("Ben", BEN)):
        ran = cli("enrol", name, pairs / photo, "--json")
        assert (ran.code, ran.json["enrolled"]) == (0, 1), ran.err
    yield environment / "gallery.db"


def test_detect_embed_and_verify(cli: Cli, pairs: Path, tmp_path: Path) -> None:
    found = cli("detect", pairs / ANN, pairs / BEN, "--json").json["photos"]
    assert [len(photo["faces"]) for photo in found] == [1, 1]
    assert cli("embed", pairs / ANN, "-o", tmp_path / "ann.npz").code == 0
    same = cli("verify", pairs / ANN, pairs / ANN_AGAIN, "--json")
    other = cli("verify", pairs / ANN, pairs / BEN, "--json")
    assert (same.code, same.json["outcome"]) == (0, "match")
    assert (other.code, other.json["outcome"]) == (1, "no_match")


def test_enrol_and_search(cli: Cli, pairs: Path, staff: Path) -> None:
    for photo, name in ((ANN_AGAIN, "Ann"), (BEN_AGAIN, "Ben")):
        (face,) = cli("search", pairs / photo, "--json").json["faces"]
        assert face["decision"]["outcome"] == "match"
        assert face["candidates"][0]["name"] == name
    (face,) = cli("search", pairs / STRANGER, "--json").json["faces"]
    assert face["decision"]["outcome"] == "no_match"


def test_the_service_knows_who_was_enrolled_at_the_command_line(pairs: Path, staff: Path) -> None:
    assert staff.is_file()
    settings = Settings.load(database=str(staff))
    with running(settings, Pipeline.from_models(), None) as client:
        image = (pairs / ANN_AGAIN).read_bytes()
        answer = client.post("/v1/collections/default/search", files={"image": image})
        (face,) = answer.json()["faces"]
        assert face["decision"]["outcome"] == "match"
        assert face["candidates"][0]["name"] == "Ann"
        form = {"name": "Cleo"}
        image = (pairs / STRANGER).read_bytes()
        answer = client.post("/v1/collections/default/enrol", data=form, files={"image": image})
        assert answer.status_code == 201, answer.text
    with Gallery.open(staff) as gallery:
        assert [person.name for person in gallery.people("default")] == ["Ann", "Ben", "Cleo"]


def test_attendance_says_who_came(cli: Cli, pairs: Path, staff: Path) -> None:
    ran = cli("attend", "--source", pairs / ANN_AGAIN, "--camera", "door", "--json")
    assert ran.code == 0, ran.err
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert [(e["kind"], e["name"], e["camera"]) for e in events] == [
        ("arrival", "Ann", "door"),
        ("departure", "Ann", "door"),
    ]


def test_a_short_training_and_its_evaluation(
    cli: Cli, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="training needs torch: pip install arcid[train]")
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(RECIPE + f"out: {tmp_path / 'run'}\n")
    trained = cli("train", recipe, "--json")
    assert (trained.code, trained.json["steps"]) == (0, 2), trained.err
    assert Path(trained.json["checkpoint"]).exists()

    lfw = data_dir / "data" / "lfw-dev"
    lines = (lfw / "pairsDevTest.txt").read_text().splitlines()
    few = tmp_path / "few"
    few.mkdir()
    (few / "pairsDevTest.txt").write_text("\n".join(["10", *lines[1:11], *lines[501:511]]) + "\n")
    (few / "images").symlink_to(lfw / "images")
    ran = cli("evaluate", "lfw", "--data", few, "--cache", tmp_path / "cache", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["genuine_pairs"], ran.json["impostor_pairs"]) == (10, 10)
    assert ran.json["accuracy"] > 0.8
