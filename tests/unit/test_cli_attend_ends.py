"""What ``arcid`` says where nothing came of a source, and about itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any


def test_a_webcam_that_is_not_there(cli: Any) -> None:
    ran = cli("attend", "--source", "97")
    assert ran.code == 3
    assert "webcam 97 cannot be opened: is it plugged in" in ran.err and "--source takes" in ran.err
    assert cli("access", "door", "add", "Front", "--set", "liveness=false").code == 0
    for command in (("watchlist", "watch", "97"), ("access", "watch", "97", "--door", "Front")):
        ran = cli(*command)
        assert ran.code == 3 and "webcam 97 cannot be opened: is it plugged in" in ran.err


def test_one_photo_says_why_nothing_was_embedded(cli: Any, data_dir: Path, tmp_path: Path) -> None:
    from PIL import Image

    ran = cli("attend", "--source", data_dir / "data/photos/misc/no_face.png")
    assert ran.code == 0 and "nothing was embedded: no face was found in 1 frame" in ran.err
    photo = data_dir / "data/deepface-pairs/img1.jpg"
    with Image.open(photo) as image:
        small = image.convert("RGB").resize((image.width // 9, image.height // 9))
        back = small.resize((image.width // 3, image.height // 3))
        back.save(tmp_path / "blurred.jpg", quality=90)
    ran = cli("attend", "--source", tmp_path / "blurred.jpg")
    assert ran.code == 0
    if " 0 embeddings" in ran.err:
        assert "nothing was embedded: " in ran.err and "in view for long enough" not in ran.err
    shutil.copy(photo, tmp_path / "a.jpg")
    assert "nothing was embedded" not in cli("attend", "--source", tmp_path / "a.jpg").err


def test_a_folder_without_photos(cli: Any, data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for command in (("embed", "-o", tmp_path / "x.npz"), ("detect",), ("search",)):
        ran = cli(command[0], tmp_path / "photos", *command[1:])
        assert ran.code == 3 and "photos holds no photos" in ran.err, ran


def test_the_version(cli: Any) -> None:
    from arcid import __version__

    ran = cli("--version")
    assert (ran.code, ran.out) == (0, f"arcid {__version__}\n")


def test_a_models_facts_are_a_table(cli: Any) -> None:
    ran = cli("models", "info", "arcid-face-s")
    assert ran.code == 0 and "{" not in ran.out
    lines = ran.out.splitlines()
    start = {line.index("recognition, arcface") for line in lines if line.startswith("what")}
    assert {line.index("yes: packaged") for line in lines if line.startswith("verified")} == start
    assert sum(line.startswith("accuracy: tar") for line in lines) == 3
