"""``OnnxEmbedder`` over networks whose exact answer is known, and over mobilefacenet_128."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from arcid.embed import CHUNK, OnnxEmbedder
from arcid.errors import InvalidArray, ManifestInvalid, ModelUnsupported
from arcid.image import load_image
from arcid.models import weights
from arcid.models.catalogue import CONTRACTS
from arcid.models.manifest import InputSpec, Licence, Manifest, OutputSpec
from arcid.pipeline import Pipeline, load_embedder
from arcid.runtime import RUNTIMES, RuntimeName, open_session
from arcid.types import Crops, FloatArray

SHARED = "mobilefacenet_128"
DIM = 8


def _network(
    path: Path,
    *,
    layout: str = "NCHW",
    batch: int | str = "N",
    size: int = 112,
    dim: int = DIM,
    names: tuple[str, str] = ("input", "output"),
    constant: float | None = None,
) -> Path:
    """Mean of each channel over the left and over the right half → (N,6) → times a fixed matrix."""
    rows, columns, channels = (2, 3, 1) if layout == "NCHW" else (1, 2, 3)
    shape: list[int | str] = [batch, 0, 0, 0]
    shape[rows] = shape[columns] = size
    shape[channels] = 3
    bounds = {"zero": [0], "half": [size // 2], "end": [size], "axis": [columns]}
    constants = [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in bounds.items()]
    matrix = _matrix(dim) if constant is None else np.full((6, dim), constant, np.float32)
    constants.append(numpy_helper.from_array(matrix, "matrix"))
    node = helper.make_node
    nodes = [
        node("Slice", [names[0], "zero", "half", "axis"], ["left"]),
        node("Slice", [names[0], "half", "end", "axis"], ["right"]),
        node("ReduceMean", ["left"], ["left_mean"], axes=[rows, columns], keepdims=0),
        node("ReduceMean", ["right"], ["right_mean"], axes=[rows, columns], keepdims=0),
        node("Concat", ["left_mean", "right_mean"], ["means"], axis=1),
        node("MatMul", ["means", "matrix"], [names[1]]),
    ]
    graph = helper.make_graph(
        nodes,
        "known",
        [helper.make_tensor_value_info(names[0], TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(names[1], TensorProto.FLOAT, [batch, dim])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save_model(model, str(path))
    return path


def _matrix(dim: int) -> FloatArray:
    """(6,dim): the rows differ, so no channel or half can stand for another."""
    i, j = np.mgrid[0:6, 0:dim]
    return np.sin(1.0 + 1.7 * i + 0.9 * j + 0.31 * i * j).astype(np.float32)


def _expected(pixels: np.ndarray, spec: InputSpec, *, flip: bool = False) -> FloatArray:
    """The answer worked out from the pixels in float64, without ``InputSpec.prepare``."""
    dim_matrix = _matrix(DIM).astype(np.float64)

    def once(images: np.ndarray) -> np.ndarray:
        x = images.astype(np.float64)
        if spec.colour == "BGR":
            x = np.flip(x, axis=3)
        x = (x - np.array(spec.mean)) / np.array(spec.std)
        half = x.shape[2] // 2
        means = [x[:, :, :half].mean(axis=(1, 2)), x[:, :, half:].mean(axis=(1, 2))]
        return np.concatenate(means, axis=1) @ dim_matrix

    raw = once(pixels) + once(np.flip(pixels, axis=2)) if flip else once(pixels)
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


def _crops(count: int = 3, size: int = 112) -> Crops:
    """Crops whose channels and halves all have their own brightness."""
    y, x = np.mgrid[0:size, 0:size] / size
    parts = []
    for k in range(count):
        red = 200 - 90 * x + 10 * k
        green = 60 + 80 * y + 20 * x - 7 * k
        blue = 20 + 150 * (x > 0.5) * y + 3 * k
        parts.append(np.stack([red, green, blue], axis=-1))
    return Crops(np.clip(np.stack(parts), 0, 255).astype(np.uint8))


def _manifest(spec: InputSpec, *, dim: int = DIM, **more: Any) -> Manifest:
    return Manifest(
        name="known",
        task="recognition",
        family="test",
        sha256="0" * 64,
        input=spec,
        output=OutputSpec(more.pop("output", None), dim),
        licence=Licence("none"),
        **more,
    )


def _embedder(
    path: Path, manifest: Manifest, runtime: RuntimeName = "openvino", **options: Any
) -> OnnxEmbedder:
    session = open_session(path, runtime=runtime, input_name=manifest.input.name)
    return OnnxEmbedder(session, manifest, **options)


def _spec(**changes: Any) -> InputSpec:
    spec = InputSpec(None, "RGB", (127.5,) * 3, (128.0,) * 3, (112, 112))
    return dataclasses.replace(spec, **changes)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "spec",
    [
        _spec(),
        _spec(colour="BGR"),
        _spec(layout="NHWC"),
        _spec(layout="NHWC", colour="BGR", mean=(103.9, 116.8, 123.7), std=(57.4, 57.1, 58.4)),
        _spec(mean=(0.0,) * 3, std=(255.0,) * 3),
        _spec(mean=(0.0,) * 3, std=(1.0,) * 3, colour="BGR"),
    ],
    ids=["rgb", "bgr", "nhwc", "nhwc-bgr-imagenet", "unit-range", "undivided"],
)
def test_colour_layout_mean_and_std(tmp_path: Path, spec: InputSpec, runtime: RuntimeName) -> None:
    path = _network(tmp_path / "m.onnx", layout=spec.layout)
    found = _embedder(path, _manifest(spec), runtime).embed(_crops())
    np.testing.assert_allclose(found.vectors, _expected(_crops().pixels, spec), atol=1e-4)
    other = _expected(_crops().pixels[..., ::-1], spec)
    assert np.abs(found.vectors - other).max() > 0.01  # another channel order is another answer


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_flip_averages_with_the_mirrored_face(tmp_path: Path, runtime: RuntimeName) -> None:
    path = _network(tmp_path / "m.onnx")
    plain = _embedder(path, _manifest(_spec()), runtime).embed(_crops()).vectors
    both = _embedder(path, _manifest(_spec(), flip=True), runtime).embed(_crops()).vectors
    np.testing.assert_allclose(both, _expected(_crops().pixels, _spec(), flip=True), atol=1e-4)
    assert np.abs(plain - both).max() > 0.01
    mirrored = Crops(np.ascontiguousarray(_crops().pixels[:, :, ::-1]))
    again = _embedder(path, _manifest(_spec(), flip=True), runtime).embed(mirrored).vectors
    np.testing.assert_allclose(again, both, atol=1e-4)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("batch", [1, 4])
def test_fixed_batches_are_filled_up(tmp_path: Path, runtime: RuntimeName, batch: int) -> None:
    path = _network(tmp_path / "m.onnx", batch=batch)
    embedder = _embedder(path, _manifest(_spec(batch=batch)), runtime)
    found = embedder.embed(_crops(6))
    np.testing.assert_allclose(found.vectors, _expected(_crops(6).pixels, _spec()), atol=1e-4)
    said_nothing = _embedder(path, _manifest(_spec()), runtime).embed(_crops(6))
    np.testing.assert_array_equal(said_nothing.vectors, found.vectors)


@pytest.mark.parametrize("dim", [128, 256, 512])
def test_dimensions(tmp_path: Path, dim: int) -> None:
    path = _network(tmp_path / "m.onnx", dim=dim)
    embedder = _embedder(path, _manifest(_spec(), dim=dim))
    found = embedder.embed(_crops())
    assert found.vectors.shape == (3, dim)
    assert (embedder.dim, found.contract_id) == (dim, _manifest(_spec(), dim=dim).contract_id)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
    with pytest.raises(ModelUnsupported, match=f"manifest promises \\(3, {dim * 2}\\)"):
        _embedder(path, _manifest(_spec(), dim=dim * 2)).embed(_crops())


def test_the_luxonis_contract(tmp_path: Path) -> None:
    contract = CONTRACTS["luxonis"]
    path = _network(tmp_path / "m.onnx", dim=512, names=("images", "output"), batch=1)
    spec = InputSpec("images", contract.colour, contract.mean, contract.std, (112, 112))
    found = _embedder(path, _manifest(spec, dim=512, output="output")).embed(_crops())
    pixels = _crops().pixels.astype(np.float64)[..., ::-1]  # BGR 0–255, as it comes
    means = np.concatenate([pixels[:, :, :56].mean((1, 2)), pixels[:, :, 56:].mean((1, 2))], axis=1)
    raw = means @ _matrix(512).astype(np.float64)
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(found.vectors, raw, atol=1e-4)


@pytest.mark.parametrize("size", [160, 96])
def test_crops_of_another_size_are_resized(tmp_path: Path, size: int) -> None:
    path = _network(tmp_path / "m.onnx", size=size)
    spec = _spec(size=(size, size))
    found = _embedder(path, _manifest(spec)).embed(_crops(size=112)).vectors
    wanted = _expected(_crops(size=size).pixels, spec)
    assert ((found * wanted).sum(axis=1) > 0.9999).all()


def test_no_crops_are_an_ordinary_batch(tmp_path: Path) -> None:
    embedder = _embedder(_network(tmp_path / "m.onnx"), _manifest(_spec()))
    assert embedder.embed(Crops.empty()).vectors.shape == (0, DIM)


@pytest.mark.parametrize("constant", [0.0, float("nan")])
def test_zero_and_nan_vectors_are_refused(tmp_path: Path, constant: float) -> None:
    path = _network(tmp_path / "m.onnx", constant=constant)
    with pytest.raises(InvalidArray, match="zero, NaN or infinite"):
        _embedder(path, _manifest(_spec())).embed(_crops())


def test_manifest_and_file_must_agree(tmp_path: Path) -> None:
    path = _network(tmp_path / "m.onnx")
    with pytest.raises(ManifestInvalid, match="no output 'embedding'"):
        _embedder(path, _manifest(_spec(), output="embedding"))
    with pytest.raises(ManifestInvalid, match="has input 'input'"):
        _embedder(path, _manifest(_spec(name="images")))
    wrong_size = _embedder(path, _manifest(_spec(size=(96, 96))))
    with pytest.raises(ModelUnsupported, match=r"any,3,112,112.*got \(3, 3, 96, 96\)"):
        wrong_size.embed(_crops())


# mobilefacenet_128 on photographs


@pytest.fixture(scope="module")
def shared(data_dir: Path) -> weights.Bundle:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        return weights.resolve(SHARED)


@pytest.fixture(scope="module")
def dev_train(data_dir: Path) -> tuple[Crops, list[tuple[int, int]], np.ndarray]:
    """Crops of the first 40 + 40 pairs of DevTrain, the pairs as row numbers, and which match."""
    folder = data_dir / "data/lfw-dev"
    lines = (folder / "pairsDevTrain.txt").read_text("utf-8").splitlines()[1:]
    fields = [line.split("\t") for line in (*lines[:40], *lines[1100:1140])]
    pairs = [
        ((f[0], int(f[1])), (f[0], int(f[2])) if len(f) == 3 else (f[2], int(f[3]))) for f in fields
    ]
    faces = sorted({face for pair in pairs for face in pair})
    crops = []
    with tarfile.open(folder / "train-chips.tar") as archive:
        for name, number in faces:
            member = archive.extractfile(f"{name}/{name}_{number:04d}.webp")
            assert member is not None
            crops.append(load_image(io.BytesIO(member.read()))[8:-8, 8:-8])
    rows = {face: i for i, face in enumerate(faces)}
    matching = np.array([a[0] == b[0] for a, b in pairs])
    return Crops(np.stack(crops)), [(rows[a], rows[b]) for a, b in pairs], matching


def _separation(
    embedder: OnnxEmbedder, crops: Crops, pairs: list[tuple[int, int]], matching: np.ndarray
) -> tuple[float, float]:
    """Difference of the mean mated and non-mated cosine, and the same in standard deviations."""
    vectors = embedder.embed(crops).vectors
    scores = np.array([vectors[a] @ vectors[b] for a, b in pairs])
    mated, others = scores[matching], scores[~matching]
    gap = float(mated.mean() - others.mean())
    return gap, gap / float(np.sqrt((mated.var() + others.var()) / 2))


@pytest.mark.data
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_swapped_channels_or_skipped_normalisation_show(
    shared: weights.Bundle, dev_train: Any, runtime: RuntimeName
) -> None:
    crops, pairs, matching = dev_train
    right = load_embedder(shared, runtime=runtime)
    gap, spread = _separation(right, crops, pairs, matching)
    assert gap == pytest.approx(0.653, abs=0.01)
    assert spread > 5.1
    swapped = Crops(np.ascontiguousarray(crops.pixels[..., ::-1]))
    swapped_gap, swapped_spread = _separation(right, swapped, pairs, matching)
    assert swapped_gap < gap - 0.02
    assert swapped_spread < spread - 0.4
    spec = dataclasses.replace(shared.manifest.input, mean=(0.0,) * 3, std=(1.0,) * 3)
    raw = OnnxEmbedder(right.session, dataclasses.replace(shared.manifest, input=spec))
    assert _separation(raw, crops, pairs, matching)[0] < 0.1


@pytest.mark.data
def test_runtimes_agree_and_batches_equal_singles(shared: weights.Bundle, dev_train: Any) -> None:
    crops = dev_train[0][: 2 * CHUNK + 3]
    vectors = {}
    for runtime in RUNTIMES:
        embedder = load_embedder(shared, runtime=runtime)
        vectors[runtime] = embedder.embed(crops).vectors
        singles = np.concatenate([embedder.embed(crops[i]).vectors for i in range(len(crops))])
        assert ((singles * vectors[runtime]).sum(axis=1) > 0.99999).all()
    assert ((vectors["openvino"] * vectors["onnxruntime"]).sum(axis=1) >= 0.9999).all()


@pytest.mark.data
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_eight_threads_share_one_session(
    shared: weights.Bundle, dev_train: Any, runtime: RuntimeName
) -> None:
    crops = dev_train[0][:24]
    embedder = load_embedder(shared, runtime=runtime)
    wanted = embedder.embed(crops).vectors
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: embedder.embed(crops[i % 24]).vectors[0], range(96)))
    for i, vector in enumerate(found):
        assert float(vector @ wanted[i % 24]) > 0.99999


@pytest.mark.data
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_two_photos_of_one_person_and_of_strangers(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, runtime: RuntimeName
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    pipeline = Pipeline.from_models("scrfd_2.5g", SHARED, runtime=runtime)
    photos = data_dir / "data/deepface-pairs"
    one, same, stranger = (
        pipeline.one_face(photos / name, select="largest").embedding
        for name in ("img1.jpg", "img6.jpg", "img21.jpg")
    )
    assert float(one.cosine(same)[0, 0]) == pytest.approx(0.708, abs=0.01)
    assert float(one.cosine(stranger)[0, 0]) == pytest.approx(0.073, abs=0.01)
