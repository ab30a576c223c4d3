"""What ``arcid doctor`` calls installed is what the extras of the package bring."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from arcid import extras
from arcid.apps.doctor import examine
from arcid.extras import EXTRAS, installed


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
