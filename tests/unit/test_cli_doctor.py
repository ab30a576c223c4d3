"""What ``arcid doctor`` calls installed is what the extras of the package bring."""

from __future__ import annotations

import tomllib
from pathlib import Path

from arcid.extras import EXTRAS, installed


def test_every_extra_is_looked_for_and_a_server_has_all_that_serve_needs() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    declared = set(tomllib.loads(text)["project"]["optional-dependencies"])
    assert set(EXTRAS) == declared - {"dev", "docs", "lint"}
    assert installed("server")
