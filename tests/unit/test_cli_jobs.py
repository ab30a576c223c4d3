"""``arcid import`` and ``arcid jobs``: dry runs, reports, going on, and deleting many."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid import paths
from arcid.apps import importing
from arcid.apps.jobs import Held, Jobs, Options, begin_import
from arcid.gallery import Gallery
from arcid.models import weights

pytestmark = pytest.mark.data


@pytest.fixture
def people(data_dir: Path, tmp_path: Path) -> Path:
    """Two people with two photos each, a file that is no picture, and one that is no photo."""
    pairs, root = data_dir / "data" / "deepface-pairs", tmp_path / "people"
    for name, numbers in {"Ann": (1, 2), "Bea": (3, 12)}.items():
        (root / name).mkdir(parents=True)
        for number in numbers:
            shutil.copy(pairs / f"img{number}.jpg", root / name)
    (root / "Bea" / "broken.jpg").write_bytes(b"no picture")
    (root / "Bea" / "notes.txt").write_text("")
    return root


def test_said_first_then_done_then_nothing_is_left_to_do(
    cli: Any, people: Path, tmp_path: Path
) -> None:
    said = cli("import", "folder", people, "--dry-run")
    assert said.code == 0
    assert said.out.splitlines()[0] == "Would import 5 photos of 2 people into default"
    assert "1 would stay behind: 1 not a photo" in said.out
    assert cli("gallery", "people", "--json").json["people"] == []
    report = tmp_path / "left.csv"
    done = cli("import", "folder", people, "--no-quality", "--report", report)
    assert (done.code, done.out.splitlines()[0]) == (0, "Imported 4 of 6 into default")
    rows = list(csv.DictReader(report.read_text().splitlines()))
    assert {row["item"]: row["code"] for row in rows} == {
        "Bea/broken.jpg": "image_unreadable", "Bea/notes.txt": "not_a_photo",
    }  # fmt: skip
    assert report.stat().st_mode & 0o077 == 0
    again = cli("import", "folder", people, "--json")
    assert (again.code, again.json["imported"]) == (1, 0)
    assert again.json["left_by_reason"]["already_exists"] == 4
    jobs = cli("jobs", "list", "--json").json["jobs"]
    assert [job["state"] for job in jobs] == ["done", "done"]
    shown = cli("jobs", "show", jobs[1]["id"], "--report", tmp_path / "left.json")
    assert shown.code == 0 and "done: 6 of 6 of import in default, 2 refused" in shown.out
    assert len(json.loads((tmp_path / "left.json").read_text())) == 2
    assert cli("jobs", "cancel", jobs[1]["id"], "--yes").code == 0
    assert cli("jobs", "resume", jobs[1]["id"]).code == 2


def test_other_options_are_heeded_after_an_import_was_stopped(cli: Any, people: Path) -> None:
    spec = {"kind": "folder", "folder": str(people), "list": None, "aligned": False}
    source = importing.folder(people, spec | {"consent": None})
    assert cli("gallery", "create", "default").code == 0
    with Gallery.open(paths.database_url()) as gallery:
        stopped = begin_import(gallery, "default", source, Options(), origin="command")
        with Held(gallery, stopped.id, "command") as held:
            held.end("stopped")
    other = cli("import", "folder", people, "--select", "largest", "--no-quality")
    assert "going on" not in other.err and "Imported 4 of 6" in other.out
    newest = cli("jobs", "list", "--json").json["jobs"][0]
    assert newest["options"]["select"] == "largest" and not newest["options"]["require_quality"]
    same = cli("import", "folder", people)
    assert f"going on with job {stopped.id}" in same.err


def test_an_import_that_was_stopped_elsewhere_is_not_done(
    cli: Any, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcid.apps.enrol_writing.BATCH", 1)
    refuse = Held.refuse

    def then_stopped(self: Held, left: Any) -> None:
        refuse(self, left)
        if Jobs(self.gallery).get(self.job.id).state == "running":
            Jobs(self.gallery).stop(self.job.id)

    with monkeypatch.context() as patch:
        patch.setattr(Held, "refuse", then_stopped)
        stopped = cli("import", "folder", people, "--no-quality")
    assert stopped.code == 1 and stopped.out.startswith("Stopped: ")
    assert cli("gallery", "people", "--json").json["people"]
    assert cli("import", "folder", people, "--no-quality").code == 0


def test_a_zip_with_a_list_and_consents(cli: Any, people: Path, tmp_path: Path) -> None:
    cli("gallery", "create", "staff")
    assert cli("gallery", "policy", "staff", "--consent").code == 0
    packed = tmp_path / "people.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in people.rglob("*.jpg"):
            archive.write(path, path.name)
    listed = tmp_path / "list.csv"
    listed.write_text("person,photo,consent,badge\nAnn,img1.jpg,2026,17\nBea,img3.jpg,,18\n")
    done = cli("import", "folder", packed, "--list", listed, "--collection", "staff", "--json")
    assert done.json["imported"] == 1
    assert done.json["left_by_reason"]["consent_missing"] == 1
    (ann,) = cli("gallery", "people", "--collection", "staff", "--json").json["people"]
    assert (ann["name"], ann["metadata"]) == ("Ann", {"badge": "17"})
    by_list = cli("import", "csv", listed, "--photos", people, "--dry-run", "--json")
    assert by_list.json["left_by_reason"] == {"photo_missing": 2}


def test_many_are_deleted_and_what_is_wrong_is_said(cli: Any, people: Path, tmp_path: Path) -> None:
    assert cli("import", "folder", people, "--no-quality").code == 0
    (tmp_path / "who.txt").write_text("ann\nnobody\n\n")
    gone = cli("jobs", "delete-people", "--from", tmp_path / "who.txt", "--yes", "--json")
    assert (gone.json["job"]["done"], gone.json["left"][0]["item"]) == (2, "nobody")
    names = [p["name"] for p in cli("gallery", "people", "--json").json["people"]]
    assert names == ["Bea"]
    assert cli("import", "folder", tmp_path / "none").code == 3
    assert cli("import", "folder", people, "--report", tmp_path / "x.txt").code == 2
    assert cli("jobs", "show", "nothing").code == 5
    assert cli("jobs", "stop", "nothing").code == 5


def test_a_deletion_that_fails_is_no_success(
    cli: Any, people: Path, environment: Path, tmp_path: Path
) -> None:
    assert cli("import", "folder", people, "--no-quality").code == 0
    nobody = cli("jobs", "delete-people", "Cleo", "--yes")
    assert nobody.code == 1 and "refused: Cleo" in nobody.err
    with closing(sqlite3.connect(environment / "gallery.db")) as database, database:
        database.execute("UPDATE people SET seal = seal + 1 WHERE name = 'Bea'")
    failed = cli("jobs", "delete-people", "Bea", "--yes")
    assert (failed.code, failed.out) == (5, "Deleted 0 of 1 people of default\n")
    assert "error: a row of people" in failed.err
    assert cli("jobs", "delete-people", "Ann", "--yes", "--json").code == 0


def test_other_systems_say_first_what_would_come_along(
    cli: Any, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (people / "representations_vgg_face.pkl").write_bytes(b"not opened")
    said = cli("import", "deepface", people, "--dry-run", "--json").json
    assert (said["people"], said["items"]) == (2, 5)
    assert said["left_by_reason"] == {"vectors_left": 1, "not_a_photo": 1}

    faces = [{"FaceId": "1", "ExternalImageId": "Ann"}, {"FaceId": "2", "ExternalImageId": "Cleo"}]
    (tmp_path / "faces.json").write_text(json.dumps({"Faces": faces}))
    told = cli("import", "rekognition", tmp_path / "faces.json", "--photos", people, "--dry-run")
    assert told.code == 0 and told.out.startswith("Would import 2 photos of 1 person into default")

    monkeypatch.delenv("ARCID_IMPORT_KEY", raising=False)
    nowhere = "http://127.0.0.1:9"
    assert cli("import", "compreface", nowhere).code == 2
    monkeypatch.setenv("ARCID_IMPORT_KEY", "k")
    monkeypatch.setattr("arcid.apps.importing.remote.TRIES", 1)
    assert cli("import", "compreface", nowhere, "--dry-run").code == 3
    assert cli("import", "insightface", nowhere, "--dry-run").code == 3


def test_vectors_of_the_very_same_model_come_along(cli: Any, tmp_path: Path) -> None:
    manifest = weights.resolve_default("recognition").manifest
    assert manifest.output is not None
    rows = np.random.default_rng(7).normal(size=(2, manifest.output.dim)).astype(np.float32)
    names = np.array(["Ann", "Bea"])
    np.savez(tmp_path / "v.npz", names=names, embeddings=rows, model_sha256=manifest.sha256)
    done = cli("import", "insightface", tmp_path / "v.npz", "--json")
    assert (done.code, done.json["imported"]) == (0, 2)
    np.savez(tmp_path / "v.npz", names=names, embeddings=rows, model_sha256="0" * 64)
    assert cli("import", "insightface", tmp_path / "v.npz").code == 4
