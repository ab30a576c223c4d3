"""Detectors converted from state dicts, where torch and onnx are installed; and small disks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SLOW = ("[mtcnn", "[dlib")  # detectors, a second a photo


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and any(name in item.nodeid for name in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def bundles(request: pytest.FixtureRequest, data_dir: Path, tmp_path_factory: Any) -> Any:
    """The folder of a converted bundle by name, made on first use."""
    target = tmp_path_factory.mktemp("bundles")
    photo = data_dir / "data/photos/group/friends.jpg"

    @cache
    def bundle(name: str) -> Path:
        module = request.getfixturevalue("script")
        return Path(module.convert(name, data_dir / "models", target, photo))

    return bundle


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a file system of so many MiB, which takes rights that not every machine gives."""
    mounted: list[Path] = []

    def mount(mib: int) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        program = shutil.which("mount")
        command = [str(program), "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
        if program is None or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("may not mount a small tmpfs here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)
