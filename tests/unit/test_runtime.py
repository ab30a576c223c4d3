"""Sessions: what they promise, and that nothing falls back silently."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from arcid.errors import ConfigError, ManifestInvalid, ModelNotFound, ModelUnsupported, UsageError
from arcid.runtime import RUNTIMES, RuntimeName, default_threads, open_session
from arcid.runtime.session import cannot_run


def _model(path: Path, inputs: tuple[str, ...] = ("x",), batch: int | str = "N") -> Path:
    """outputs: "sum" = 2x (or x + y), "negative" = -x."""
    shape = [batch, 3]
    nodes = [
        helper.make_node("Add", [inputs[0], inputs[-1]], ["sum"]),
        helper.make_node("Neg", [inputs[0]], ["negative"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in inputs],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("sum", "negative")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save_model(model, str(path))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return _model(tmp_path / "model.onnx")


X = np.array([[1, 2, 3], [4, 5, 6]], np.float32)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_outputs_by_name_belong_to_the_caller(model: Path, runtime: RuntimeName) -> None:
    session = open_session(model, runtime=runtime)
    assert (session.runtime, session.input_name) == (runtime, "x")
    assert session.input_shape == (None, 3)
    assert session.output_names == ("sum", "negative")
    first = session.run(X)
    np.testing.assert_array_equal(first["sum"], 2 * X)
    np.testing.assert_array_equal(first["negative"], -X)
    session.run(X * 100)["sum"][:] = 7
    np.testing.assert_array_equal(first["sum"], 2 * X)  # not the runtime's own buffer
    np.testing.assert_array_equal(session.run(X[:, ::-1])["sum"], 2 * X[:, ::-1])  # not contiguous


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_batches_of_any_size_may_alternate(model: Path, runtime: RuntimeName) -> None:
    session = open_session(model, runtime=runtime)
    for count in (1, 5, 2, 64, 1):
        x = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
        np.testing.assert_array_equal(session.run(x)["sum"], 2 * x)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_sessions_are_thread_safe(model: Path, runtime: RuntimeName) -> None:
    session = open_session(model, runtime=runtime)

    def once(i: int) -> bool:
        x = np.full((1 + i % 4, 3), i, np.float32)
        return bool((session.run(x)["sum"] == 2 * i).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(once, range(400)))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_tensors_of_another_shape_are_refused(model: Path, runtime: RuntimeName) -> None:
    session = open_session(model, runtime=runtime)
    with pytest.raises(ModelUnsupported, match=r"takes input \(any,3\), got \(2, 4\)"):
        session.run(np.zeros((2, 4), np.float32))
    fixed = open_session(model, runtime=runtime, input_shape=(2, 3))
    np.testing.assert_array_equal(fixed.run(X)["sum"], 2 * X)
    with pytest.raises(ModelUnsupported, match=r"\(2,3\), got \(1, 3\)"):
        fixed.run(X[:1])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_fails_within_a_model_is_told(tmp_path: Path, runtime: RuntimeName) -> None:
    """As exported for one picture of one size, with an input that claims to take any."""
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "one"], ["flat"])],
        "fixed within",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("flat", TensorProto.FLOAT, None)],
        [helper.make_tensor("one", TensorProto.INT64, [2], [1, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path = tmp_path / "fixed.onnx"
    onnx.save_model(model, str(path))
    session = open_session(path, runtime=runtime)
    for _ in range(2):
        with pytest.raises(ModelUnsupported, match=r"cannot compute an input of \(2,3\): .*eshape"):
            session.run(X)
        np.testing.assert_array_equal(session.run(X[:1])["flat"], X[:1])


def test_an_error_without_words_is_told_by_its_name() -> None:
    assert "(2,3): MemoryError" in cannot_run(X, MemoryError(), 0).message


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_files_that_are_no_models(tmp_path: Path, runtime: RuntimeName) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"\x08\x01 this is no model")
    with pytest.raises(ModelUnsupported, match=r"cannot load damaged\.onnx"):
        open_session(damaged, runtime=runtime)
    with pytest.raises(ModelNotFound, match=r"gone\.onnx does not exist"):
        open_session(tmp_path / "gone.onnx", runtime=runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_inputs_must_be_the_ones_expected(tmp_path: Path, runtime: RuntimeName) -> None:
    two = _model(tmp_path / "two.onnx", ("x", "y"))
    with pytest.raises(ModelUnsupported, match=r"two\.onnx has 2 inputs \(x, y\)"):
        open_session(two, runtime=runtime)
    one = _model(tmp_path / "one.onnx")
    assert open_session(one, runtime=runtime, input_name="x").input_name == "x"
    with pytest.raises(ManifestInvalid, match="'x', its manifest says 'images'"):
        open_session(one, runtime=runtime, input_name="images")


def test_openvino_comes_first_and_what_was_chosen_is_logged(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("ARCID_RUNTIME", raising=False)
    monkeypatch.delenv("ARCID_DEVICE", raising=False)
    with caplog.at_level(logging.INFO, "arcid.runtime"):
        session = open_session(model, threads=1)
    assert (session.runtime, session.device, session.precision) == ("openvino", "CPU", "f32")
    logged = vars(caplog.records[-1])
    assert (logged["runtime"], logged["device"], logged["precision"]) == ("openvino", "CPU", "f32")
    monkeypatch.setenv("ARCID_RUNTIME", "onnxruntime")
    session = open_session(model)
    assert (session.runtime, session.device) == ("onnxruntime", "CPUExecutionProvider")


def test_nothing_falls_back_silently(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARCID_RUNTIME", raising=False)
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has what the test asks for in vain")
    with pytest.raises(ModelUnsupported, match="no CUDAExecutionProvider"):
        open_session(model, device="cuda")
    with pytest.raises(ModelUnsupported, match=r"no device NPU\.5; here: CPU"):
        open_session(model, device="npu.5")
    monkeypatch.setenv("ARCID_DEVICE", "tensorrt")
    with pytest.raises(ModelUnsupported, match="TensorrtExecutionProvider"):
        open_session(model)
    with pytest.raises(UsageError, match="device 'tpu' is unknown"):
        open_session(model, runtime="onnxruntime", device="tpu")
    with pytest.raises(UsageError, match="own precision"):
        open_session(model, runtime="onnxruntime", device="cpu", precision="bf16")
    with pytest.raises(UsageError, match="precision 'int4' is unknown"):
        open_session(model, runtime="openvino", device="cpu", precision="int4")
    monkeypatch.setenv("ARCID_RUNTIME", "tflite")
    with pytest.raises(UsageError, match="runtime 'tflite' is unknown"):
        open_session(model)


def test_openvino_is_not_left_to_choose_its_precision(model: Path) -> None:
    assert open_session(model, runtime="openvino").precision == "f32"


def test_streams_share_the_threads_and_answer_as_one_does(model: Path) -> None:
    one = open_session(model, runtime="openvino", threads=2)
    two = open_session(model, runtime="openvino", threads=2, streams=2)
    compiled = [getattr(session, "_compiled") for session in (one, two)]  # noqa: B009
    assert [c.get_property("NUM_STREAMS") for c in compiled] == [1, 2]
    tensors = [np.full((1, 3), value, np.float32) for value in range(16)]
    with ThreadPoolExecutor(4) as pool:
        for tensor, outputs in zip(tensors, pool.map(two.run, tensors), strict=True):
            for name, value in one.run(tensor).items():
                np.testing.assert_allclose(outputs[name], value, rtol=1e-5)


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARCID_THREADS", raising=False)
    assert 1 <= default_threads() <= (os.cpu_count() or 1)
    monkeypatch.setenv("ARCID_THREADS", "3")
    assert default_threads() == 3
    for text in ("0", "-1", "two", "1.5", ""):
        monkeypatch.setenv("ARCID_THREADS", text)
        with pytest.raises(ConfigError, match="ARCID_THREADS"):
            default_threads()


#: Sessions that go in the order they came, then a signal that Python answers.
COME_AND_GO = """
import signal, sys
from pathlib import Path
from arcid.runtime import open_session
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
open_ = [open_session(Path(sys.argv[1]), runtime=sys.argv[2]) for _ in range(3)]
while open_:
    del open_[0]
signal.raise_signal(signal.SIGTERM)
print(len(heard))
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_signal_after_sessions_are_gone_is_heard(model: Path, runtime: RuntimeName) -> None:
    told = subprocess.run(
        [sys.executable, "-c", COME_AND_GO, str(model), runtime],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stdout.strip()) == (0, "1"), told.stderr[-2000:]


#: Threads that are the first to hand an array over, all at once.
ALL_AT_ONCE = """
import sys, threading
from arcid.runtime.openvino import import_openvino, shared_core
shared_core()
sys.setswitchinterval(1e-6)
together = threading.Barrier(8)
def use():
    together.wait()
    import_openvino().Type.f32.to_dtype()
threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("_again", range(4))  # each hung every second time
def test_threads_that_use_openvino_first_do_not_wait_for_each_other(_again: int) -> None:
    subprocess.run([sys.executable, "-c", ALL_AT_ONCE], timeout=60, check=True)


#: A process that is forked with a model open: it uses that, then one of its own.
FORKED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from arcid.errors import UsageError
from arcid.runtime import open_session
x = np.ones((1, 3), np.float32)
def opened(): return open_session(Path(sys.argv[1]), runtime=sys.argv[2])
session = opened()
session.run(x)
child = os.fork()
if not child:
    signal.alarm(20)
    try:
        session.run(x)
        print("ran", flush=True)
    except UsageError as error:
        print(error.message, opened().run(x)["sum"].sum(), flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0 and session.run(x)["sum"].sum() == 6
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_forked_process_never_waits_for_threads_it_has_not(
    model: Path, runtime: RuntimeName
) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FORKED, str(model), runtime],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr[-2000:]
    if told.stdout != "ran\n":
        assert "opened before the process was forked" in told.stdout
        assert told.stdout.endswith(" 6.0\n")
