"""The one way to the photographs: the ``data_dir`` fixture."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of ``ARCID_DATA`` (default ``../shared``); skips where absent, fails in CI."""
    path = Path(os.environ.get("ARCID_DATA", ROOT / "../shared")).resolve()
    if (path / "data").is_dir():
        return path
    message = "photographs not found: set ARCID_DATA to the data folder (default ../shared)"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
