"""``arcid detect``, ``embed``, ``verify``, ``search`` on real photographs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from arcid.models import weights
from arcid.types import Embeddings

pytestmark = pytest.mark.data


@pytest.fixture
def pairs(data_dir: Path) -> Path:
    return data_dir / "data" / "deepface-pairs"


@pytest.fixture
def photos(data_dir: Path) -> Path:
    return data_dir / "data" / "photos"


def process(*argv: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A cold ``python -m arcid``."""
    return subprocess.run(
        [sys.executable, "-m", "arcid", *map(str, argv)],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )


# detect


def test_detect_finds_both_of_a_couple_where_they_are(cli: Any, photos: Path) -> None:
    ran = cli("detect", photos / "group" / "couple.jpg", "--json")
    assert ran.code == 0
    (photo,) = ran.json["photos"]
    assert (photo["width"], photo["height"]) == (2280, 1588)
    assert len(photo["faces"]) == 2
    left, right = sorted(photo["faces"], key=lambda face: face["box"]["x1"])
    assert left["box"]["x2"] < 1140 < right["box"]["x1"]
    for face in photo["faces"]:
        x1, y1, x2, y2 = (face["box"][key] for key in ("x1", "y1", "x2", "y2"))
        assert 0 <= x1 < x2 <= 2280 and 0 <= y1 < y2 <= 1588
        eye_left, eye_right, nose, mouth_left, mouth_right = face["points"]
        assert eye_left[0] < eye_right[0] and mouth_left[0] < mouth_right[0]
        assert max(eye_left[1], eye_right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
        assert all(x1 < x < x2 and y1 < y < y2 for x, y in face["points"])
        assert face["score"] > 0.6 and face["quality"]["measured"]["inter_eye_px"] > 200


def test_detect_selects(cli: Any, photos: Path) -> None:
    everyone = cli("detect", photos / "group" / "couple.jpg", "--json").json["photos"][0]["faces"]
    ran = cli("detect", photos / "group" / "couple.jpg", "--select", "largest", "--json")
    (largest,) = ran.json["photos"][0]["faces"]
    boxes = [f["box"] for f in everyone]
    areas = [(b["x2"] - b["x1"]) * (b["y2"] - b["y1"]) for b in boxes]
    assert largest["box"] == everyone[int(np.argmax(areas))]["box"]


def test_one_bad_photo_costs_the_others_nothing(cli: Any, pairs: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes((pairs / "img1.jpg").read_bytes()[:20_000])
    good = (pairs / "img1.jpg", pairs / "img2.jpg")
    ran = cli("detect", good[0], torn, tmp_path / "absent.jpg", good[1], "--json")
    assert ran.code == 3
    found = ran.json["photos"]
    assert [len(entry.get("faces", ())) for entry in found] == [1, 0, 0, 1]
    assert [entry["error"]["code"] for entry in found[1:3]] == ["image_unreadable"] * 2
    ran = cli("detect", good[0], torn, good[1])
    assert ran.code == 3
    assert "img1.jpg" in ran.out and "img2.jpg" in ran.out and "torn.jpg" not in ran.out
    assert "torn.jpg" in ran.err and "cut short" in ran.err


@pytest.fixture
def folder(pairs: Path, photos: Path, tmp_path: Path) -> Path:
    """Two people, one below, a torn photo, a landscape, and what is no photo."""
    place = tmp_path / "folder"
    (place / "inner").mkdir(parents=True)
    shutil.copy(pairs / "img1.jpg", place / "a.jpg")
    shutil.copy(pairs / "img3.jpg", place / "inner" / "b.jpg")
    shutil.copy(photos / "misc" / "no_face.png", place / "c.png")
    (place / "d.jpg").write_bytes((pairs / "img1.jpg").read_bytes()[:20_000])
    (place / "notes.txt").write_text("no photo")
    return place


def test_folders_are_taken(cli: Any, folder: Path, tmp_path: Path) -> None:
    expected = {"a.jpg": 1, "c.png": 0, "d.jpg": "image_unreadable", "inner/b.jpg": 1}

    def by_name(found: Any, faces: Any) -> dict[str, Any]:
        return {
            str(Path(entry["photo"]).relative_to(folder)): entry["error"]["code"]
            if "error" in entry
            else faces(entry)
            for entry in found
        }

    ran = cli("detect", folder, "--json")
    assert ran.code == 3
    assert by_name(ran.json["photos"], lambda entry: len(entry["faces"])) == expected
    ran = cli("embed", folder, folder / "a.jpg", "-o", tmp_path / "v.npz", "--json")
    assert ran.code == 3
    embedded = by_name(ran.json["photos"], lambda entry: entry["faces"])
    assert embedded == expected | {"c.png": "no_face_found"}
    with np.load(tmp_path / "v.npz") as data:
        assert [Path(f).name for f in data["files"]] == ["a.jpg", "b.jpg", "a.jpg"]
    (tmp_path / "none").mkdir()
    for command in (["detect"], ["embed", "-o", tmp_path / "v.npz"]):
        ran = cli(*command, tmp_path / "none")
        assert ran.code == 3 and "none holds no photos" in ran.err


def test_a_folder_is_searched_by(cli: Any, folder: Path, pairs: Path) -> None:
    assert cli("enrol", "Ada", pairs / "img2.jpg").code == 0
    ran = cli("search", folder, "--json")
    assert ran.code == 3
    found = {Path(entry["photo"]).name: entry for entry in ran.json["photos"]}
    assert list(found) == ["a.jpg", "c.png", "d.jpg", "b.jpg"]
    assert found["c.png"]["faces"] == []
    assert found["d.jpg"]["error"]["code"] == "image_unreadable"
    (ada,) = found["a.jpg"]["faces"]
    (alone,) = cli("search", folder / "a.jpg", "--json").json["faces"]
    assert ada["decision"] == alone["decision"] and ada["decision"]["outcome"] == "match"
    assert found["b.jpg"]["faces"][0]["decision"]["outcome"] == "no_match"
    ran = cli("search", folder)
    assert ran.code == 3 and "d.jpg" in ran.err
    assert "a.jpg face 0: " in ran.out and "b.jpg face 0: " in ran.out
    (folder / "d.jpg").unlink()
    assert cli("search", folder).code == 0
    assert cli("search", folder / "inner").code == 1


def test_a_photo_without_faces_is_ordinary(cli: Any, photos: Path) -> None:
    ran = cli("detect", photos / "misc" / "no_face.png")
    assert ran.code == 0
    assert "no face found" in ran.out


def test_detect_says_why_a_face_is_no_good(cli: Any, photos: Path) -> None:
    ran = cli("detect", photos / "misc" / "blur.jpg")
    assert ran.code == 0
    assert "blurred" in ran.out
    quality = cli("detect", photos / "misc" / "blur.jpg", "--json").json["photos"][0]["faces"][0]
    assert "blurred" in [reason["code"] for reason in quality["quality"]["reasons"]]


def test_rotate_finds_a_photo_on_its_head(cli: Any, photos: Path) -> None:
    turned = photos / "rotate" / "rot_180.jpg"

    def heads(*options: str) -> list[bool]:
        """Whether each face found has its mouth above its eyes."""
        faces = cli("detect", turned, *options, "--json").json["photos"][0]["faces"]
        points = [np.array(face["points"]) for face in faces]
        return [bool(p[3:, 1].mean() < p[:2, 1].mean() - 20) for p in points]

    assert not any(heads())  # not found, or taken for an upright one
    assert heads("--rotate") == [True]


def test_tiled_finds_more_in_a_crowd(cli: Any, photos: Path) -> None:
    crowd = photos / "group" / "17.jpg"
    plain = len(cli("detect", crowd, "--json").json["photos"][0]["faces"])
    ran = cli("detect", crowd, "--tiled", "--json")
    assert ran.json["detector"].endswith("+tiled")
    assert len(ran.json["photos"][0]["faces"]) > 2 * plain > 80


def test_crops_are_the_aligned_faces(cli: Any, pairs: Path, tmp_path: Path) -> None:
    ran = cli("detect", pairs / "img1.jpg", "--crops", tmp_path / "out", "--json")
    crop = Path(ran.json["photos"][0]["faces"][0]["crop"])
    assert crop.parent == tmp_path / "out"
    with Image.open(crop) as picture:
        assert (picture.format, picture.size, picture.mode) == ("PNG", (112, 112), "RGB")
    whole = vectors(cli("embed", pairs / "img1.jpg", "--json", "--vectors"))
    alone = vectors(cli("embed", crop, "--aligned", "--json", "--vectors"))
    assert float((whole @ alone.T)[0, 0]) > 0.9999


def test_crops_of_equal_names_do_not_overwrite(cli: Any, pairs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(pairs / f"img{1 if name == 'a' else 3}.jpg", tmp_path / name / "x.jpg")
    out = tmp_path / "out"
    ran = cli("detect", tmp_path / "a/x.jpg", tmp_path / "b/x.jpg", "--crops", out, "--json")
    paths = {face["crop"] for photo in ran.json["photos"] for face in photo["faces"]}
    assert {str(path) for path in out.iterdir()} == paths and len(paths) == 2


def test_box_only_detectors_are_shown_without_points(cli: Any, pairs: Path) -> None:
    ran = cli("detect", pairs / "img1.jpg", "--detector", "ultralight_rfb", "--json")
    assert ran.code == 0
    assert ran.json["photos"][0]["faces"][0]["points"] is None
    refused = cli(
        "embed", pairs / "img1.jpg", "--detector", "ultralight_rfb", "--json", "--vectors"
    )
    assert refused.code == 3
    assert refused.json["photos"][0]["error"]["code"] == "landmarks_required"


def test_a_recogniser_is_no_detector(cli: Any, pairs: Path) -> None:
    ran = cli("detect", pairs / "img1.jpg", "--detector", "mobilefacenet_128")
    assert ran.code == 4
    assert "not a detector" in ran.err


# embed


def vectors(ran: Any) -> np.ndarray[Any, Any]:
    assert ran.code == 0
    return np.concatenate([np.array(photo["vectors"]) for photo in ran.json["photos"]])


def test_embed_writes_what_the_library_makes(cli: Any, pairs: Path, tmp_path: Path) -> None:
    from arcid import Pipeline

    files = [pairs / "img1.jpg", pairs / "img2.jpg"]
    ran = cli("embed", *files, "-o", tmp_path / "new" / "x.npz", "--json")
    assert ran.code == 0
    assert ran.json["faces"] == 2 and "vectors" not in ran.json["photos"][0]
    pipeline = Pipeline.from_models(None, None)
    with np.load(tmp_path / "new" / "x.npz", allow_pickle=False) as stored:
        assert str(stored["contract_id"]) == pipeline.embedder.contract_id
        assert str(stored["model"]) == weights.resolve_default("recognition").name
        assert stored["files"].tolist() == [str(file) for file in files]
        assert stored["boxes"].shape == (2, 4) and stored["scores"].shape == (2,)
        made = Embeddings(stored["vectors"], str(stored["contract_id"]))
    expected = [pipeline.faces(file).embeddings.vectors[0] for file in files]
    np.testing.assert_allclose(made.vectors, expected, atol=1e-5)
    assert not list((tmp_path / "new").glob("*.part"))


def test_embed_reports_the_faceless_and_goes_on(
    cli: Any, pairs: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.npz"
    ran = cli("embed", photos / "misc" / "no_face.png", pairs / "img2.jpg", "-o", out)
    assert ran.code == 3
    assert "no_face.png: no face was found" in ran.err
    with np.load(out) as stored:
        assert stored["files"].tolist() == [str(pairs / "img2.jpg")]
    ran = cli("embed", photos / "group" / "couple.jpg", "-o", out, "--select", "one")
    assert ran.code == 3 and "2 faces" in ran.err
    with np.load(out) as stored:
        assert stored["files"].tolist() == [str(pairs / "img2.jpg")]  # of the run before


def test_embed_needs_somewhere_to_put_vectors(cli: Any, pairs: Path, tmp_path: Path) -> None:
    assert cli("embed", pairs / "img1.jpg").code == 2
    assert cli("embed", pairs / "img1.jpg", "--vectors").code == 2
    (tmp_path / "file").write_text("")
    ran = cli("embed", pairs / "img1.jpg", "-o", tmp_path / "file" / "x.npz")
    assert ran.code == 2 and "cannot be written" in ran.err


def test_aligned_photos_are_square(cli: Any, pairs: Path) -> None:
    ran = cli("embed", pairs / "img1.jpg", "--aligned", "--json", "--vectors")
    assert ran.code == 3
    assert ran.json["photos"][0]["error"]["code"] == "invalid_array"


# verify

DEEPFACE_KEYS = {
    "verified",
    "distance",
    "threshold",
    "similarity_metric",
    "model",
    "detector_backend",
    "facial_areas",
    "time",
}
OWN_KEYS = {
    "cosine",
    "cosine_threshold",
    "probability",
    "fmr",
    "target_fmr",
    "target_fpir",
    "gallery_size",
    "fnir",
    "index_miss_rate",
    "calibration_id",
    "a",
    "b",
    "outcome",
    "reason",
    "calibration",
    "extrapolated",
}


def test_verify_answers_with_the_keys_of_deepface(cli: Any, pairs: Path) -> None:
    ran = cli("verify", pairs / "img1.jpg", pairs / "img2.jpg", "--json")
    assert ran.code == 0
    answer = ran.json
    assert set(answer) == DEEPFACE_KEYS | OWN_KEYS
    assert answer["verified"] is True and answer["outcome"] == "match"
    assert answer["similarity_metric"] == "cosine"
    used = [weights.resolve_default(task).name for task in ("recognition", "detection")]
    assert [answer["model"], answer["detector_backend"]] == used
    assert answer["distance"] == pytest.approx(1 - answer["cosine"], abs=1e-6)
    assert answer["threshold"] == pytest.approx(1 - answer["cosine_threshold"], abs=1e-6)
    assert answer["distance"] < answer["threshold"]
    assert 0.5 < answer["cosine"] <= 1 and answer["probability"] > 0.9
    assert answer["fmr"] < answer["target_fmr"] == 1e-4
    assert set(answer["calibration"]) == {"id", "dataset", "provisional"}
    area = answer["facial_areas"]["img1"]
    assert set(area) == {"x", "y", "w", "h", "left_eye", "right_eye"}
    # a frontal face: the person's own left eye is to the viewer's right
    assert area["x"] < area["right_eye"][0] < area["left_eye"][0] < area["x"] + area["w"]
    assert area["y"] < area["left_eye"][1] < area["y"] + area["h"] / 2


def test_verify_tells_strangers_apart(cli: Any, pairs: Path) -> None:
    ran = cli("verify", pairs / "img1.jpg", pairs / "img3.jpg", "--json")
    assert ran.code == 1
    assert ran.json["verified"] is False and ran.json["outcome"] == "no_match"
    assert ran.json["distance"] > ran.json["threshold"]


def test_verify_in_words(cli: Any, pairs: Path) -> None:
    same = cli("verify", pairs / "img1.jpg", pairs / "img2.jpg")
    assert same.out.startswith("Same person: cosine 0.") and "at FMR 0.0001" in same.out
    assert "provisional" in same.err
    other = cli("verify", pairs / "img1.jpg", pairs / "img3.jpg", "--fmr", "0.01")
    assert other.out.startswith("Different people: cosine") and "at FMR 0.01" in other.out


def test_verify_follows_the_rate_asked_for(cli: Any, pairs: Path) -> None:
    pair = (pairs / "img1.jpg", pairs / "img2.jpg", "--json")
    strict = cli("verify", *pair, "--fmr", "1e-4").json["cosine_threshold"]
    loose = cli("verify", *pair, "--fmr", "1e-2").json["cosine_threshold"]
    assert loose < strict
    refused = cli("verify", *pair, "--fmr", "1e-6")
    assert refused.code == 4 and refused.json["error"]["code"] == "rate_unsupported"
    allowed = cli("verify", *pair, "--fmr", "1e-6", "--allow-extrapolation")
    assert allowed.code == 0 and allowed.json["extrapolated"] is True
    assert allowed.json["cosine_threshold"] > strict
    assert cli("verify", *pair, "--fmr", "2").code == 2


def test_verify_of_crops_agrees_with_that_of_photos(cli: Any, pairs: Path, tmp_path: Path) -> None:
    files = (pairs / "img1.jpg", pairs / "img2.jpg")
    chosen = ("--select", "prominent")  # as verify does
    ran = cli("detect", *files, *chosen, "--crops", tmp_path, "--json")
    crops = [photo["faces"][0]["crop"] for photo in ran.json["photos"]]
    whole = cli("verify", *files, "--json").json
    alone = cli("verify", *crops, "--aligned", "--json").json
    assert alone["cosine"] == pytest.approx(whole["cosine"], abs=1e-3)
    assert alone["facial_areas"]["img2"] == {
        "x": 0, "y": 0, "w": 112, "h": 112, "left_eye": None, "right_eye": None,
    }  # fmt: skip


def test_verify_names_the_photo_that_is_wrong(cli: Any, pairs: Path, photos: Path) -> None:
    couple = photos / "group" / "couple.jpg"
    ran = cli("verify", pairs / "img1.jpg", couple)
    assert ran.code == 3
    assert ran.err.startswith("error: ") and "couple.jpg: 2 faces" in ran.err
    ran = cli("verify", pairs / "img1.jpg", couple, "--json")
    assert ran.code == 3 and ran.json["error"]["code"] == "several_faces_found"
    assert cli("verify", pairs / "img1.jpg", couple, "--select", "largest").code in (0, 1)
    ran = cli("verify", photos / "misc" / "no_face.png", pairs / "img1.jpg", "--json")
    assert ran.code == 3 and ran.json["error"]["code"] == "no_face_found"
    assert "no_face.png" in ran.json["error"]["message"]
    ran = cli("verify", pairs / "absent.jpg", pairs / "img1.jpg")
    assert ran.code == 3 and "absent.jpg cannot be opened" in ran.err


def test_usage_is_code_2(cli: Any, pairs: Path) -> None:
    assert cli("verify", pairs / "img1.jpg").code == 2
    assert cli("verify", pairs / "img1.jpg", pairs / "img2.jpg", "--select", "all").code == 2
    assert cli("verify", pairs / "img1.jpg", pairs / "img2.jpg", "--select", "best").code == 2
    assert cli("verifi", pairs / "img1.jpg").code == 2
    ran = cli("detect", "--json")
    assert ran.code == 2 and ran.json["error"]["code"] == "usage_error"


# models that are missing or wrong, from cold processes


def test_a_missing_model_names_the_file_and_the_command(
    environment: Path, pairs: Path, tmp_path: Path
) -> None:
    ran = process(
        "detect", pairs / "img1.jpg", "--detector", "scrfd_2.5g", ARCID_DATA=str(tmp_path)
    )
    assert ran.returncode == 4
    assert ran.stdout == "" and "Traceback" not in ran.stderr
    assert "scrfd_2.5g_bnkps.onnx" in ran.stderr and "arcid models pull" in ran.stderr
    ran = process(
        "detect", pairs / "img1.jpg", "--detector", "scrfd_10g", "--json", ARCID_DATA=str(tmp_path)
    )
    assert ran.returncode == 4
    error = json.loads(ran.stdout)["error"]
    assert error["code"] == "model_not_found"
    assert "arcid models pull scrfd_10g" in error["message"]


def test_a_model_with_the_wrong_hash_is_refused(
    environment: Path, data_dir: Path, pairs: Path, tmp_path: Path
) -> None:
    data = bytearray((data_dir / "models" / "mobilefacenet_128.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mobilefacenet_128.onnx").write_bytes(data)
    ran = process(
        "embed", pairs / "img1.jpg", "--vectors", "--json", "--model", "mobilefacenet_128",
        ARCID_MODELS=str(tmp_path / "models"),
    )  # fmt: skip
    assert ran.returncode == 4
    assert json.loads(ran.stdout)["error"]["code"] == "model_hash_mismatch"


def test_verify_loads_nothing_it_does_not_need(environment: Path, pairs: Path) -> None:
    code = (
        "import sys\nfrom arcid.cli import app\nfrom arcid.cli.output import run_command\n"
        "code = run_command(app, sys.argv[1:])\n"
        "heavy = {'sqlalchemy', 'alembic', 'fastapi', 'uvicorn', 'scipy', 'pandas', 'torch',\n"
        "         'numkong', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    argv = [sys.executable, "-c", code, "verify", str(pairs / "img1.jpg"), str(pairs / "img2.jpg")]
    ran = subprocess.run(
        argv, capture_output=True, check=False, text=True, env={**os.environ}, timeout=60
    )
    assert ran.returncode == 0, ran.stderr


def test_names_of_files_cannot_steer_the_terminal(cli: Any, pairs: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a\x1b[31m[bold]b\udcff.jpg"
    shutil.copy(pairs / "img1.jpg", odd)
    ran = cli("detect", odd)
    assert ran.code == 0
    assert "\x1b" not in ran.out and "[bold]b" in ran.out
    ran = cli("detect", odd, "--json")
    assert ran.json["photos"][0]["photo"] == str(odd)
