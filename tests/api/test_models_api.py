"""Models and calibrations over REST: what is there, what decides next, and who changed it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.serving import StartService

from arcid.calibration import Calibration
from arcid.models import calibrations, weights

pytestmark = pytest.mark.data


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ARCID_DETECTOR", "ARCID_RECOGNISER", "ARCID_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_recogniser_is_chosen_for_the_next_start(
    start: StartService, face: Callable[[int], bytes]
) -> None:
    with start() as client:
        client.post("/v1/collections", json={"name": "staff", "keep_crops": True})
        enrolled = client.post(
            "/v1/collections/staff/enrol", data={"name": "Ada"}, files={"image": face(1)}
        )
        assert enrolled.status_code == 201, enrolled.text
        found = client.get("/v1/models/installed").json()
        rows = {row["name"]: row for row in found["installed"]}
        assert [name for name, row in rows.items() if row["runs"]] == [
            "arcid-detect-s", "arcid-face-s",
        ]  # fmt: skip
        assert rows["arcid-face-s"]["licence"] and rows["arcid-face-s"]["measured"]["tar"] > 0.5
        assert found["downloads"] is False
        assert [one["why"] for one in found["next_start"]] == ["packaged", "packaged"]

        chosen = client.put("/v1/models/chosen/recognition", json={"name": "arcid-face-s-1"})
        assert chosen.status_code == 200, chosen.text
        answer = chosen.json()
        assert answer["choice"]["restart_needed"] is True and answer["choice"]["why"] == "chosen"
        (ahead,) = answer["ahead"]
        same = rows["arcid-face-s-1"]["contract_id"] == rows["arcid-face-s"]["contract_id"]
        assert (ahead["done"], ahead["waiting"]) == ((1, 0) if same else (0, 1))
        assert weights.resolve_default("recognition").name == "arcid-face-s-1"
        for name, status in (
            ("none_such", 404),
            ("arcid-detect-s", 422),
            ("/etc", 422),
            ("~nobody/x", 422),
            ("x" * 200, 404),
        ):
            refused = client.put("/v1/models/chosen/recognition", json={"name": name})
            assert refused.status_code == status, refused.text
        for task in ("liveness", "landmarks", "none"):
            refused = client.put(f"/v1/models/chosen/{task}", json={"name": None})
            assert refused.status_code == 422, refused.text
        back = client.put("/v1/models/chosen/recognition", json={"name": None}).json()
        assert back["choice"]["restart_needed"] is False
        audit = client.get("/v1/audit", params={"verb": "models"}).json()["entries"]
        assert [row["subject"] for row in audit] == ["model:packaged", "model:arcid-face-s-1"]
        assert audit[1]["details"] == {"task": "recognition", "before": "arcid-face-s"}
        pulled = client.post("/v1/models/pull", json={"name": "sface", "accept_licence": True})
        assert (pulled.status_code, pulled.json()["error"]["code"]) == (403, "downloads_off")
    with start(recogniser="arcid-face-s", model_downloads=True) as client:
        refused = client.put("/v1/models/chosen/recognition", json={"name": "arcid-face-s-1"})
        assert refused.status_code == 422 and "ARCID_RECOGNISER" in refused.text
        unread = client.post("/v1/models/pull", json={"name": "sface"})
        assert unread.json()["error"]["code"] == "licence_not_accepted"
        assert client.get("/v1/audit", params={"verb": "models.pull"}).json()["entries"] == []


def test_an_own_calibration_is_put_in_force_and_erased(start: StartService) -> None:
    bundle = weights.resolve("arcid-face-s")
    packaged = weights.packaged_calibration(bundle)
    mine = Calibration({**packaged.data, "notes": "at our doors"})
    with start() as client:
        client.get("/v1/models")  # so that the pipeline has read its calibration
        calibrations.install(mine)
        found = client.get("/v1/calibrations").json()["calibrations"]
        assert [(one["packaged"], one["in_force"], one["running"]) for one in found] == [
            (False, True, False), (True, False, True),
        ]  # fmt: skip
        assert found[0]["notes"] == "at our doors"
        kept = client.delete(f"/v1/calibrations/{mine.calibration_id}")
        assert kept.status_code == 422 and "in force" in kept.text
        back = client.put("/v1/calibrations/in_force", json={"calibration_id": None})
        assert back.json()["calibrations"][0]["packaged"] is True
        assert client.delete(f"/v1/calibrations/{mine.calibration_id}").status_code == 204
        gone = client.delete(f"/v1/calibrations/{mine.calibration_id}")
        assert gone.status_code == 404
        unknown = client.put("/v1/calibrations/in_force", json={"calibration_id": "0" * 16})
        assert unknown.status_code == 404
        assert len(client.get("/v1/calibrations").json()["calibrations"]) == 1
        audit = client.get("/v1/audit", params={"verb": "calibration"}).json()["entries"]
        assert [row["verb"] for row in audit] == ["calibration.delete", "calibration.use"]
        assert audit[0]["subject"] == f"calibration:{mine.calibration_id}"


def test_without_the_right_nobody_changes_what_decides(start: StartService, tmp_path: Path) -> None:
    from arcid.gallery import Gallery
    from arcid.protection import Keys

    with Gallery.open(tmp_path / "keyed.db") as gallery:
        _, reader = Keys(gallery).add("reader", ["read"])
        with start(gallery=gallery) as client:
            headers = {"X-API-Key": reader}
            assert client.get("/v1/models/installed", headers=headers).status_code == 200
            for method, path, body in (
                ("PUT", "/v1/models/chosen/recognition", {"name": "arcid-face-s-1"}),
                ("POST", "/v1/models/pull", {"name": "sface", "accept_licence": True}),
                ("PUT", "/v1/calibrations/in_force", {"calibration_id": None}),
            ):
                refused = client.request(method, path, json=body, headers=headers)
                assert refused.status_code == 403, refused.text
