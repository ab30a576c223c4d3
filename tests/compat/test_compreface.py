"""CompreFace's protocol as its own Python client, compreface-sdk 0.6.0, sees it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.compat.judges import ask, judge, run_script, scripts
from tests.serving import Client, running

from arcid.pipeline import Pipeline
from arcid.protection import VERBS, Keys
from arcid.server.settings import Settings

pytestmark = [pytest.mark.data, pytest.mark.slow]
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def service(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    database = tmp_path_factory.mktemp("compreface") / "gallery.db"
    settings = Settings.load(database=str(database), compat="compreface")
    with running(settings, Pipeline.from_models(), None) as client:
        yield client


@pytest.fixture
def keys(service: Client) -> Iterator[dict[str, str]]:
    """One that may do everything in a collection, one that may only look, one that is none."""
    service.gallery.create_collection("office")
    book = Keys(service.gallery)
    made = [book.add(name, verbs, collections=["office"])
            for name, verbs in (("all", VERBS), ("look", ["read"]))]  # fmt: skip
    service.services.keys.refresh()
    yield {"all": made[0][1], "look": made[1][1], "none": NOBODY}
    for key, _ in made:
        book.delete(key.id)
    service.gallery.delete_collection("office")
    service.services.keys.refresh()


def test_the_client_enrols_lists_searches_verifies_and_deletes(
    service: Client, keys: dict[str, str], data_dir: Path, tmp_path: Path
) -> None:
    pairs = data_dir / "data/deepface-pairs"
    one, two, three, four = (str(pairs / f"img{n}.jpg") for n in (1, 2, 3, 4))
    group = str(data_dir / "data/photos/group/friends.jpg")
    nobody = str(data_dir / "data/photos/misc/no_face.png")
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    added = {"call": 1, "field": "image_id"}
    everything = {"limit": 0, "prediction_count": 2, "det_prob_threshold": 0.3, "status": True,
                  "face_plugins": "age,gender,landmarks,calculator,mask"}  # fmt: skip
    look, none = {"key": "look"}, {"key": "none"}
    calls: list[tuple[list[Any], Any]] = [
        (["subjects", "add", ["Ann Example"], {}], {"subject": "Ann Example"}),
        (["faces", "add", [one, "Ann Example"], {}], {"image_id", "subject"}),
        (["faces", "add", [two, "Ann Example"], {"det_prob_threshold": 0.3}],
         {"image_id", "subject"}),
        (["faces", "add", [three, "Bea"], {}], {"image_id", "subject"}),
        (["faces", "list", [], {}],
         {"faces", "page_number", "page_size", "total_pages", "total_elements"}),
        (["subjects", "list", [], {}], {"subjects": ["Ann Example", "Bea"]}),
        (["recognition", "recognize", [four], everything], {"result", "plugins_versions"}),
        (["recognition", "recognize", [four], {}], {"result"}),
        (["faces", "verify", [four, added], {}], {"result"}),
        (["detection", "detect", [group], {"limit": 2}], {"result"}),
        (["verification", "verify", [one, four], {}], {"result"}),
        (["verification", "verify", [one, three], {"status": True}], {"result"}),
        # what is refused
        (["subjects", "add", ["Bea"], {}], 43),
        (["subjects", "add", [" "], {}], 26),
        (["subjects", "add", ["a;b"], {}], 36),
        (["subjects", "update", ["Zoe", "Bea"], {}], 42),
        (["subjects", "delete", ["Zoe"], {}], 42),
        (["faces", "add", [group, "Cleo"], {}], 31),
        (["faces", "add", [nobody, "Cleo"], {}], 28),
        (["faces", "add", [str(text), "Cleo"], {}], 21),
        (["faces", "delete", [NOBODY], {}], 44),
        (["faces", "verify", [four, NOBODY], {}], 44),
        (["recognition", "recognize", [four], {"prediction_count": 0}], 26),
        (["recognition", "recognize", [nobody], {}], 28),
        (["detection", "detect", [nobody], {}], 28),
        (["verification", "verify", [group, one], {}], 31),
        (["subjects", "add", ["Cleo"], look], 10),
        (["recognition", "recognize", [four], dict(look)], 10),
        (["subjects", "list", [], none], 10),
        (["subjects", "list", [], dict(look)], {"subjects": ["Ann Example", "Bea"]}),
        # and gone
        (["subjects", "update", ["Bea", "Ada"], {}], {"updated": True}),
        (["faces", "delete", [added], {}], {"image_id", "subject"}),
        (["faces", "delete_all", ["Ann Example"], {}], {"deleted": 1}),
        (["subjects", "delete", ["Ann Example"], {}], {"subject": "Ann Example"}),
        (["subjects", "delete_all", [], {}], {"deleted": 1}),
        (["faces", "list", [], {}], {"faces": [], "page_number": 0, "page_size": 20,
                                     "total_pages": 0, "total_elements": 0}),
    ]  # fmt: skip
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    (tmp_path / "calls.json").write_text(json.dumps([call for call, _ in calls]))
    url, _, port = str(service.base_url).rstrip("/").rpartition(":")
    ask("clients", "ask_compreface.py", url, port, *(str(tmp_path / name) for name in
        ("keys.json", "calls.json", "out.json")))  # fmt: skip
    answers = json.loads((tmp_path / "out.json").read_text())
    for (call, expected), answer in zip(calls, answers, strict=True):
        if isinstance(expected, int):
            assert (answer.get("code"), set(answer)) == (expected, {"code", "message"}), call
        elif isinstance(expected, set):
            assert set(answer) == expected, (call, answer)
        else:
            assert answer == expected, call

    (row,) = answers[6]["result"]
    assert set(row) == {"box", "subjects", "landmarks", "embedding"}
    assert [subject["subject"] for subject in row["subjects"]] == ["Ann Example", "Bea"]
    assert row["subjects"][0]["similarity"] > 0.9 > 0.1 > row["subjects"][1]["similarity"]
    assert [len(one["subjects"]) for one in answers[7]["result"]] == [1]
    assert answers[8]["result"][0]["subject"] == "Ann Example"
    assert len(answers[9]["result"]) == 2
    likely = [answers[n]["result"][0]["face_matches"][0]["similarity"] for n in (10, 11)]
    assert likely[0] > 0.99 and likely[1] < 0.1


def test_a_script_changes_one_line(service: Client, data_dir: Path, tmp_path: Path) -> None:
    before, after = scripts("compreface")
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == 1 and 'CompreFace("' in changed[0][0]
    pairs = data_dir / "data/deepface-pairs"
    for name, photo in (("ann", "img1"), ("ben", "img3"), ("door", "img4")):
        shutil.copyfile(pairs / f"{photo}.jpg", tmp_path / f"{name}.jpg")
    port = str(service.base_url).rstrip("/").rpartition(":")[2]
    script = "\n".join(after)
    assert script.count('"8000"') == 1
    (tmp_path / "after.py").write_text(script.replace('"8000"', f'"{port}"'))
    said = run_script(judge("clients"), tmp_path / "after.py", home=tmp_path)
    assert re.fullmatch(r"\[\d+, \d+, \d+, \d+\] ann\n", said), said
