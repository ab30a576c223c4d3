"""Attacks on a real service in another process, bounded and on loopback only.

python -m pytest tests/security
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.security import console
from tests.serving import serving

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them are attacks."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.attack)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The service's ``ARCID_HOME``; its log is ``service.log`` in there."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def url(home: Path, data_dir: Path) -> Iterator[str]:
    """Address of a service without keys, as ``arcid serve`` starts it."""
    with serving(home, data_dir) as address:
        yield address


@pytest.fixture
def sign_in(url: str) -> Iterator[console.SignIn]:
    """Sessions of the console that end with the test."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(closing(console.sign_in(url, name)))
