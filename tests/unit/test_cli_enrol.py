"""``arcid enrol`` and ``search`` over a gallery, on real people."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil

from arcid.errors import DatasetInvalid, StorageFull
from arcid.evaluate.embeddings import load_embeddings
from arcid.gallery import Gallery

pytestmark = pytest.mark.data


@pytest.fixture
def pairs(data_dir: Path) -> Path:
    return data_dir / "data" / "deepface-pairs"


@pytest.fixture
def photos(data_dir: Path) -> Path:
    return data_dir / "data" / "photos"


@pytest.fixture
def twenty(data_dir: Path, tmp_path: Path) -> Path:
    """A folder of 20 people with 3 to 6 photos each."""
    images = data_dir / "data" / "lfw-dev" / "images"
    people = [p for p in sorted(images.iterdir()) if 3 <= len(list(p.iterdir())) <= 6][:20]
    for person in people:
        shutil.copytree(person, tmp_path / "people" / person.name)
    return tmp_path / "people"


def sources(cli: Any, collection: str = "default") -> dict[str, list[str]]:
    """What is enrolled: name → file names."""
    people = cli("gallery", "people", "--collection", collection, "--json").json["people"]
    found = {}
    for person in people:
        ran = cli("gallery", "person", person["id"], "--collection", collection, "--json")
        found[person["name"]] = sorted(Path(face["source"]).name for face in ran.json["faces"])
    return found


# one person


def test_enrolled_and_found_by_another_photo(cli: Any, pairs: Path, environment: Path) -> None:
    ran = cli("enrol", "Ann", pairs / "img1.jpg", pairs / "img2.jpg", "--json")
    assert ran.code == 0
    assert (ran.json["enrolled"], ran.json["people"], ran.json["rejected"]) == (2, 1, [])
    assert ran.json["photos_per_second"] > 0
    assert (environment / "gallery.db").is_file()
    assert cli("enrol", "Bea", pairs / "img3.jpg").code == 0

    found = cli("search", pairs / "img4.jpg", "--json")
    assert found.code == 0
    (face,) = found.json["faces"]
    assert face["decision"]["gallery_size"] == 3
    assert [c["name"] for c in face["candidates"]] == ["Ann", "Bea"]
    assert face["decision"]["outcome"] == "match"
    assert face["decision"]["cosine"] == pytest.approx(face["candidates"][0]["cosine"], abs=1e-5)
    assert face["decision"]["target_fpir"] == 0.01
    only = cli("search", pairs / "img4.jpg", "--k", "1", "--json").json["faces"][0]
    assert [c["name"] for c in only["candidates"]] == ["Ann"]


def test_a_stranger_is_nobody(cli: Any, pairs: Path) -> None:
    cli("enrol", "Ann", pairs / "img1.jpg")
    ran = cli("search", pairs / "img3.jpg", "--json")
    assert ran.code == 1
    assert ran.json["faces"][0]["decision"]["outcome"] == "no_match"
    assert ran.json["faces"][0]["candidates"][0]["name"] == "Ann"
    assert "nobody" in cli("search", pairs / "img3.jpg").out


def test_two_faces_of_one_photo_are_two_people(cli: Any, pairs: Path, photos: Path) -> None:
    cli("enrol", "Ann", pairs / "img1.jpg")
    couple = cli("search", photos / "group" / "couple.jpg", "--json")
    assert couple.code == 0
    names = [
        [(c["name"], c["given_to"]) for c in face["candidates"]] for face in couple.json["faces"]
    ]
    assert sorted(names, key=str) in (
        [[("Ann", 0)], [("Ann", None)]],
        [[("Ann", 1)], [("Ann", None)]],
    )


def test_a_group_of_more_faces_than_people_is_no_empty_gallery(
    cli: Any, pairs: Path, photos: Path
) -> None:
    for number in (1, 3, 5, 13, 16, 18, 20):
        cli("enrol", f"Person {number}", pairs / f"img{number}.jpg", "--allow-duplicate")
    group = cli("search", photos / "group" / "20.jpg", "--json").json
    assert len(group["faces"]) > 7
    for face in group["faces"]:
        assert face["decision"]["gallery_size"] == 7
        assert face["candidates"]
        assert "no faces" not in face["decision"]["reason"]
        left = face["candidates"][0]["given_to"]
        assert ("another face of this photo" in face["decision"]["reason"]) == (left is not None)
    left_over = [f for f in group["faces"] if f["candidates"][0]["given_to"] is not None]
    assert len(left_over) == len(group["faces"]) - 7
    shown = cli("search", photos / "group" / "20.jpg").out
    assert shown.count("(given to face ") >= len(left_over)


def test_one_person_twice_in_a_photo_is_found_once_and_said_so(
    cli: Any, pairs: Path, tmp_path: Path
) -> None:
    for name, photo in (("Ann", "img4.jpg"), ("Bea", "img3.jpg")):
        cli("enrol", name, pairs / photo)
    first, second = (Pil.open(pairs / f"img{n}.jpg").resize((400, 500)) for n in (1, 2))
    twice = Pil.new("RGB", (800, 500))
    twice.paste(first, (0, 0))
    twice.paste(second, (400, 0))
    twice.save(tmp_path / "twice.png")
    faces = cli("search", tmp_path / "twice.png", "--json").json["faces"]
    assert sorted(face["decision"]["outcome"] for face in faces) == ["match", "no_match"]
    (other,) = (face for face in faces if face["decision"]["outcome"] == "no_match")
    nearest = other["candidates"][-1]
    assert nearest["name"] == "Ann" and faces[nearest["given_to"]]["decision"]["outcome"] == "match"


def test_a_rate_beyond_the_calibration_ends_in_review(cli: Any, pairs: Path) -> None:
    cli("enrol", "Ann", pairs / "img1.jpg")
    rate = ("--fpir", "1e-6", "--json")
    review = cli("search", pairs / "img2.jpg", *rate)
    assert review.code == 1
    assert review.json["faces"][0]["decision"]["outcome"] == "review"
    match = cli("search", pairs / "img2.jpg", *rate, "--allow-extrapolation")
    assert match.code == 0
    assert match.json["faces"][0]["decision"]["extrapolated"] is True


def test_every_refused_photo_is_reported_with_its_reason(
    cli: Any, pairs: Path, photos: Path, tmp_path: Path
) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes((pairs / "img1.jpg").read_bytes()[:9000])
    bad = {
        photos / "misc" / "no_face.png": "no_face_found",
        photos / "group" / "couple.jpg": "several_faces_found",
        photos / "misc" / "blur.jpg": "quality_rejected",
        torn: "image_unreadable",
    }
    ran = cli("enrol", "Ann", *bad, "--json")
    assert ran.code == 1
    assert {r["photo"]: r["code"] for r in ran.json["rejected"]} == {
        str(path): code for path, code in bad.items()
    }
    assert ran.json["enrolled"] == 0
    assert cli("gallery", "people", "--json").json["people"] == []

    ran = cli("enrol", "Ann", pairs / "img1.jpg", *bad)
    assert ran.code == 0
    assert ran.out.startswith("Enrolled 1 of 5 photos, 1 person, into default: ")
    for path in bad:
        assert ran.err.count(path.name) == 1
    assert "blurred" in ran.err
    assert sources(cli) == {"Ann": ["img1.jpg"]}

    assert cli("enrol", "Ann", photos / "misc" / "blur.jpg", "--no-quality").code == 0
    assert sources(cli) == {"Ann": ["blur.jpg", "img1.jpg"]}


def test_selection_settles_which_face(cli: Any, pairs: Path, photos: Path) -> None:
    couple = photos / "group" / "couple.jpg"
    assert cli("enrol", "Ann", couple, "--select", "largest").code == 0
    assert cli("search", pairs / "img1.jpg").code == 0
    assert cli("enrol", "Ann", couple, "--select", "all").code == 2


def test_enrolling_again_changes_nothing(cli: Any, pairs: Path) -> None:
    files = (pairs / "img1.jpg", pairs / "img2.jpg")
    cli("enrol", "Ann", *files)
    again = cli("enrol", "Ann", *files, "--json")
    assert again.code == 0
    assert (again.json["enrolled"], again.json["already_enrolled"]) == (0, 2)
    assert sources(cli) == {"Ann": ["img1.jpg", "img2.jpg"]}


def test_metadata_is_kept_and_added_to(cli: Any, pairs: Path) -> None:
    cli("enrol", "Ann", pairs / "img1.jpg", "--metadata", "badge=17", "--metadata", "site=a=b")
    cli("enrol", "Ann", pairs / "img2.jpg", "--metadata", "badge=18")
    (person,) = cli("gallery", "people", "--json").json["people"]
    assert person["metadata"] == {"badge": "18", "site": "a=b"}
    assert cli("enrol", "Ann", pairs / "img4.jpg", "--metadata", "badge").code == 2


def test_collections_and_databases_are_apart(cli: Any, pairs: Path, tmp_path: Path) -> None:
    elsewhere = ("--database", tmp_path / "new" / "other.db", "--collection", "staff")
    assert cli("enrol", "Ann", pairs / "img1.jpg", *elsewhere).code == 0
    assert cli("search", pairs / "img2.jpg", *elsewhere).code == 0
    ran = cli("search", pairs / "img2.jpg", "--json")
    (face,) = ran.json["faces"]
    assert ran.code == 1 and face["candidates"] == []
    cli("enrol", "Bea", pairs / "img3.jpg")
    ran = cli("search", pairs / "img2.jpg", "--collection", "staff")
    assert ran.code == 5 and "no collection 'staff'" in ran.err


def test_a_search_is_for_one_thing(cli: Any, pairs: Path) -> None:
    cli("enrol", "Ann", pairs / "img1.jpg")
    assert cli("search").code == 2
    assert cli("search", pairs / "img1.jpg", "--person", "Ann").code == 2
    ran = cli("search", "--person", "Zoe", "--json")
    assert ran.code == 5 and ran.json["error"]["code"] == "person_not_found"


def test_search_without_a_face_is_bad_input(cli: Any, pairs: Path, photos: Path) -> None:
    cli("enrol", "Ann", pairs / "img1.jpg")
    ran = cli("search", photos / "misc" / "no_face.png", "--json")
    assert ran.code == 3 and ran.json["error"]["code"] == "no_face_found"


def test_search_by_vectors(cli: Any, pairs: Path, tmp_path: Path) -> None:
    cli("enrol", "Ann", pairs / "img1.jpg")
    npz = tmp_path / "probes.npz"
    cli("embed", pairs / "img2.jpg", pairs / "img3.jpg", "-o", npz)
    ran = cli("search", "--embedding", npz, "--json")
    assert ran.code == 0
    outcomes = [probe["decision"]["outcome"] for probe in ran.json["probes"]]
    assert outcomes == ["match", "no_match"]
    with np.load(npz) as stored:
        np.savez(tmp_path / "other.npz", vectors=stored["vectors"], contract_id="0" * 64)
    ran = cli("search", "--embedding", tmp_path / "other.npz", "--json")
    assert ran.code == 4 and ran.json["error"]["code"] == "calibration_missing"
    packed = bytearray(npz.read_bytes())
    packed[packed.index(b"PK\1\2") + 10] ^= 1  # how the first array is packed
    (tmp_path / "damaged.npz").write_bytes(packed)
    cli("embed", pairs / "img2.jpg", "-o", tmp_path / "alone.npy")
    for bad in (
        pairs / "img1.jpg", pairs / "absent.npz", tmp_path / "damaged.npz", tmp_path / "alone.npy",
    ):  # fmt: skip
        ran = cli("search", "--embedding", bad, "--json")
        assert ran.code == 3 and ran.json["error"]["code"] == "invalid_array"
    assert "an .npy lacks" in (said := ran.json["error"]["message"]) and "-o alone.npz" in said
    with pytest.raises(DatasetInvalid, match="cannot be read as NumPy vectors"):
        load_embeddings(tmp_path / "damaged.npz")


def test_doubles_of_a_person(cli: Any, pairs: Path) -> None:
    cli("enrol", "Ann", pairs / "img1.jpg")
    alone = cli("search", "--person", "Ann", "--json")
    assert alone.code == 1
    assert alone.json["candidates"] == []
    cli("enrol", "Bea", pairs / "img3.jpg")
    assert cli("search", "--person", "Ann").code == 1
    cli("enrol", "Ann again", pairs / "img2.jpg", "--allow-duplicate")
    double = cli("search", "--person", "ann", "--json")
    assert double.code == 0
    assert [c["name"] for c in double.json["candidates"]] == ["Ann again", "Bea"]


# a folder of people


def test_holdout_keeps_photos_back_and_finds_them(cli: Any, twenty: Path) -> None:
    files = {p.name: sorted(f.name for f in p.iterdir()) for p in twenty.iterdir()}
    total = sum(map(len, files.values()))
    lfw = ("enrol", "--from", twenty, "--select", "center", "--no-quality")
    ran = cli(*lfw, "--holdout", "1", "--collection", "last", "--json")
    assert ran.code == 0
    assert (ran.json["enrolled"], ran.json["people"]) == (total - 20, 20)
    assert sources(cli, "last") == {name: names[:-1] for name, names in files.items()}
    held = ran.json["holdout"]
    assert (held["probes"], held["gallery_people"], held["gallery_faces"]) == (20, 20, total - 20)
    assert held["top1_count"] >= 19 and held["top1"] == held["top1_count"] / 20
    assert held["top1_count"] <= held["top3_count"] <= held["top5_count"]
    assert held["failed_reads"] == 0 and held["already_enrolled"] == 0


BYSTANDERS = (
    "Abdullah_Gul", "Ali_Naimi", "Alvaro_Uribe", "Amanda_Bynes", "Ann_Veneman", "Ben_Affleck",
    "Carla_Del_Ponte", "Chen_Shui-bian", "Christine_Todd_Whitman", "Condoleezza_Rice",
)  # fmt: skip


def test_enrolling_and_evaluating_take_the_same_face(
    cli: Any, data_dir: Path, tmp_path: Path
) -> None:
    for person in BYSTANDERS:
        shutil.copytree(data_dir / "data/lfw-dev/images" / person, tmp_path / "people" / person)
    held = cli(
        "enrol", "--from", tmp_path / "people", "--holdout", "1", "--no-quality", "--json"
    ).json
    split = ("--people", str(len(BYSTANDERS)), "--enrol", "2", "--probe", "1", "--no-cache")
    measured = cli("evaluate", "gallery", "--data", tmp_path / "people", *split, "--json").json
    refused = {Path(r["photo"]).name for r in [*held["rejected"], *held["holdout"]["failed"]]}
    assert {Path(f["photo"]).name for f in measured["failed"]} <= refused
    assert held["rejected_by_reason"].keys() | held["holdout"]["failed_by_reason"].keys() == {
        "several_faces_found"
    }
    assert len(refused) <= 3 < held["photos"] / 5
    assert held["holdout"]["top1_count"] + held["holdout"]["failed_reads"] == len(BYSTANDERS)


def test_a_refusal_names_options_that_exist_and_the_summary_comes_first(
    cli: Any, pairs: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "people" / "Ann").mkdir(parents=True)
    for photo in (pairs / "img1.jpg", photos / "group" / "couple.jpg", photos / "misc/no_face.png"):
        shutil.copy(photo, tmp_path / "people" / "Ann")
    ran = cli("enrol", "--from", tmp_path / "people")
    assert "2 were refused: 1 several faces found, 1 no face found" in ran.out
    assert "--select largest or --select center" in ran.err
    assert cli("enrol", "Ann", photos / "group/couple.jpg", "--select", "center").code == 0
    ran = cli("verify", pairs / "img1.jpg", photos / "group" / "couple.jpg", "--json")
    assert "--select largest" in ran.json["error"]["message"]


def test_a_disk_that_is_full_in_the_middle_tells_what_is_kept(
    cli: Any, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcid.apps.enrol_writing.BATCH", 1)
    whole = Gallery.enrol_people

    def full_at_the_second(self: Gallery, *args: Any, **options: Any) -> Any:
        if any(self.people("default")):
            raise StorageFull("the disk is full; nothing was changed")
        return whole(self, *args, **options)

    monkeypatch.setattr(Gallery, "enrol_people", full_at_the_second)
    ran = cli("enrol", "Ann", pairs / "img1.jpg", pairs / "img2.jpg")
    assert ran.code == 5 and sources(cli) == {"Ann": ["img1.jpg"]}
    assert "nothing was changed. 1 photo is enrolled already; the same command goes on" in ran.err


def test_details_are_kept_of_whoever_is_enrolled(cli: Any, pairs: Path, photos: Path) -> None:
    ann = ("Ann", pairs / "img1.jpg", "--metadata", "site=Berlin", "--metadata", "floor:=3")
    assert cli("enrol", *ann).code == 0
    found = cli("gallery", "people", "--where", "floor:=3", "--json").json["people"]
    assert [p["metadata"] for p in found] == [{"site": "Berlin", "floor": 3}]
    assert cli("enrol", "Ann", pairs / "img1.jpg", "--metadata", "floor:=4").code == 0
    other = ("Ann", photos / "misc/no_face.png", "--metadata", "floor:=5", "--external-id", "x")
    assert cli("enrol", *other).code == 1  # refused, so nothing of Ann's is changed
    (kept,) = cli("gallery", "people", "--json").json["people"]
    assert (kept["metadata"]["floor"], kept["external_id"]) == (4, None)
    wrong = cli("enrol", "Ann", pairs / "img1.jpg", "--metadata", "floor:=three")
    assert wrong.code == 2 and "floor:= needs a number" in wrong.err


def test_what_is_nobodys_photo_is_named_and_hidden_folders_are_nobody(
    cli: Any, pairs: Path, tmp_path: Path
) -> None:
    root = tmp_path / "people"
    for place in ("Ann/1.jpg", ".trash/1.jpg", "Bea/old/1.jpg", "loose.jpg", "Bea/IMG_1.HEIC"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pairs / "img1.jpg", root / place)
    (root / "Ann/2.jpg").write_bytes(b"")
    (root / "Ann/.2.jpg").write_bytes(b"")
    ran = cli("enrol", "--from", root)
    assert sources(cli) == {"Ann": ["1.jpg"]}
    assert "passed over: Bea/IMG_1.HEIC, Bea/old/1.jpg, loose.jpg; read are" in ran.err
    assert f"refused: {root / 'Ann/2.jpg'} is empty (0 bytes)" in ran.err.splitlines()
    said = cli("import", "folder", root, "--dry-run")
    assert said.out.splitlines()[0] == "Would import 2 photos of 1 person into default"
    (root / "Ann").rename(root / ".Ann")
    none = cli("enrol", "--from", root)
    assert none.code == 3 and ".jpeg, .jpg" in none.err and ".heic" not in none.err


def test_nobody_is_enrolled_twice_unless_that_is_wanted(
    cli: Any, pairs: Path, tmp_path: Path
) -> None:
    people = {"Ann": ("img1", "img2"), "Bea": ("img3",), "Zoe": ("img2", "img4", "img20")}
    for person, photos in people.items():
        (tmp_path / "people" / person).mkdir(parents=True)
        for photo in photos:
            shutil.copy(pairs / f"{photo}.jpg", tmp_path / "people" / person)
    ran = cli("enrol", "--from", tmp_path / "people", "--json").json
    assert ran["rejected_by_reason"] == {"possible_duplicate": 2}
    assert (ran["enrolled"], ran["people"]) == (4, 3)
    for refused in ran["rejected"]:  # the very photo, and another one of her
        assert refused["person"] == "Zoe" and "'Ann' already" in refused["message"]
        assert "--allow-duplicate" in refused["message"]
        assert refused["details"]["cosine"] > refused["details"]["cosine_threshold"]
    assert sources(cli)["Zoe"] == ["img20.jpg"]
    text = cli("enrol", "Second Ann", pairs / "img5.jpg")
    assert text.code == 1 and "1 were refused: 1 possible duplicate" in text.out
    assert cli("enrol", "Second Ann", pairs / "img5.jpg", "--allow-duplicate").code == 0
    assert sources(cli)["Second Ann"] == ["img5.jpg"]
    again = cli("enrol", "--from", tmp_path / "people", "--json").json
    assert (again["already_enrolled"], again["enrolled"]) == (4, 0)


def test_photos_are_kept_back_by_name_or_by_lot(twenty: Path) -> None:
    from arcid.apps.holdout import hold_back

    people = {p.name: sorted(p.iterdir()) for p in sorted(twenty.iterdir())}
    kept, probes = hold_back(people, 2, None)
    assert kept == {name: files[:-2] for name, files in people.items()}
    assert probes == {name: files[-2:] for name, files in people.items()}
    drawn, drawn_probes = hold_back(people, 2, seed=7)
    assert drawn != kept and drawn == hold_back(people, 2, seed=7)[0]
    assert drawn != hold_back(people, 2, seed=8)[0]
    for name, files in people.items():
        assert len(drawn_probes[name]) == 2
        assert sorted(drawn[name] + drawn_probes[name]) == files
    kept, probes = hold_back(people, 5, None)
    assert all(len(files) == max(1, len(people[name]) - 5) for name, files in kept.items())
    assert hold_back(people, 0, None)[0] == people


def test_holdout_counts_misses_and_failed_reads(
    cli: Any, pairs: Path, photos: Path, tmp_path: Path
) -> None:
    """Ann's last photo is Bea's, Bea's has no face, Cid has one photo only: none kept back."""
    for name, files in {
        "Ann": [pairs / "img1.jpg", pairs / "img2.jpg", pairs / "img12.jpg"],
        "Bea": [pairs / "img3.jpg", photos / "misc" / "no_face.png"],
        "Cid": [pairs / "img20.jpg"],
    }.items():
        (tmp_path / "people" / name).mkdir(parents=True)
        for i, file in enumerate(files):
            shutil.copy(file, tmp_path / "people" / name / f"{i}{file.suffix}")
    folder = tmp_path / "people"
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("not a person")
    ran = cli("enrol", "--from", folder, "--holdout", "1", "--json")
    assert ran.code == 0
    assert sources(cli) == {"Ann": ["0.jpg", "1.jpg"], "Bea": ["0.jpg"], "Cid": ["0.jpg"]}
    held = ran.json["holdout"]
    assert (held["probes"], held["failed_reads"]) == (2, 1)
    assert (held["top1_count"], held["top3_count"], held["top1"]) == (0, 1, 0.0)
    assert held["failed"][0]["code"] == "no_face_found"

    again = cli("enrol", "--from", folder, "--holdout", "1")
    assert again.code == 0
    assert "Top-1: 0.00% (0 / 2)" in again.out and "Top-3: 50.00% (1 / 2)" in again.out
    assert "Failed reads: 1 / 2" in again.out


def test_probes_that_are_enrolled_already_do_not_count(
    cli: Any, pairs: Path, tmp_path: Path
) -> None:
    (tmp_path / "people" / "Ann").mkdir(parents=True)
    for name in ("img1.jpg", "img2.jpg"):
        shutil.copy(pairs / name, tmp_path / "people" / "Ann" / name)
    cli("enrol", "--from", tmp_path / "people")
    held = cli("enrol", "--from", tmp_path / "people", "--holdout", "1", "--json").json["holdout"]
    assert (held["probes"], held["already_enrolled"]) == (0, 1)


def test_folders_that_hold_nobody(cli: Any, pairs: Path, tmp_path: Path) -> None:
    assert cli("enrol", "--from", tmp_path / "absent").code == 3
    (tmp_path / "people").mkdir()
    ran = cli("enrol", "--from", tmp_path / "people")
    assert ran.code == 3 and "one folder per person" in ran.err
    assert cli("enrol", "Ann", "--from", tmp_path / "people").code == 2
    assert cli("enrol", "Ann").code == 2
    assert cli("enrol").code == 2


def test_a_missing_model_leaves_no_gallery_behind(
    environment: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(tmp_path))
    monkeypatch.setenv("ARCID_DETECTOR", "scrfd_2.5g")
    ran = subprocess.run(
        [sys.executable, "-m", "arcid", "enrol", "Ann", str(pairs / "img1.jpg"), "--json"],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 4
    assert json.loads(ran.stdout)["error"]["code"] == "model_not_found"
    assert not environment.exists()
