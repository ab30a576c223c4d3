"""A real service on a real port: real models, a real SQLite file, real photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serving import Client, StartService, running
from tests.toys import Brightness, Squares

from arcid.calibration import Calibration
from arcid.gallery import Gallery
from arcid.models import weights
from arcid.pipeline import Pipeline
from arcid.server.settings import Settings


@pytest.fixture(scope="session")
def pipeline(data_dir: Path) -> Iterator[Pipeline]:
    """The default models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        pipeline = Pipeline.from_models()
        yield pipeline


@pytest.fixture(scope="session")
def toy() -> Pipeline:
    """A detector and an embedder that need no photographs of people."""
    packaged = weights.packaged_calibration(weights.resolve("arcid-face-s"))
    data = packaged.data | {"contract_id": Brightness.contract_id}
    return Pipeline(Squares(), Brightness(), calibration=Calibration(data))


@pytest.fixture(scope="module")
def toys(toy: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One service over ``toy`` for a whole test file."""
    database = tmp_path_factory.mktemp("toys") / "gallery.db"
    with running(Settings.load(database=str(database)), toy, None) as client:
        yield client


@pytest.fixture(scope="session")
def photo(data_dir: Path) -> Callable[[str], bytes]:
    """Bytes of a photo of the data folder: ``photo("deepface-pairs/img1.jpg")``."""
    return lambda name: (data_dir / "data" / name).read_bytes()


@pytest.fixture(scope="session")
def face(photo: Callable[[str], bytes]) -> Callable[[int], bytes]:
    """Bytes of ``deepface-pairs/imgN.jpg``."""
    return lambda number: photo(f"deepface-pairs/img{number}.jpg")


@pytest.fixture
def start(pipeline: Pipeline, tmp_path: Path) -> StartService:
    """``with start(queue_size=2) as client:`` with a gallery of its own."""

    def start_one(*, models: Any = None, gallery: Gallery | None = None, **settings: Any) -> Any:
        settings.setdefault("database", str(tmp_path / "gallery.db"))
        return running(Settings.load(**settings), models or pipeline, gallery)

    return start_one


@pytest.fixture(scope="module")
def client(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One service for a whole test file; tests use collections of their own."""
    database = tmp_path_factory.mktemp("api") / "gallery.db"
    with running(Settings.load(database=str(database)), pipeline, None) as client:
        yield client


@pytest.fixture(scope="module")
def gallery(client: Client) -> Gallery:
    """The one that the service runs on; cameras write straight into it."""
    return client.gallery


@pytest.fixture
def collection(client: httpx.Client, request: pytest.FixtureRequest) -> str:
    """A fresh collection's path, ``/v1/collections/NAME``."""
    name = request.node.name.replace("[", "-").replace("]", "").replace("/", "-")[:80]
    again = getattr(request.node, "execution_count", 1)  # where CI tries it once more
    name += f"-{again}" if again > 1 else ""
    assert client.post("/v1/collections", json={"name": name}).status_code == 201
    return f"/v1/collections/{name}"
