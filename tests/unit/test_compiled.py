"""Compiled models that are kept: found again, equal, private, bounded, and never in the way."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from arcid.runtime import compiled, open_session
from arcid.runtime.compiled import Compiled
from arcid.runtime.openvino import OpenVinoSession

WIDE = 8192  # as many columns make a model that is worth keeping
X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


def model(path: Path, seed: int = 0) -> Path:
    """``wide``: the input times a random matrix; ``sums``: the sum of each row of it."""
    matrix = np.random.default_rng(seed).normal(size=(3, WIDE)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "matrix"], ["wide"]),
            helper.make_node("ReduceSum", ["wide", "axes"], ["sums"], keepdims=0),
        ],
        "kept",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("wide", "sums")],
        [numpy_helper.from_array(matrix, "matrix"), numpy_helper.from_array(np.array([1]), "axes")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.save_model(made, str(path))
    return path


def answers(path: Path) -> dict[str, npt.NDArray[Any]]:
    session = open_session(path, runtime="openvino")
    assert (session.input_name, session.input_shape) == ("x", (None, 3))
    assert session.output_names == ("wide", "sums")
    return session.run(X)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ARCID_COMPILED")
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "cache" / "models"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that are compiled, by file."""
    found: list[str] = []
    compile_ = OpenVinoSession._compile

    def noted(self: OpenVinoSession, core: Any, path: Path, *args: Any) -> None:
        found.append(path.name)
        compile_(self, core, path, *args)

    monkeypatch.setattr(OpenVinoSession, "_compile", noted)
    return found


def test_the_second_time_is_equal_and_compiles_nothing(
    folder: Path, tmp_path: Path, compilations: list[str]
) -> None:
    path = model(tmp_path / "a.onnx")
    first, second = answers(path), answers(path)
    assert compilations == ["a.onnx"]
    assert all(np.array_equal(first[name], second[name]) for name in first)
    (kept,) = folder.iterdir()
    if os.name == "posix":
        modes = [one.stat().st_mode & 0o777 for one in (kept, folder, folder.parent.parent)]
        assert modes == [0o600, 0o700, 0o700]


def test_another_model_is_another_file(
    folder: Path, tmp_path: Path, compilations: list[str]
) -> None:
    first = answers(model(tmp_path / "a.onnx"))
    other = answers(model(tmp_path / "a.onnx", seed=1))
    assert len(compilations) == len(list(folder.iterdir())) == 2
    assert not np.allclose(first["sums"], other["sums"])


@pytest.mark.parametrize("damage", ["a bit of the weights", "the end", "all", "another build"])
def test_what_is_damaged_is_compiled_anew(
    folder: Path, tmp_path: Path, compilations: list[str], damage: str
) -> None:
    path = model(tmp_path / "a.onnx")
    first = answers(path)
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    if damage == "another build":
        compiled.keep(kept.name, Compiled("x", ("wide", "sums"), b"of another OpenVINO"))
    else:
        at = len(whole) - 5000
        flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        kept.write_bytes({"all": b"", "the end": whole[:at]}.get(damage, flipped))
    again = answers(path)
    assert len(compilations) == 2 and np.array_equal(first["wide"], again["wide"])
    answers(path)
    assert len(compilations) == 2, "and kept again"


@pytest.mark.parametrize("place", ["off", "no folder", "everybody's"])
def test_where_nothing_is_kept_everything_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str], place: str
) -> None:
    if place == "everybody's" and sys.platform == "win32":
        pytest.skip("Windows has no such rights")
    (tmp_path / "file").write_text("")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    where = {"off": "off", "no folder": tmp_path / "file" / "in", "everybody's": tmp_path / "open"}
    monkeypatch.setenv("ARCID_COMPILED", str(where[place]))
    path = model(tmp_path / "a.onnx")
    answers(path)
    answers(path)
    assert len(compilations) == 2
    assert not list((tmp_path / "open").iterdir()) and not Path("off").exists()


def test_what_was_used_longest_ago_goes_first(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str]
) -> None:
    a, b, c = (model(tmp_path / f"{name}.onnx", seed) for seed, name in enumerate("abc"))
    answers(a)
    (first,) = folder.iterdir()
    monkeypatch.setattr(compiled, "LIMIT_BYTES", 2 * first.stat().st_size + 100)
    answers(b)
    for age, file in enumerate(folder.iterdir()):
        os.utime(file, (1e9 + age, 1e9 + age))
    answers(a)
    answers(c)
    assert len(list(folder.iterdir())) == 2
    answers(a)
    assert compilations == ["a.onnx", "b.onnx", "c.onnx"]
    answers(b)
    assert compilations == ["a.onnx", "b.onnx", "c.onnx", "b.onnx"]
