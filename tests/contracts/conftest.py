"""Detectors converted from state dicts, made once a session where torch and onnx are installed."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "convert_weights.py"


@pytest.fixture(scope="session")
def script() -> ModuleType:
    pytest.importorskip("torch", reason="converting the state dicts needs torch")
    pytest.importorskip("onnx", reason="converting the state dicts needs onnx")
    spec = importlib.util.spec_from_file_location("convert_weights", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["convert_weights"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


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
