"""``arcid onboarding``: from a link to evidence that anybody can verify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.documents import card, photographed

from arcid.apps.onboarding.applicant import Agreed, Applicant
from arcid.gallery import Gallery
from arcid.image import load_image
from arcid.pipeline import Pipeline

pytestmark = pytest.mark.data
TEXT = Agreed("1", "yes")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    path = str(tmp_path / "gallery.db")
    with Gallery.open(path) as gallery:
        gallery.create_collection("members")
    return path


def test_a_case_is_begun_decided_taken_back_proved_and_forgotten(
    cli: Any, database: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = ("--database", database)
    begun = cli("onboarding", "start", "--selfie", "--collection", "members", *of, "--json").json
    assert begun["path"] == f"/onboarding/#{begun['token']}"
    pipeline = Pipeline.from_models()
    photo = load_image(data_dir / "data/deepface-pairs/img4.jpg")
    x1, y1, x2, y2 = map(int, pipeline.detect(photo).select("largest").boxes[0])
    head = photo[max(0, y1 - (x2 - x1) // 2) : y2 + 40, max(0, x1 - 60) : x2 + 60]
    with Gallery.open(database) as gallery:
        one = Applicant(gallery, pipeline)
        one.consent(begun["token"], TEXT, name="Ada Example")
        assert one.document(begun["token"], photographed(card(np.ascontiguousarray(head)))).taken
        selfie = load_image(data_dir / "data/deepface-pairs/img10.jpg")
        assert one.selfie(begun["token"], selfie).session.state == "review"
    session = begun["session"]["id"]
    listed = cli("onboarding", "list", "--state", "review", "--collection", "members", *of)
    assert "passive_missing" in listed.out and "1 wait" in listed.out
    shown = cli("onboarding", "show", session, *of)
    assert shown.code == 0 and "Ada Example" in shown.out
    done = cli("onboarding", "answer", session, "accepted", "--actor", "Rita", *of, "--json").json
    assert done["state"] == "accepted"
    file = tmp_path / "case.json"
    wrote = cli("onboarding", "evidence", session, "-o", str(file), *of, "--json").json
    good = cli("onboarding", "verify", str(file), "--fingerprint", wrote["fingerprint"][:16])
    assert good.code == 0 and "valid: accepted" in good.out and "genuine" in good.out
    cli("onboarding", "verify", str(file), "--pictures", str(tmp_path / "pictures"))
    assert load_image(tmp_path / "pictures/selfie.jpg").shape[2] == 3
    assert cli("onboarding", "verify", str(file), "--fingerprint", "0" * 16).code == 3
    file.write_bytes(file.read_bytes().replace(b"Ada Example", b"Eva Example"))
    changed = cli("onboarding", "verify", str(file))
    assert changed.code == 3 and "changed" in changed.err
    assert cli("onboarding", "answer", session, "undo", *of, "--json").json["state"] == "review"
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdin.isatty", lambda: False, raising=False)
        assert cli("onboarding", "forget", session, *of).code == 2
        patch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        patch.setattr("typer.confirm", lambda *_, **__: False)
        refused = cli("onboarding", "forget", session, *of)
    assert refused.code == 1 and "nothing was changed" in refused.err
    assert cli("onboarding", "show", session, *of).code == 0
    assert cli("onboarding", "forget", session, "--yes", *of).code == 0
    assert cli("onboarding", "show", session, *of).code == 5


def test_what_makes_no_sense_is_refused(cli: Any, database: str) -> None:
    of = ("--database", database)
    assert cli("onboarding", "list", "--state", "lost", "--collection", "members", *of).code == 2
    assert cli("onboarding", "show", "none", *of).code == 5
    assert cli("onboarding", "verify", "/nowhere").code == 3


def test_documents_are_calibrated_on_people_of_your_own(
    cli: Any, data_dir: Path, tmp_path: Path
) -> None:
    import tarfile

    folder = tmp_path / "people"
    with tarfile.open(data_dir / "data/train/vgg.tar") as archive:
        taken: dict[str, int] = {}
        for member in archive:
            person = Path(member.name).parent.name
            if member.isfile() and taken.get(person, 0) < 4 and len(taken) < 60:
                taken[person] = taken.get(person, 0) + 1
                pixels = load_image(archive.extractfile(member).read())[8:-8, 8:-8]
                (folder / person).mkdir(parents=True, exist_ok=True)
                from PIL import Image as Pil

                Pil.fromarray(pixels).save(folder / person / f"{taken[person]}.png")
    out = tmp_path / "documents.json"
    ran = cli("onboarding", "calibrate", str(folder), "--aligned", "-o", str(out), "--json")
    assert ran.code == 0, ran.err
    rows = {row["fmr"]: row["cosine"] for row in ran.json["thresholds"]}
    assert rows[0.1] < rows[0.01]
    from arcid.calibration import Calibration

    pipeline = Pipeline.from_models()
    found, photos = Calibration.load(out), pipeline.calibration
    found.check_contract(pipeline.contract_id)
    for cosine in np.linspace(0, 0.5, 11):
        assert found.fmr(float(cosine)) >= photos.fmr(float(cosine)) * 0.9
