"""The one way to the photographs (``data_dir``) and to databases (``database_url``)."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from tests import databases, vector_databases

from arcid.gallery import Gallery

ROOT = Path(__file__).parent.parent
os.environ.setdefault("ARCID_DATA", str((ROOT / "../shared").resolve()))  # as make test does


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """``-n auto``: a worker for each core this process may use, and 3 GiB of memory for each."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min(cores, psutil.virtual_memory().available // (3 << 30)))


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    databases.begin()
    # one for all processes of a run
    os.environ["ARCID_COMPILED"] = tempfile.mkdtemp(prefix="arcid-compiled-")
    if config.getoption("numprocesses", None):  # workers share the cores, not each all of them
        for name in ("ARCID_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, "1")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end: the garbage collector need not look at it, which took
    it a quarter of the time of collecting, and a tenth of that of testing."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        databases.end()
        shutil.rmtree(os.environ["ARCID_COMPILED"], ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _home_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a test writes beyond its own folders never lands in the developer's home."""
    home = tmp_path_factory.mktemp("home")
    os.environ["ARCID_HOME"] = str(home)
    # one for all homes of a test, so that it may look into a gallery that its service made
    os.environ["ARCID_ROOT_KEY"] = f"file:{home / 'root.key'}"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of ``ARCID_DATA`` (default ``../shared``). Where absent: skips; fails in CI unless
    ``ARCID_DATA_ABSENT=skip`` says that this runner has no photographs."""
    path = Path(os.environ.get("ARCID_DATA", ROOT / "../shared")).resolve()
    if (path / "data").is_dir():
        return path
    message = "photographs not found: set ARCID_DATA to the data folder (default ../shared)"
    if os.environ.get("CI") and os.environ.get("ARCID_DATA_ABSENT") != "skip":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def liveness_models(
    script: ModuleType, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A models folder with the passive pair, converted from its state dicts."""
    from arcid.liveness import passive

    target = tmp_path_factory.mktemp("liveness")
    for name in passive.PAIR:
        script.convert(name, data_dir / "models", target, data_dir / "data/spoof/image_T1.jpg")
    return target


@pytest.fixture(scope="session")
def postgres() -> Iterator[databases.Server]:
    """One for all processes of a run."""
    server = databases.Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def milvus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Milvus of its own for every process of a run; skips where ``make engines`` was not run."""
    with vector_databases.milvus(tmp_path_factory.mktemp("milvus") / "served") as (url, _):
        yield url


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty gallery of the newest schema."""
    folder = tmp_path_factory.mktemp("migrated")
    Gallery.open(folder / "gallery.db").close()
    return folder


@pytest.fixture(scope="session")
def script() -> ModuleType:
    """``scripts/convert_weights.py``, which makes bundles of state dicts."""
    pytest.importorskip("torch", reason="converting the state dicts needs torch")
    pytest.importorskip("onnx", reason="converting the state dicts needs onnx")
    return importlib.import_module("convert_weights")


KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture
def fresh(migrated: Path, tmp_path: Path) -> Path:
    """``gallery.db`` of the test's folder: an empty gallery that was migrated before."""
    for file in migrated.iterdir():
        shutil.copy2(file, tmp_path)
    return tmp_path / "gallery.db"


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty gallery of its own for every test, on each kind of database."""
    if request.param == "sqlite":
        yield str(request.getfixturevalue("fresh"))
        return
    with request.getfixturevalue("postgres").database() as url:
        yield url


@pytest.fixture(params=KINDS)
def bare_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own without a table."""
    if request.param == "sqlite":
        yield str(tmp_path / "gallery.db")
        return
    with request.getfixturevalue("postgres").database(migrated=False) as url:
        yield url
