"""A database that goes away and comes back: said in one way, nothing lost, nothing done twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import databases
from tests.serving import Client, running, until

from arcid.errors import GalleryUnavailable
from arcid.gallery import Gallery, NewFace
from arcid.pipeline import Pipeline
from arcid.server.settings import Settings
from arcid.types import Embeddings

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


def refused(client: Client, method: str, path: str, **given: Any) -> dict[str, Any]:
    answer = client.request(method, path, **given)
    error: dict[str, Any] = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "gallery_unavailable"), answer.text
    assert answer.headers["Retry-After"] == "5" and error["details"] == {"stored": False}
    return error


def away(client: Client) -> None:
    """What is said while it is away, to programs, monitors and people."""
    assert "nothing was changed" in refused(client, "GET", "/v1/collections")["message"].lower()
    refused(client, "GET", "/v1/collections/staff/people")
    refused(client, "POST", "/v1/collections/staff/people", json={"name": "Lost"})
    until(lambda: client.get("/v1/health").status_code == 503)
    page = client.get("/console/sign-in", headers=BROWSER)
    assert page.status_code == 503 and page.headers["Retry-After"] == "5", page.text
    assert "<h1>The gallery is away</h1>" in page.text
    assert client.get("/metrics").status_code == 200, "the service itself goes on"


def back(client: Client) -> None:
    until(lambda: client.get("/v1/collections").status_code == 200)
    until(lambda: client.get("/v1/health").status_code == 200)
    assert client.get("/console/sign-in", headers=BROWSER).status_code in (200, 303)
    made = client.post("/v1/collections/staff/people", json={"name": "Ben"})
    assert made.status_code == 201
    listed = client.get("/v1/collections/staff/people").json()["people"]
    assert [(one["name"], one["faces"]) for one in listed] == [("Ann", 1), ("Ben", 0)]


def enrolled(gallery: Gallery) -> None:
    gallery.ensure_collection("staff")
    vector = Embeddings.normalised(np.ones((1, 16)), "a" * 64)
    gallery.enrol("staff", "Ann", [NewFace(vector, photo_id="1")])


def test_a_file_that_is_moved_away_and_put_back(toy: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    with running(Settings.load(database=str(path)), toy, None) as client:
        enrolled(client.gallery)
        aside = path.rename(tmp_path / "aside.db")
        away(client)
        assert not path.exists(), "no second gallery is begun"
        aside.rename(path)
        back(client)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Any, str]]:
    with databases.stoppable() as own:
        yield own


@pytest.mark.postgres
@pytest.mark.slow
def test_a_server_that_is_stopped_and_started_again(
    server: tuple[Any, str], toy: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, url = server
    monkeypatch.setenv("ARCID_HOME", str(tmp_path))
    with running(Settings.load(database=url), toy, None) as client:
        enrolled(client.gallery)
        database.stop()
        try:
            away(client)
            command = [sys.executable, "-m", "arcid", "gallery", "people", "--json"]
            said = subprocess.run(
                [*command, "--collection", "staff", "--database", url],
                check=False, capture_output=True, text=True,
            )  # fmt: skip
            assert json.loads(said.stdout)["error"]["code"] == "gallery_unavailable"
            assert said.returncode == 5
        finally:
            database.start()
        back(client)


@pytest.mark.postgres
@pytest.mark.slow
def test_whether_a_broken_commit_was_stored_is_not_claimed(server: tuple[Any, str]) -> None:
    database, url = server
    with Gallery.open(url) as gallery:
        gallery.create_collection("commits")
        for at_the_end, stored in ((False, False), (True, None)):
            with pytest.raises(GalleryUnavailable) as told, gallery.database.write() as connection:
                database.stop()
                if not at_the_end:
                    connection.exec_driver_sql("SELECT 1")
            database.start()
            assert told.value.details == {"stored": stored}
            assert ("nothing was changed" in told.value.message) == (not at_the_end)
        assert gallery.collection("commits").people == 0
        gallery.add_person("commits", "Ann")
