"""deepface's calls: what they do, and what deepface 0.0.103 says to the same faces and vectors."""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.compat.ask_deepface import answers, digest
from tests.compat.judges import ask, judge, run_script, scripts

from arcid.compat.deepface import DeepFace, faces, finding, models, registering
from arcid.compat.deepface import folder as folders
from arcid.compat.deepface.modules import exceptions, verification
from arcid.pipeline import Pipeline

pytestmark = pytest.mark.data
OURS = {"model_name": "arcid-face-s", "detector_backend": "arcid-detect-s"}
THEIRS = {"model_name": "ArcFace", "detector_backend": "retinaface"}


@pytest.fixture(scope="module")
def pairs(data_dir: Path) -> Path:
    return data_dir / "data/deepface-pairs"


@pytest.fixture
def folder(pairs: Path, tmp_path: Path) -> Path:
    below = tmp_path / "people" / "more"
    below.mkdir(parents=True)
    for name in ("img1", "img3", "img10"):
        shutil.copyfile(pairs / f"{name}.jpg", below / f"{name}.jpg")
    return tmp_path / "people"


@pytest.fixture
def black(tmp_path: Path) -> str:
    path = tmp_path / "black.png"
    cv2.imwrite(str(path), np.zeros((120, 90, 3), np.uint8))
    return str(path)


# the judge


@pytest.mark.slow
def test_deepface_says_the_same(pairs: Path, black: str, tmp_path: Path) -> None:
    names = sorted({row[side] for row in listed(pairs) for side in ("file_x", "file_y")})
    photos = [str(pairs / name) for name in names]
    found: dict[str, Any] = {}
    pipeline = Pipeline.from_models()
    for photo in [*photos, black]:
        picture = cv2.imread(photo)
        faces = pipeline.faces(picture, color="bgr")
        assert faces.detections is not None
        for what, values in (
            ("boxes", faces.detections.boxes), ("points", faces.detections.points),
            ("scores", faces.detections.scores), ("vectors", faces.embeddings.vectors),
        ):  # fmt: skip
            found[f"{digest(picture)}/{what}"] = values
    np.savez(tmp_path / "seen.npz", dim=np.array(pipeline.embedder.dim), **found)
    calls = asked(pairs, photos, black, tmp_path)
    (tmp_path / "calls.json").write_text(json.dumps(with_names(calls, THEIRS)))
    ask("deepface", "ask_deepface.py", *(str(tmp_path / file) for file in
        ("seen.npz", "calls.json", "out.json")))  # fmt: skip
    theirs = json.loads((tmp_path / "out.json").read_text())
    ours = json.loads(json.dumps(answers(DeepFace, with_names(calls, OURS))))
    differences = [
        f"{name} {path}: {one!r} | {other!r}"
        for (name, _), a, b in zip(calls, theirs, ours, strict=True)
        for path, one, other in differing(a, b)
    ]
    assert differences == []


def listed(pairs: Path) -> list[dict[str, str]]:
    with (pairs / "master.csv").open() as file:
        return list(csv.DictReader(file))


def asked(pairs: Path, photos: list[str], black: str, tmp_path: Path) -> list[Any]:
    people = tmp_path / "people"
    people.mkdir()
    for photo in photos[::2]:
        shutil.copyfile(photo, people / Path(photo).name)
    first, second = photos[:2]
    verified = [
        ["verify", {
            "img1_path": str(pairs / row["file_x"]), "img2_path": str(pairs / row["file_y"]),
            "distance_metric": metric, "threshold": 0.6,
        }]
        for i, row in enumerate(listed(pairs)[::6])
        for metric in [("cosine", "euclidean", "euclidean_l2", "angular")[i % 4]]
    ]  # fmt: skip
    nowhere = str(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    return [
        *verified,
        *(["represent", {"img_path": photo}] for photo in photos[:4]),
        ["represent", {"img_path": photos[:2], "max_faces": 1}],
        ["represent", {"img_path": nowhere}],
        ["represent", {"img_path": black}],
        *(["extract_faces", {"img_path": photo}] for photo in photos[:4]),
        ["extract_faces", {"img_path": first, "align": False, "expand_percentage": 20,
                           "normalize_face": False, "grayscale": True}],
        ["extract_faces", {"img_path": first, "detector_backend": "skip"}],
        ["find", {"img_path": first, "db_path": str(people), "threshold": 0.7,
                  "return_type": "dict"}],
        ["find", {"img_path": second, "db_path": str(people), "threshold": 1.2,
                  "distance_metric": "euclidean", "return_type": "dict", "k": 3}],
        ["find", {"img_path": first, "db_path": nowhere}],
        ["find", {"img_path": first, "db_path": str(tmp_path / "empty")}],
        ["verify", {"img1_path": black, "img2_path": first}],
        ["verify", {"img1_path": first, "img2_path": nowhere}],
        ["verify", {"img1_path": first, "img2_path": second, "distance_metric": "Z"}],
        ["verify", {"img1_path": [0.1] * 4, "img2_path": [0.1] * 4}],
        ["verify", {"img1_path": [0.1] * 256, "img2_path": [0.2] * 256, "threshold": 0.5}],
        ["verify", {"img1_path": ["a"], "img2_path": [0.1] * 4}],
        ["analyze", {"img_path": first, "actions": ["mood"]}],
    ]  # fmt: skip


def with_names(calls: list[Any], names: dict[str, str]) -> list[Any]:
    """The calls with a system's names, where a call takes them and has none of its own."""
    takes = {"extract_faces": ["detector_backend"], "analyze": ["detector_backend"]}
    return [
        [name, {key: names[key] for key in takes.get(name, names)} | arguments]
        for name, arguments in calls
    ]


#: What cannot be alike, since models, thresholds and clocks are others.
OWN = {"model", "detector_backend", "time", "confidence", "cause", "mean"}


def differing(a: Any, b: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, dict) and "scalar" in a:
        a = a["scalar"][1]  # NumPy's numbers there, Python's here
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(key for key in b if key not in a)]:
            if key not in OWN:
                yield from differing(a.get(key, "-"), b.get(key, "-"), f"{path}/{key}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from differing(x, y, f"{path}/{i}")
    elif isinstance(a, str) and isinstance(b, str):
        named = b.replace(OURS["model_name"], THEIRS["model_name"]).replace(". Please", ".Please")
        if a != named:
            yield path, a, b
    elif isinstance(a, (int, float)) and isinstance(b, (int, float)):
        if abs(a - b) > 2e-6:
            yield path, a, b
    elif a != b:
        yield path, a, b


@pytest.mark.slow
def test_a_script_changes_one_line(pairs: Path, folder: Path, tmp_path: Path) -> None:
    before, after = scripts("deepface")
    changed = [one for one, other in zip(before, after, strict=True) if one != other]
    assert changed == ["from deepface import DeepFace"]
    judge("deepface")
    for name in ("img1", "img10"):
        shutil.copyfile(pairs / f"{name}.jpg", tmp_path / f"{name}.jpg")
    (tmp_path / "after.py").write_text("\n".join(after))
    told = run_script(sys.executable, tmp_path / "after.py", home=tmp_path).splitlines()
    assert told[0] == "the same person"
    assert told[1].endswith("img1.jpg")


# find


def test_a_folder_is_looked_at_once(folder: Path, pairs: Path, caplog: Any) -> None:
    person = str(pairs / "img1.jpg")
    ask_for = {"db_path": str(folder), "return_type": "dict", **OURS}
    (found,) = DeepFace.find(person, **ask_for)
    assert [Path(row["identity"]).name for row in found][:1] == ["img1.jpg"]
    assert found[0]["distance"] == pytest.approx(0, abs=1e-4)
    assert set(found[0]) == set(finding.FIND_COLUMNS)
    assert all(row["distance"] <= row["threshold"] for row in found)

    shutil.copyfile(pairs / "img11.jpg", folder / "new.jpg")
    cv2.imwrite(str(folder / "empty.png"), np.zeros((80, 80, 3), np.uint8))
    (folder / "broken.jpg").write_bytes(b"nothing")
    (again,) = DeepFace.find(person, **ask_for)
    assert len(again) == len(found) + 1
    assert {"empty.png", "broken.jpg"} <= {
        Path(record.getMessage().split(" is left out")[0]).name for record in caplog.records
    }
    caplog.clear()
    (folder / "new.jpg").unlink()
    assert len(DeepFace.find(person, **ask_for)[0]) == len(found)
    assert not caplog.records  # what was left out is not looked at again


def test_however_a_folder_is_spelled_it_is_one_and_paths_are_the_calls(
    folder: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, looked = faces.find_faces, []

    def counted(source: str, backend: str) -> Any:
        looked.append(source)
        return whole(source, backend)

    monkeypatch.setattr(folders, "find_faces", counted)
    places = ((folder.parent, "./people/"), (folder, "."), (pairs, str(folder)))
    for here, db_path in places:
        monkeypatch.chdir(here)
        (found,) = DeepFace.find(str(pairs / "img1.jpg"), db_path, return_type="dict", **OURS)
        assert found[0]["identity"] == os.path.join(db_path, "more", "img1.jpg")  # noqa: PTH118
    assert len(looked) == 3
    empty = folder / "empty"
    empty.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(exceptions.EmptyDatasource, match=r"found in empty$"):
        DeepFace.find(str(pairs / "img1.jpg"), "empty", **OURS)


def test_the_nearest_are_asked_for_by_number(folder: Path, pairs: Path) -> None:
    ask_for = {"db_path": str(folder), "return_type": "dict", **OURS}
    person = str(pairs / "img1.jpg")
    (near,) = DeepFace.find(person, similarity_search=True, k=3, threshold=0.0001, **ask_for)
    assert len(near) == 3
    assert [row["distance"] for row in near] == sorted(row["distance"] for row in near)
    (own,) = DeepFace.find(person, distance_metric=city_block, threshold=1e9, **ask_for)
    assert len(own) == 3
    assert own[0]["confidence"] == 51
    with pytest.raises(ValueError, match="needs k"):
        DeepFace.find(person, similarity_search=True, **ask_for)
    with pytest.raises(ValueError, match="k must be"):
        DeepFace.find(person, k=0, **ask_for)
    with pytest.raises(ValueError, match="needs a threshold"):
        DeepFace.find(person, distance_metric=city_block, **ask_for)


def city_block(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a) - np.asarray(b)).sum())


def test_several_pictures_are_looked_for(folder: Path, pairs: Path) -> None:
    photos = [str(pairs / "img1.jpg"), str(pairs / "img3.jpg")]
    tables = DeepFace.find(photos, str(folder), return_type="dict", **OURS)
    assert [Path(table[0][0]["identity"]).name for table in tables] == ["img1.jpg", "img3.jpg"]


# verify, represent


def test_pictures_come_in_every_form(pairs: Path) -> None:
    path = pairs / "img1.jpg"
    coded = "data:image/jpeg;base64," + base64.encodebytes(path.read_bytes()).decode()
    with path.open("rb") as opened:
        for source in (path, cv2.imread(str(path)), coded, opened):
            done = DeepFace.verify(source, str(path), **OURS)
            assert done["verified"] is True
            assert done["distance"] < 0.01
    vector = DeepFace.represent(str(path), **OURS)[0]["embedding"]
    given = DeepFace.verify(vector, str(pairs / "img10.jpg"), **OURS)
    assert given["verified"] is True
    assert set(given["facial_areas"]["img1"].values()) == {None}
    with pytest.raises(ValueError, match="img1_path") as raised:
        DeepFace.verify("https://example.com/a.jpg", str(path), **OURS)
    assert "fetches nothing" in str(raised.value.__cause__)


def test_a_face_cut_out_before_is_laid_by_its_points(pairs: Path, folder: Path) -> None:
    for name in ("img1.jpg", "img3.jpg", "img5.jpg"):
        photo = str(pairs / name)
        whole = DeepFace.represent(photo, **OURS)[0]["embedding"]
        faces = DeepFace.extract_faces(photo, OURS["detector_backend"], color_face="bgr")
        settings = {"model_name": OURS["model_name"], "detector_backend": "skip"}
        (seen,) = DeepFace.represent(faces[0]["face"], **settings)
        (blind,) = DeepFace.represent(faces[0]["face"], align=False, **settings)
        near = 1 - verification.find_cosine_distance(whole, seen["embedding"])
        assert near > 0.9
        assert near > 1 - verification.find_cosine_distance(whole, blind["embedding"])
        assert (seen["face_confidence"], seen["facial_area"]["left_eye"]) == (0.0, None)


def test_earlier_versions_rows(pairs: Path, folder: Path) -> None:
    (rows,) = DeepFace.find(str(pairs / "img1.jpg"), str(folder), batched=True, **OURS)
    assert isinstance(rows, list)
    assert list(rows[0]) == [name for name in finding.FIND_COLUMNS if name != "confidence"]


def test_distances_of_vectors() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 8)), rng.standard_normal((2, 8))
    for metric in ("cosine", "euclidean", "euclidean_l2", "angular"):
        found = verification.find_distance(a, b, metric)
        assert found.shape == (3, 2)
        for i, j in np.ndindex(3, 2):
            one = verification.find_distance(a[i].tolist(), b[j].tolist(), metric)
            assert one == pytest.approx(found[i, j], abs=1e-6)
    assert verification.find_distance(a, b, lambda x, y: (x @ y.T) ** 2).shape == (3, 2)
    assert verification.find_distance([3.0, 4.0], [0.0, 0.0], "euclidean") == 5
    assert verification.find_angular_distance([1.0, 0.0], [0.0, 2.0]) == pytest.approx(0.5)
    np.testing.assert_allclose(np.linalg.norm(verification.l2_normalize(a, axis=1), axis=1), 1)
    one = [1.0] + [0.0] * 255
    limit = verification.find_threshold(OURS["model_name"], "cosine")
    assert limit == DeepFace.verify(one, one, **OURS)["threshold"]
    with pytest.raises(ValueError, match="Z"):
        verification.find_distance(a, b, "Z")
    with pytest.raises(ValueError, match=r"\(3, 8\)"):
        verification.find_cosine_distance(a, b[:, :4])


def test_the_default_threshold_is_calibrated(pairs: Path) -> None:
    same = DeepFace.verify(str(pairs / "img1.jpg"), str(pairs / "img10.jpg"), **OURS)
    other = DeepFace.verify(str(pairs / "img1.jpg"), str(pairs / "img3.jpg"), **OURS)
    calibration = models.recogniser("arcid-face-s").calibration
    assert calibration is not None
    assert same["threshold"] == pytest.approx(1 - calibration.threshold_at_fmr(1e-4).cosine)
    assert (same["verified"], other["verified"]) == (True, False)
    assert same["confidence"] >= 51 > 49 >= other["confidence"]


def test_a_name_that_is_not_installed_is_answered_once_with_a_warning(pairs: Path) -> None:
    models.recogniser.cache_clear()
    models.detector.cache_clear()
    photo = str(pairs / "img1.jpg")
    with pytest.warns(UserWarning) as told:
        done = DeepFace.verify(photo, photo)
    assert [str(one.message).split()[0] for one in told] == ["VGG-Face", "opencv"]
    assert (done["model"], done["detector_backend"]) == ("arcid-face-s", "arcid-detect-s")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DeepFace.verify(photo, photo)
    with pytest.raises(exceptions.UnimplementedError, match="facial_recognition/Nobody"):
        DeepFace.verify(photo, photo, model_name="Nobody")


def test_a_picture_of_a_picture_is_refused(
    data_dir: Path, liveness_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_MODELS", str(liveness_models))
    spoof = data_dir / "data/spoof"
    real = DeepFace.extract_faces(spoof / "image_T1.jpg", "arcid-detect-s", anti_spoofing=True)
    assert real[0]["is_real"] is True
    with pytest.raises(exceptions.SpoofDetected):
        DeepFace.represent(spoof / "image_F2.jpg", anti_spoofing=True, **OURS)


def test_faces_are_described_not_guessed_about(pairs: Path) -> None:
    with pytest.raises(exceptions.UnimplementedError, match="who a face is"):
        DeepFace.analyze(str(pairs / "img1.jpg"))
    assert DeepFace.detectFace(str(pairs / "img1.jpg"), (90, 60)).shape == (90, 60, 3)


# stream


def of_video(data_dir: Path, tmp_path: Path, count: int) -> tuple[str, Path]:
    """The first frames of a video, and a folder with a picture of whoever is in the first."""
    first, clip = None, tmp_path / "clip.mp4"
    capture = cv2.VideoCapture(str(data_dir / "data/video/yakhyo_in_video.mp4"))
    for _ in range(count):
        frame = cv2.resize(capture.read()[1], (640, 360))
        if first is None:
            first = frame
            code = cv2.VideoWriter.fourcc(*"mp4v")
            writer = cv2.VideoWriter(str(clip), code, 10.0, (640, 360))
        writer.write(frame)
    writer.release()
    people = tmp_path / "people"
    people.mkdir()
    cv2.imwrite(str(people / "visitor.png"), first)
    return str(clip), people


def test_a_video_names_who_is_in_it(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, people = of_video(data_dir, tmp_path, 6)
    shown: list[list[str | None]] = []
    monkeypatch.setattr(
        finding, "drawn", lambda image, seen: shown.append([n for _, n in seen]) or image
    )
    written = tmp_path / "out.mp4"
    DeepFace.stream(
        str(people), source=clip, frame_threshold=3, time_threshold=1, output_path=str(written),
        **OURS,
    )  # fmt: skip
    assert [any(names) for names in shown] == [False, False, True] * 2
    assert {name for names in shown for name in names} <= {None, str(people / "visitor.png")}
    capture = cv2.VideoCapture(str(written))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 4 + 2 * 10  # the still ones stand for a second


def test_a_window_ends_by_q(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, people = of_video(data_dir, tmp_path, 2)
    with pytest.raises(ValueError, match="output_path"):  # the OpenCV of the tests has no windows
        DeepFace.stream(str(people), source=clip, **OURS)
    shown: list[tuple[int, ...]] = []
    closed: list[str] = []
    monkeypatch.setattr(cv2, "imshow", lambda name, picture: shown.append(picture.shape))
    monkeypatch.setattr(cv2, "waitKey", lambda wait: ord("q"))
    monkeypatch.setattr(cv2, "destroyWindow", closed.append)
    DeepFace.stream(str(people), source=clip, **OURS)
    assert (shown, closed) == ([(360, 640, 3)], ["arcid"])
    with pytest.raises(ValueError, match="at least 1"):
        DeepFace.stream(str(people), source=clip, frame_threshold=0)
    with pytest.raises(exceptions.PathNotFound):
        DeepFace.stream(str(people / "no"), source=clip, **OURS)


# register, search, identify


def test_faces_are_registered_and_found(pairs: Path, tmp_path: Path) -> None:
    place = {"connection_details": str(tmp_path / "faces.db"), **OURS}
    with pytest.raises(ValueError, match="No embeddings found"):
        DeepFace.search(str(pairs / "img1.jpg"), **place)
    assert DeepFace.register(str(pairs / "img1.jpg"), "ann", **place) == {"inserted": 1}
    assert DeepFace.register(str(pairs / "img1.jpg"), "ann", **place) == {"inserted": 0}
    assert DeepFace.register(str(pairs / "img3.jpg"), "ben", **place) == {"inserted": 1}
    with pytest.raises(exceptions.DuplicateEntryError):
        DeepFace.register([str(pairs / "img3.jpg")], "ben", **place)
    DeepFace.build_index(**place)
    (found,) = DeepFace.search(str(pairs / "img10.jpg"), return_type="dict", **place)
    assert [row["img_name"] for row in found] == ["ann"]
    assert list(found[0]) == list(registering.SEARCH_COLUMNS)
    done = DeepFace.identify(str(pairs / "img10.jpg"), found[0]["id"], **place)
    assert (done["verified"], done["img_name"], done["distance"]) == (
        True, "ann", found[0]["distance"],
    )  # fmt: skip
    assert done["facial_areas"]["img2"] is None
    with pytest.raises(ValueError, match="identity_id=5"):
        DeepFace.identify(str(pairs / "img10.jpg"), 5, **place)
    with pytest.raises(ValueError, match="path or URL"):
        DeepFace.search(str(pairs / "img1.jpg"), connection_details={"host": "x"})


def test_pictures_without_a_name_are_not_one_person(pairs: Path, tmp_path: Path) -> None:
    place = {"connection_details": str(tmp_path / "faces.db"), **OURS}
    for photo in ("img1.jpg", "img3.jpg"):  # of two people
        text = base64.b64encode((pairs / photo).read_bytes()).decode()
        assert DeepFace.register(f"data:image/jpeg;base64,{text}", **place) == {"inserted": 1}
    (found,) = DeepFace.search(str(pairs / "img10.jpg"), similarity_search=True, k=5,
                               return_type="dict", **place)  # fmt: skip
    assert len({row["img_name"] for row in found}) == len(found) == 2
