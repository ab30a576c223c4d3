"""What the demo fills in, page by page, read back as the pages read it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from arcid import paths
from arcid.apps.access import Doorman, Doors, Passages
from arcid.apps.access.observer import duty
from arcid.apps.demo import CAMERA, COLLECTION, Broadcast, Cast, fill, photographs, walk
from arcid.apps.demo.cast import BARRED, IN_DATA, PHOTOS, STAFF, TWICE
from arcid.apps.demo.places import LISTED
from arcid.apps.duplicates import Duplicates
from arcid.apps.onboarding.cases import Cases
from arcid.apps.watching import Watcher
from arcid.apps.watchlists import Alerts
from arcid.cli.demo import _home
from arcid.errors import InputError
from arcid.events import Audit, Events, Reviews
from arcid.gallery import Gallery
from arcid.models import calibrations, chosen, weights
from arcid.pipeline import Pipeline
from arcid.server.console.auth.roles import MAY
from arcid.server.console.registry import PAGES
from arcid.video import open_source

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def folder(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As few people as the demo takes, and one stranger."""
    few = tmp_path_factory.mktemp("people")
    people = [person for person in sorted((data_dir / IN_DATA).iterdir()) if person.is_dir()]
    many = (person for person in people if len(list(person.iterdir())) >= PHOTOS)
    lone = (person for person in people if len(list(person.iterdir())) == 1)
    for person in (*islice(many, STAFF + 2), *islice(lone, 1)):
        (few / person.name).symlink_to(person)
    return few


@pytest.fixture(scope="module")
def cast(folder: Path) -> Cast:
    return Cast.of(Pipeline.from_models(), folder)


@pytest.fixture(scope="module")
def gallery(cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Any:
    now = datetime.now().astimezone()
    noon = now.replace(hour=12)
    noon -= timedelta(days=noon > now)  # the last one that has been
    home = tmp_path_factory.mktemp("demo")
    with Gallery.open(home / "gallery.db") as gallery:
        fill(gallery, Pipeline.from_models(), cast, home, now=noon)
        yield gallery


def test_people_come_and_go_on_several_days(gallery: Gallery, cast: Cast) -> None:
    found = Events(gallery).find(COLLECTION, limit=None)
    kinds = Counter(event.kind for event in found)
    assert kinds["arrival"] == kinds["departure"] >= 2 * len(cast.staff)
    assert kinds["unknown"] and {event.camera for event in found} >= {CAMERA, "Side door"}
    assert {event.name for event in found if event.kind == "arrival"} >= {
        player.name for player in cast.staff[1:]
    }
    arrived = {event.at.astimezone().hour for event in found if event.kind == "arrival"}
    assert arrived == {8}
    evening = [event for event in found if event.kind == "departure" and event.at.hour > 12]
    assert all(event.at - timedelta(hours=6) > event.at.replace(hour=0) for event in evening)
    assert all(event.at < event.recorded_at for event in found if event.kind == "arrival")


def test_doubtful_faces_wait_for_a_human(gallery: Gallery) -> None:
    review, *_ = Reviews(gallery).find(COLLECTION)
    assert review.state == "open" and review.candidates and review.picture_kept


def test_somebody_is_enrolled_twice_and_found(gallery: Gallery, cast: Cast) -> None:
    (pair,) = Duplicates(gallery).find(COLLECTION)
    assert {pair.a.name, pair.b.name} == {cast.staff[0].name, TWICE}


def test_somebody_on_a_list_raised_an_alert(gallery: Gallery) -> None:
    alert, *_ = Alerts(gallery).find()
    assert (alert.name, alert.camera, alert.level, alert.state) == (BARRED, CAMERA, "alert", "new")
    assert alert.collection == LISTED and 0 <= alert.latency_ms < 60_000


def test_applicants_are_accepted_rejected_left_to_a_human_and_under_way(gallery: Gallery) -> None:
    assert [case.state for case in Cases(gallery).find(COLLECTION)] == [
        "started", "review", "rejected", "accepted",
    ]  # fmt: skip


def test_the_audit_holds_together(gallery: Gallery) -> None:
    assert Audit(gallery).find() and Audit(gallery).verify()


def test_its_camera_opens_the_door_for_whoever_may_pass(
    gallery: Gallery, cast: Cast, tmp_path: Path
) -> None:
    pipeline, door = Pipeline.from_models(), Doors(gallery).get(CAMERA)
    wanted = {(True, "by_hand"), (True, "pass"), (False, "no_pass"), (False, "unknown")}
    short = dataclasses.replace(cast, staff=(cast.staff[0], cast.staff[-1]), strangers=())
    with (
        Broadcast({"door": partial(walk, short)}) as streams,
        Doorman(gallery, pipeline.contract_id, tmp_path) as doorman,
    ):
        watcher = Watcher(pipeline, [duty(gallery, doorman, door)], camera=CAMERA)
        source, began = open_source(streams.address("door")), time.monotonic()
        for view in watcher.watch(source):
            if view.frame is not None:
                assert view.frame.image.shape == (360, 640, 3)
            if wanted <= passed(gallery) or time.monotonic() - began > 20:
                break
    assert wanted <= passed(gallery)


def passed(gallery: Gallery) -> set[tuple[bool, str]]:
    found = Passages(gallery).find(COLLECTION)
    return {(one.granted, one.reasons[0].code) for one in found}


def test_without_photographs_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(tmp_path))
    with pytest.raises(InputError, match="--photos names a folder with one folder a person"):
        photographs(None)
    ran = cli("demo", "--json")
    assert ran.code == 3 and ran.json["error"]["code"] == "bad_input"
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "face.jpg").write_bytes(b"")
    ran = cli("demo", "--photos", tmp_path, "--home", tmp_path / "new", "--json")
    assert ran.code == 3 and "needs 5 people" in ran.json["error"]["message"]
    assert not (tmp_path / "new").exists()


def test_a_folder_in_use_is_not_touched(
    folder: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    (tmp_path / "gallery.db").write_bytes(b"mine")
    ran = cli("demo", "--photos", folder, "--home", tmp_path, "--json")
    assert ran.code == 2 and "not an empty folder" in ran.json["error"]["message"]
    assert (tmp_path / "gallery.db").read_bytes() == b"mine"


def test_the_models_chosen_here_are_used_and_no_calibration_of_ones_own_is_changed(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.mkdir()
    bundle = weights.resolve("arcid-face-s-1")
    shutil.copytree(bundle.path.parent, environment / "models/mine")
    measured = weights.find_calibration(bundle)
    calibrations.install(measured)
    chosen.choose("recognition", "mine")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with _home(tmp_path / "demo", keep=False):
        assert paths.home_dir() == tmp_path / "demo"
        assert weights.resolve_default("recognition").name == "mine"
        contract = bundle.manifest.contract_id
        calibrations.undo(contract)
        assert not calibrations.in_force(contract).exists()
    monkeypatch.undo()
    assert (environment / "models/mine/manifest.json").is_file()
    monkeypatch.setenv("ARCID_HOME", str(environment))
    assert calibrations.in_force(contract).is_file()


def test_faces_that_could_not_be_removed_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "demo"
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        with _home(home, keep=False):
            pass
    assert f"error: {home} could not be removed" in capsys.readouterr().err and home.exists()


@pytest.mark.slow
def test_every_page_answers_to_the_roles_that_may_see_it(folder: Path, tmp_path: Path) -> None:
    home, told = tmp_path / "demo", tmp_path / "told"
    environment = os.environ | {"ARCID_WEBHOOKS": "http://127.0.0.1:9/never", "ARCID_DATA": ""}
    command = ["demo", "--photos", str(folder), "--home", str(home), "--json"]
    with told.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "arcid", *command], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, told.read_text()
            ready = json.loads(line)
            assert ready["home"] == str(home) and (home / "gallery.db").is_file()
            assert ready["url"].startswith("http://127.0.0.1:")
            for account in ready["accounts"]:
                _look_at_pages(ready["url"], account)
        finally:
            process.send_signal(signal.SIGHUP)  # its terminal went
            code = process.wait(60)
            process.stdout.close()
    assert code == 0 and not home.exists()
    assert f"removed {home}" in told.read_text()


def _look_at_pages(url: str, account: dict[str, str]) -> None:
    with httpx.Client(base_url=url, headers={"Origin": url.rstrip("/")}, timeout=60) as client:
        form = {"name": account["name"], "password": account["password"]}
        assert client.post("/console/sign-in", data=form).status_code == 303
        for page in PAGES:
            if not page.group:
                continue
            answer = client.get(f"/console{page.path}")
            may = page.permission in MAY[account["role"]]
            assert answer.status_code == (200 if may else 403), (account["role"], page.path)
