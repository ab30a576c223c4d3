"""``arcid gallery …`` and ``arcid serve``: people moved about, models changed, damage found."""

from __future__ import annotations

import dataclasses
import json
import select
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.databases import leave_unsealed

from arcid.gallery import Gallery, NewFace
from arcid.models import weights
from arcid.models.catalogue import ENTRIES
from arcid.types import Embeddings

pytestmark = pytest.mark.data


@pytest.fixture
def pairs(data_dir: Path) -> Path:
    return data_dir / "data" / "deepface-pairs"


@pytest.fixture
def filled(cli: Any, pairs: Path) -> Any:
    """Ann with two faces, Bea with one."""
    assert cli("enrol", "Ann", pairs / "img1.jpg", pairs / "img2.jpg").code == 0
    assert cli("enrol", "Bea", pairs / "img3.jpg").code == 0
    return cli


def faces(cli: Any, person: str) -> list[str]:
    return [face["id"] for face in cli("gallery", "person", person, "--json").json["faces"]]


def names(cli: Any) -> dict[str, int]:
    people = cli("gallery", "people", "--json").json["people"]
    return {person["name"]: person["faces"] for person in people}


def code_of(ran: Any) -> str:
    return str(ran.json["error"]["code"])


# collections


def test_collections_come_and_go(cli: Any) -> None:
    assert cli("gallery", "list", "--json").json["collections"] == []
    assert cli("gallery", "create", "staff", "--keep-crops", "--metadata", "site=a").code == 0
    (found,) = cli("gallery", "list", "--json").json["collections"]
    assert (found["name"], found["keep_crops"], found["people"]) == ("staff", True, 0)
    twice = cli("gallery", "create", "Staff", "--json")
    assert twice.code == 5 and code_of(twice) == "already_exists"
    ran = cli(
        "gallery", "update", "staff", "--name", "crew", "--no-keep-crops", "--metadata", "b=1"
    )
    assert ran.code == 0
    shown = cli("gallery", "show", "crew", "--json").json["collection"]
    assert shown["keep_crops"] is False and shown["metadata"] == {"site": "a", "b": "1"}
    assert cli("gallery", "update", "crew").code == 2
    assert code_of(cli("gallery", "show", "staff", "--json")) == "collection_not_found"


def test_deleting_a_collection_asks(filled: Any) -> None:
    refused = filled("gallery", "delete-collection", "default")
    assert refused.code == 2
    assert "2 people and 3 faces" in refused.err and "--yes" in refused.err
    assert names(filled) == {"Ann": 2, "Bea": 1}
    assert filled("gallery", "delete-collection", "default", "--yes").code == 0
    gone = filled("gallery", "show", "default", "--json")
    assert gone.code == 5 and code_of(gone) == "collection_not_found"


# people and faces


def test_people_are_listed_page_by_page(filled: Any) -> None:
    first = filled("gallery", "people", "--limit", "1", "--json").json
    assert [p["name"] for p in first["people"]] == ["Ann"]
    after = filled("gallery", "people", "--limit", "2", "--after", first["next"], "--json").json
    assert [p["name"] for p in after["people"]] == ["Bea"] and after["next"] is None
    found = filled("gallery", "people", "--search", "EA", "--json").json["people"]
    assert [p["name"] for p in found] == ["Bea"]
    assert "Ann" in filled("gallery", "people").out


def test_rename_and_notes(filled: Any) -> None:
    assert filled("gallery", "rename", "Ann", "Anna").code == 0
    assert names(filled) == {"Anna": 2, "Bea": 1}
    taken = filled("gallery", "rename", "Anna", "bea", "--json")
    assert taken.code == 5 and code_of(taken) == "already_exists"
    filled("gallery", "metadata", "Anna", "badge=1", "site=x")
    ran = filled("gallery", "metadata", "Anna", "badge=2", "--json")
    assert ran.json["person"]["metadata"] == {"badge": "2", "site": "x"}
    ran = filled("gallery", "metadata", "Anna", "badge=3", "--replace", "--json")
    assert ran.json["person"]["metadata"] == {"badge": "3"}
    assert "badge: 3" in filled("gallery", "person", "Anna").out


def test_faces_move_split_and_merge(filled: Any, pairs: Path) -> None:
    first, second = faces(filled, "Ann")
    assert filled("gallery", "split", "Ann", "Ann B", second).code == 0
    assert names(filled) == {"Ann": 1, "Ann B": 1, "Bea": 1}
    assert filled("gallery", "merge", "Ann", "Ann B").code == 0
    assert names(filled) == {"Ann": 2, "Bea": 1}
    assert filled("gallery", "move-face", first, "Bea").code == 0
    assert names(filled) == {"Ann": 1, "Bea": 2}
    found = filled("search", pairs / "img1.jpg", "--k", "1", "--json").json["faces"][0]
    assert found["candidates"][0]["name"] == "Bea"
    lost = filled("gallery", "move-face", "0" * 32, "Bea", "--json")
    assert lost.code == 5 and code_of(lost) == "face_not_found"
    assert filled("gallery", "delete-face", first).code == 0
    assert names(filled) == {"Ann": 1, "Bea": 1}


def test_deleted_people_are_not_found(filled: Any, pairs: Path) -> None:
    ran = filled("gallery", "delete-person", "Ann", "--json")
    assert ran.code == 0 and ran.json["deleted"]["faces"] == 2
    assert filled("search", pairs / "img1.jpg").code == 1
    unknown = filled("gallery", "delete-person", "Ann", "--json")
    assert unknown.code == 5 and code_of(unknown) == "person_not_found"


def test_two_faces_of_one_photo_never_merge(cli: Any, data_dir: Path) -> None:
    from arcid import Gallery, Pipeline, paths
    from arcid.apps.enrol import new_face

    couple = Pipeline.from_models(None, None).faces(data_dir / "data/photos/group/couple.jpg")
    cli("gallery", "create", "default")
    with Gallery.open(paths.database_url()) as gallery:
        gallery.enrol("default", "Left", [new_face(couple[0], "couple.jpg", {})])
        gallery.enrol("default", "Right", [new_face(couple[1], "couple.jpg", {})])
    ran = cli("gallery", "merge", "Left", "Right", "--json")
    assert ran.code == 3 and code_of(ran) == "same_photo_conflict"
    assert names(cli) == {"Left": 1, "Right": 1}


# changing models


@pytest.fixture
def second_model(data_dir: Path, environment: Path) -> str:
    """mobilefacenet_128 with test-time flip: another contract, calibrated as the first."""
    entry = ENTRIES["mobilefacenet_128"]
    manifest = dataclasses.replace(
        entry.manifest, name="flipped", flip=True, file=entry.files[0].filename
    )
    folder = environment / "models" / "flipped"
    folder.mkdir(parents=True)
    manifest.save(folder / "manifest.json")
    (folder / manifest.file).symlink_to(data_dir / "models" / manifest.file)
    calibration = weights.find_calibration(weights.resolve("mobilefacenet_128"))
    data = {**calibration.data, "contract_id": manifest.contract_id}
    (folder / "calibration.json").write_text(json.dumps(data))
    return "flipped"


def test_a_model_is_changed_where_crops_are_kept(cli: Any, pairs: Path, second_model: str) -> None:
    cli("gallery", "create", "default", "--keep-crops")
    cli("enrol", "Ann", pairs / "img1.jpg", pairs / "img2.jpg")
    cli("gallery", "update", "default", "--keep-crops")
    (before,) = cli("gallery", "status", "--json").json["contracts"]
    first = weights.resolve_default("recognition").name
    assert (before["model_name"], before["faces"]) == (first, 2)
    mixed = cli("search", pairs / "img4.jpg", "--model", second_model, "--json")
    assert mixed.code == 4 and code_of(mixed) == "contract_mismatch"

    ran = cli("gallery", "reembed", "--to", second_model, "--json")
    assert ran.code == 0
    assert (ran.json["done"], ran.json["without_crop"], ran.json["already"]) == (2, 0, 0)
    again = cli("gallery", "reembed", "--to", second_model, "--json").json
    assert (again["done"], again["already"]) == (0, 2)
    both = cli("gallery", "status", "--json").json["contracts"]
    assert [(u["model_name"], u["faces"]) for u in both] == [
        (first, 2),
        ("flipped", 2),
    ]
    for model in (first, second_model):
        assert cli("search", pairs / "img4.jpg", "--model", model).code == 0

    old = before["contract_id"][:10]
    assert cli("gallery", "drop-contract", old).code == 2
    dropped = cli("gallery", "drop-contract", old, "--yes", "--json")
    assert dropped.code == 0 and dropped.json["erased"] == 2
    (after,) = cli("gallery", "status", "--json").json["contracts"]
    assert after["model_name"] == "flipped"
    assert cli("gallery", "drop-contract", old, "--yes").code == 2


def test_without_crops_people_are_enrolled_again(cli: Any, pairs: Path, second_model: str) -> None:
    cli("enrol", "Ann", pairs / "img1.jpg")
    cli("enrol", "Bea", pairs / "img3.jpg")
    ran = cli("gallery", "reembed", "--to", second_model)
    assert ran.code == 0 and "2 have no crop to embed" in ran.out
    cli("enrol", "Ann", pairs / "img2.jpg", "--model", second_model)
    usages = {u["model_name"]: u for u in cli("gallery", "status", "--json").json["contracts"]}
    assert usages["flipped"]["missing_people"] == 1
    assert "1 people cannot be found by flipped yet" in cli("gallery", "status").out
    contract = usages[weights.resolve_default("recognition").name]["contract_id"]
    refused = cli("gallery", "drop-contract", contract, "--yes")
    assert refused.code == 3
    assert cli("gallery", "drop-contract", contract, "--yes", "--force").code == 0
    assert names(cli) == {"Ann": 1, "Bea": 0}


# health


def test_check_finds_a_flipped_byte(filled: Any, environment: Path) -> None:
    sound = filled("gallery", "check", "--json")
    assert sound.code == 0 and sound.json["sound"] is True
    connection = sqlite3.connect(environment / "gallery.db")
    (vector,) = connection.execute("SELECT vector FROM embeddings LIMIT 1").fetchone()
    torn = bytes([vector[0] ^ 1]) + vector[1:]
    connection.execute("UPDATE embeddings SET vector = ? WHERE vector = ?", (torn, vector))
    connection.commit()
    connection.close()
    damaged = filled("gallery", "check", "--json")
    assert damaged.code == 5
    assert damaged.json["sound"] is False and damaged.json["findings"]


def test_stats_say_how_safe_writes_are(filled: Any) -> None:
    stats = filled("gallery", "stats", "--json").json
    assert (stats["journal_mode"], stats["synchronous"]) == ("wal", "full")
    said = filled("gallery", "stats").out
    assert "losses: none\n" in said and "; audit " in said
    assert not set("{}[]") & set(said)


def test_a_file_that_is_no_gallery(cli: Any, pairs: Path) -> None:
    ran = cli("gallery", "list", "--database", pairs / "img1.jpg", "--json")
    assert ran.code == 5 and code_of(ran) == "gallery_damaged"


# the service


def test_serve_says_where_it_is_and_stops_quietly(environment: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "arcid", "serve", "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            ready, _, _ = select.select([server.stdout], [], [], 40)
            assert ready, "the service was not ready in 40 s"
            told = json.loads(server.stdout.readline())
            assert told["ready"] is True
            with urllib.request.urlopen(f"{told['url']}v1/health", timeout=10) as answer:
                assert answer.status == 200
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0


def test_serve_needs_a_key_beyond_this_machine(cli: Any, environment: Path) -> None:
    ran = cli("serve", "--host", "0.0.0.0", "--json")
    assert ran.code == 2 and code_of(ran) == "config_error"
    short = cli("serve", "--host", "0.0.0.0", "--api-key", "secret-short", "--json")
    assert short.code == 2 and "secret-short" not in short.out + short.err
    assert not environment.exists()


def test_serve_without_its_packages(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ran = cli("serve", "--json")
    assert ran.code == 2 and code_of(ran) == "missing_extra"
    assert "arcid[server]" in ran.json["error"]["message"]


def test_an_older_gallery_is_encrypted_and_its_keys_are_changed(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.db"
    face = Embeddings.normalised(np.random.default_rng(1).normal(size=(1, 64)), "a" * 64)
    with Gallery.open(path) as gallery:
        leave_unsealed(gallery)
        gallery.create_collection("staff")
        gallery.enrol("staff", "Ann", [NewFace(face)])
    for name in ("before-schema-0012", "before-schema-0018", "before-console_version-0001"):
        (tmp_path / f"gallery.db-{name}").touch()
    ran = cli("gallery", "rotate-key", "--database", path)
    assert ran.code == 2 and "arcid gallery encrypt" in ran.err
    ran = cli("gallery", "encrypt", "--database", path)
    assert ran.code == 0 and "1 faces were not before" in ran.out
    assert "gallery.db-before-schema-0012" in ran.out and "0018" not in ran.out
    ran = cli("gallery", "encrypt", "--database", path, "--json")
    assert (ran.json["sealed"], ran.json["protection"]["complete"]) == (0, True)
    assert ran.json["unsealed_copies"] == ["gallery.db-before-schema-0012"]
    ran = cli("gallery", "rotate-key", "--database", path, "--json")
    assert ran.code == 0 and ran.json["rewrapped"] > 0
    assert ran.json["resealed_people"] == 0
    ran = cli("gallery", "rotate-key", "--data", "--database", path)
    assert ran.code == 0 and "What is stored of 1 person is sealed by new keys." in ran.out
    with Gallery.open(path) as gallery:
        assert gallery.search("staff", face, k=1)[0][0].name == "Ann"
    monkeypatch.chdir(tmp_path)
    ran = cli("gallery", "rotate-key", "--to", "file:moved.key", "--database", path)
    assert f"without: ARCID_ROOT_KEY=file:{tmp_path / 'moved.key'}" in ran.out
    assert cli("gallery", "list", "--database", path).code == 5
    monkeypatch.setenv("ARCID_ROOT_KEY", ran.out.rpartition("ARCID_ROOT_KEY=")[2].strip())
    monkeypatch.chdir(tmp_path.parent)
    assert cli("gallery", "list", "--database", path).code == 0
