"""``examples/oak`` without a camera: archives, and the host's side of the pipeline."""

from __future__ import annotations

import importlib
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.errors import ModelUnsupported
from arcid.models import goldens, weights
from arcid.runtime import open_session

pytest.importorskip("luxonis_ml", reason="packing needs arcid[luxonis]")
pytest.importorskip("onnx", reason="packing needs arcid[convert]")
EXAMPLE = Path(__file__).parents[2] / "examples/oak"


@pytest.fixture(scope="module")
def made() -> Iterator[Any]:
    sys.path.insert(0, str(EXAMPLE))
    yield importlib.import_module("archives")
    sys.path.remove(str(EXAMPLE))
    sys.modules.pop("archives", None)


@pytest.fixture(scope="module")
def archives(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    made.write(weights.resolve_default("detection"), made.CANVAS, folder)
    made.write(weights.resolve_default("recognition"), (112, 112), folder)
    return folder


def inside(archive: Path, folder: Path) -> Callable[[Any], dict[str, Any]]:
    """The network of an archive, in the place of the device's."""
    with tarfile.open(archive) as packed:
        packed.extract("model.onnx", folder / archive.name, filter="data")
    return open_session(folder / archive.name / "model.onnx", runtime="onnxruntime").run


def test_an_archive_says_what_its_network_takes_and_gives(archives: Path, made: Any) -> None:
    from arcid.train.export.luxonis import check_archive

    config = check_archive(archives / "arcid-detect-s.tar.xz")["model"]
    assert config["inputs"][0]["shape"] == [1, 3, 480, 640]
    cells = 60 * 80 + 30 * 40 + 15 * 20
    shapes = {output["name"]: output["shape"] for output in config["outputs"]}
    assert shapes == {"scores": [1, cells], "boxes": [1, cells, 4], "points": [1, cells, 10]}


def test_the_network_inside_sees_bgr_as_the_packaged_one_sees_rgb(
    archives: Path, tmp_path: Path
) -> None:
    found = weights.resolve_default("recognition")
    rgb = goldens.synthetic_crops(112).pixels[:1]
    packaged = open_session(found.path, runtime="onnxruntime").run(
        found.manifest.input.prepare(rgb)
    )
    bgr = rgb[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    ask = inside(archives / f"{found.name}.tar.xz", tmp_path)
    name = next(iter(packaged))
    np.testing.assert_allclose(ask(bgr)[name], packaged[name], atol=1e-3)
    assert np.abs(ask(bgr[:, ::-1].copy())[name] - packaged[name]).max() > 0.01


@pytest.fixture
def oak(made: Any) -> Any:
    pytest.importorskip("depthai", reason="pip install 'arcid[oak]'")
    yield importlib.import_module("oak")
    sys.modules.pop("oak", None)


def message(answers: dict[str, Any]) -> Any:
    import depthai

    made = depthai.NNData()
    for name, value in answers.items():
        made.addTensor(name, np.ascontiguousarray(value, np.float32))
    return made


@pytest.mark.data
def test_the_host_finds_and_embeds_what_the_device_says(
    oak: Any, archives: Path, tmp_path: Path, data_dir: Path
) -> None:
    import depthai

    from arcid.image import load_image
    from arcid.pipeline import Pipeline

    for file in archives.iterdir():
        assert depthai.NNArchive(str(file)).getInputSize() in ((640, 480), (112, 112))
    see = inside(archives / "arcid-detect-s.tar.xz", tmp_path)
    embed = inside(archives / "arcid-face-s.tar.xz", tmp_path)

    def ask(tensor: Any) -> Any:  # what the device would be sent, and what it would send
        bgr = oak.frame_of(tensor).getCvFrame().transpose(2, 0, 1)[None]
        return oak.answers(message(embed(bgr.astype(np.float32))))

    photo = load_image(data_dir / "data/deepface-pairs/img5.jpg")
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[:, 100:400] = photo[:480, :300]
    bgr = frame[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    arrived = oak.Arrived()
    pipeline = oak.joined(arrived, ask)
    arrived.answers = oak.answers(message(see(bgr)))
    packaged = Pipeline.from_models(sure=None, refine=False)  # the refiner stays off the device
    mine, wanted = pipeline.faces(frame), packaged.faces(frame)
    assert len(mine) == len(wanted) == 1
    assert mine.embeddings.contract_id == wanted.embeddings.contract_id
    assert mine.embeddings.cosine(wanted.embeddings)[0, 0] > 0.999
    with pytest.raises(ModelUnsupported, match="answers otherwise"):
        oak.joined(arrived, lambda tensor: ask(tensor[:, ::-1]))
