"""What ``arcid doctor`` calls installed is what the extras of the package bring."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from arcid import extras
from arcid.apps import doctor
from arcid.apps.doctor import Problem, Report, examine
from arcid.extras import EXTRAS, installed
from arcid.gallery import Gallery, NewFace
from arcid.models import weights
from arcid.types import Embeddings


def test_every_extra_is_looked_for_and_a_server_has_all_that_serve_needs() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    declared = set(tomllib.loads(text)["project"]["optional-dependencies"])
    assert set(EXTRAS) == declared - {"dev", "docs", "lint"}
    assert installed("server")


def test_what_an_extra_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "mqtt", ("json", "tensorbored"))
    monkeypatch.setitem(EXTRAS, "osdp", ("tensorbored",))
    monkeypatch.setitem(EXTRAS, "gpio", ("json",))
    told = examine("nowhere.db").facts["extras"]
    assert told["mqtt"] == "without tensorbored: pip install 'arcid[mqtt]'"
    assert told["osdp"] == "not installed: pip install 'arcid[osdp]'"
    assert told["gpio"] == "installed" and extras.missing("gpio") == ()


def database(path: Path) -> list[Problem]:
    return [p for p in examine(str(path)).problems if p.area == "database"]


def without_models(monkeypatch: pytest.MonkeyPatch, contract_id: str) -> None:
    """As where a recogniser of this contract is the default; none is loaded."""

    def _models(report: Report) -> None:
        report.facts["models"] = {"recognition": {"model": "ours", "contract_id": contract_id}}

    monkeypatch.setattr(doctor, "_models", _models)
    monkeypatch.setattr(doctor, "_runtimes", lambda report: None)


def test_a_gallery_that_does_not_open_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_models(monkeypatch, "a" * 64)
    path = tmp_path / "gallery.db"
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
    path.with_name("gallery.db-keys").unlink()
    (locked,) = database(path)
    assert "Put its newest backup back" in locked.message
    assert locked.advice == "mend that, then arcid doctor again"
    path.write_bytes(b"no database" * 1000)
    (damaged,) = database(path)
    assert damaged.advice == doctor.RESTORE


def test_who_is_not_found_by_the_recogniser_in_use_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enrol(gallery: Gallery, name: str, contract_id: str) -> None:
        vector = Embeddings.normalised(np.eye(64, dtype=np.float32)[:1], contract_id)
        gallery.enrol("staff", name, [NewFace(vector)])

    def told() -> list[tuple[str, str, bool]]:
        return [(p.message, p.advice, p.serious) for p in examine(str(path)).problems]

    before = next(b for b in weights.installed({}) if b.name == "arcid-face-s-1")
    path = tmp_path / "gallery.db"
    without_models(monkeypatch, "a" * 64)
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
        assert told() == []
        enrol(gallery, "Ann", before.manifest.contract_id)
        ((message, advice, serious),) = told()
        assert serious and "ours does not find 1 of the 1 people of collection 'staff'" in message
        assert "but of arcid-face-s-1" in message
        assert (
            "reembed --collection staff" in advice and "ARCID_RECOGNISER=arcid-face-s-1" in advice
        )
        enrol(gallery, "Bea", "a" * 64)
        ((message, _, serious),) = told()
        assert not serious and "1 of the 2 people" in message
        enrol(gallery, "Ann", "a" * 64)
        assert told() == []
