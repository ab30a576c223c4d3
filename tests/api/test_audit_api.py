"""The audit over REST and at the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.serving import Client

from arcid.cli import app
from arcid.cli.output import run_command
from arcid.events import Audit
from arcid.gallery import Gallery
from arcid.gallery.schema import audit as rows


@pytest.mark.data
def test_rows_are_listed_filtered_and_verified(client: Client, collection: str) -> None:
    name = collection.rpartition("/")[2]
    made = [client.post(f"{collection}/people", json={"name": n}).json()["id"] for n in "AB"]
    client.delete(f"{collection}/people/{made[0]}")
    client.post(f"{collection}/people", json={"name": "C"})
    client.delete(f"{collection}/people/{made[1]}")
    found = client.get("/v1/audit", params={"collection": name, "limit": 1}).json()
    (entry,) = found["entries"]
    assert (entry["verb"], entry["subject"]) == ("person.delete", f"person:{made[1]}")
    assert (entry["actor"], entry["details"]) == ("local", {"faces": 0})
    rest = {"collection": name, "after": found["next"]}
    older = client.get("/v1/audit", params=rest).json()
    assert [e["subject"] for e in older["entries"]] == [f"person:{made[0]}"]
    assert older["next"] is None
    for wrong, code in (({"after": "nonsense"}, 422), ({"collection": "nowhere"}, 404)):
        assert client.get("/v1/audit", params=wrong).status_code == code
    whole = client.get("/v1/audit/verify").json()
    assert whole["problem"] is None and whole["rows"] >= 2 and len(whole["digest"]) == 64


def test_the_command_lists_and_names_the_first_wrong_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "gallery.db"
    with Gallery.open(database) as gallery:
        gallery.create_collection("staff")
        for number in range(3):
            Audit(gallery).record(verb="face.view", subject=f"face:{number}", reason="=1+1")

    def run(*words: str, code: int = 0) -> str:
        assert run_command(app, [*words, "--database", str(database)]) == code
        return capsys.readouterr().out

    assert "3 rows, each as it was written" in run("audit", "verify")
    listed = json.loads(run("audit", "list", "--subject", "face:1", "--json"))
    assert [entry["seq"] for entry in listed["entries"]] == [2]
    assert "face:2" in run("audit", "list", "--verb", "face")
    run("gallery", "delete-collection", "staff", "--yes")
    newest = json.loads(run("audit", "list", "--limit", "1", "--json"))["entries"][0]
    assert newest["verb"] == "collection.delete"
    assert newest["actor"] == (f"os:{os.getuid()}" if hasattr(os, "getuid") else newest["actor"])
    with Gallery.open(database) as gallery, gallery.database.write() as connection:
        connection.execute(sa.delete(rows).where(rows.c.seq == 2))
    assert "row 2 was removed" in run("audit", "verify", code=5)
    assert json.loads(run("audit", "verify", "--json", code=5))["first_wrong"] == 2
