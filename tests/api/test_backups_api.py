"""Backups over REST: listed, made now, told where they fail."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.serving import StartService

from arcid.gallery import copying

pytestmark = pytest.mark.data


def test_a_backup_is_made_and_listed(start: StartService, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    with start(backups=folder, backup_keep=2) as client:
        assert client.post("/v1/collections", json={"name": "staff"}).status_code == 201
        for _ in range(3):
            made = client.post("/v1/backups")
            assert made.status_code == 201
        found = client.get("/v1/backups").json()
        assert (found["scheduled"], found["keep"], found["problem"]) == (True, 2, None)
        assert found["backups"][0] == made.json() and len(found["backups"]) == 2
        assert copying.inspect(folder / made.json()["name"]).rows["collections"] == 1
        rows = client.get("/v1/audit", params={"verb": "gallery"}).json()["entries"]
        assert {row["actor"] for row in rows} == {"local"} and len(rows) == 3
        metrics = client.get("/metrics").text
        assert "arcid_backup_failed 0.0" in metrics and "arcid_backup_seconds" in metrics
        assert "backup" in {task["name"] for task in client.get("/v1/system").json()["tasks"]}


def test_a_failed_one_is_an_alarm_with_words(start: StartService, tmp_path: Path) -> None:
    with start(backups=tmp_path / "backups") as client:
        client.post("/v1/collections", json={"name": "staff"})
        with closing(sqlite3.connect(tmp_path / "gallery.db")) as vandal:
            vandal.execute("UPDATE collections SET name = 'other'")
            vandal.commit()
        refused = client.post("/v1/backups")
        assert refused.status_code == 500
        assert "1 rows of collections" in refused.json()["error"]["message"]
        assert "1 rows of collections" in client.get("/v1/backups").json()["problem"]
        assert "arcid_backup_failed 1.0" in client.get("/metrics").text


def test_without_a_folder_it_is_said_what_to_set(start: StartService) -> None:
    with start() as client:
        found = client.get("/v1/backups").json()
        assert (found["scheduled"], found["backups"], found["problem"]) == (False, [], None)
        refused = client.post("/v1/backups")
        assert refused.status_code == 422 and "ARCID_BACKUPS" in refused.text
        assert "arcid_backup" not in client.get("/metrics").text
