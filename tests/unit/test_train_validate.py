"""Numbers measured while training equal those of ``arcid.evaluate`` on the same vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from arcid.errors import ConfigError, DatasetInvalid
from arcid.evaluate.embeddings import Failure
from arcid.evaluate.metrics import threshold_at_fmr
from arcid.train.backbones import Backbone, create_backbone
from arcid.train.config.recipe import TrainConfig, expand_path, parse_config
from arcid.train.data.dataset import TrainData, open_data
from arcid.train.data.features import embed, read_crops
from arcid.train.objectives.objective import create_classifier
from arcid.train.ranks import Ranks
from arcid.train.recogniser.job import train
from arcid.train.recogniser.validate import Validator
from arcid.train.weights.restore import restore_backbone

pytestmark = [pytest.mark.data, pytest.mark.usefixtures("one_thread")]
ALONE = Ranks(0, 1, torch.device("cpu"))
BASE = """
data:
  sources: ["${ARCID_DATA}/data/train/vgg.tar"]
  size: 32
  batch: 16
  workers: 1
  identities: 8
  max_images: 20
  holdout: 0.25
  holdout_identities: 6
model: {backbone: mobilefacenet_relu_x0.5, dim: 32, options: {width: 0.25}}
loss: {name: arcface, options: {m2: 0.2, s: 16}}
optim: {lr: 0.1, ema: 0.5}
schedule: {steps: 20}
validation: {every: 0, photos: 300}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("validate")


def config(folder: Path, *overrides: str) -> TrainConfig:
    return parse_config(
        BASE, [f"out={folder / 'run'}", f"data.index_cache={folder / 'index'}", *overrides]
    )


@pytest.fixture(scope="module")
def data(folder: Path) -> TrainData:
    return open_data(config(folder).data)


@pytest.fixture(scope="module")
def lfw(folder: Path, data: TrainData) -> Path:
    """LFW's layout over crops of people held out: 4 folds of 5 + 5 pairs; one photo is broken."""
    pixels, labels = read_crops(data.held)
    place = folder / "pairs-of-six"
    people = [np.flatnonzero(labels == who)[:10] for who in range(6)]
    for who, photos in enumerate(people):
        (place / "images" / f"p{who}").mkdir(parents=True)
        for i, photo in enumerate(photos, 1):
            path = place / "images" / f"p{who}" / f"p{who}_{i:04d}.png"
            cv2.imwrite(str(path), pixels[photo][..., ::-1])
    lines = ["4\t5"]
    for fold in range(4):
        lines += [f"p{i}\t{2 * fold + 1}\t{2 * fold + 2}" for i in range(5)]
        lines += [f"p{i}\t{fold + 1}\tp{i + 1}\t{fold + 3}" for i in range(5)]
    (place / "pairs.txt").write_text("\n".join(lines) + "\n")
    return place


def crop(photos: Sequence[Any]) -> list[Any]:
    """What a detector would give; one photo shows no face."""
    found: list[Any] = []
    for photo in photos:
        if Path(photo).name == "p1_0001.png":
            found.append(Failure("no_face_found", "no face"))
        else:
            found.append(cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB))
    return found


def unit(backbone: Backbone, pixels: Any) -> np.ndarray:
    with torch.no_grad():
        x = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
        vectors = backbone.eval()(x).double().numpy()
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_a_run_measures_what_the_scorer_measures(folder: Path, data: TrainData, lfw: Path) -> None:
    wanted = config(folder, f"validation.pairs=[{lfw}]")
    result = train(wanted, align=crop)
    restored = restore_backbone(result.run)
    assert restored.averaged
    backbone, metrics = restored.backbone, result.metrics
    assert result.history[-1] == metrics

    crops, labels = read_crops(data.holdout)
    assert len(crops) == 8 * 5
    stored = restored.checkpoint.rank(0)["classifier"]["weight"][:, 0].double().numpy()
    centres = stored / np.linalg.norm(stored, axis=1, keepdims=True)
    hits = (unit(backbone, crops) @ centres.T).argmax(axis=1) == labels
    assert metrics["holdout_accuracy"] == pytest.approx(hits.mean(), abs=1e-5)
    cosines = unit(backbone, crops) @ centres.T
    own = np.arange(len(labels)), labels
    logits = 16 * cosines
    logits[own] = 16 * np.cos(np.arccos(cosines[own]) + 0.2)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[own]
    assert metrics["holdout_loss"] == pytest.approx(losses.mean(), rel=1e-4)

    pixels, people = read_crops(data.held)
    vectors = unit(backbone, pixels)
    rng = np.random.default_rng(0)
    order, counts = rng.permutation(6), np.bincount(people)
    kept = order[: max(2, int((np.cumsum(counts[order]) <= 300).sum()))]
    chosen = np.isin(people, kept)
    score = vectors[chosen] @ vectors[chosen].T
    same = people[chosen][:, None] == people[chosen][None]
    upper = np.triu(np.ones_like(same), 1)
    genuine, impostor = score[same & upper], score[~same & upper]
    above = np.searchsorted(np.sort(impostor), genuine)
    # the scorer counts in bins of 1/4096, and this network's cosines lie close together
    assert metrics["held_auc"] == pytest.approx(above.mean() / len(impostor), abs=3e-3)
    accepted = genuine >= threshold_at_fmr(impostor, 1e-3)
    assert metrics["held_tar_1e-3"] == pytest.approx(accepted.mean(), abs=2 / len(genuine))
    low, high = (metrics[f"held_tar_1e-3_{end}"] for end in ("low", "high"))
    assert low <= metrics["held_tar_1e-3"] <= high and low < high

    from arcid.evaluate.embeddings import EmbeddingSet
    from arcid.evaluate.protocols import verify
    from arcid.evaluate.readers import read_lfw

    listed = read_lfw(lfw / "pairs.txt", lfw / "images")
    sources = [photo.source for photo in listed.photos]
    failures = {i: f for i, f in enumerate(crop(sources)) if isinstance(f, Failure)}
    assert len(failures) == 1
    shrunk = np.stack(
        [
            np.zeros((32, 32, 3), np.uint8)
            if isinstance(c, Failure)
            else cv2.resize(c, (32, 32), interpolation=cv2.INTER_AREA)
            for c in crop(sources)
        ]
    )
    names = tuple(photo.name for photo in listed.photos)
    vectors32 = unit(backbone, shrunk).astype(np.float32)
    expected = verify(listed, EmbeddingSet(names, vectors32, "x", failures), replicates=2)
    assert metrics["pairs-of-six_auc"] == pytest.approx(expected.auc, abs=1e-4)
    assert metrics["pairs-of-six_accuracy"] == pytest.approx(expected.accuracy.value, abs=1e-4)
    assert 0.5 < metrics["pairs-of-six_auc"] < 1


def test_measuring_leaves_the_network_as_it_was(folder: Path, data: TrainData) -> None:
    wanted = config(folder)
    backbone = create_backbone("mobilefacenet_relu_x0.5", 32, size=32, width=0.25)
    centres = create_classifier(wanted, len(data.classes), ALONE)
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    random = torch.get_rng_state()
    for training in (True, False):
        backbone.train(training)
        found = Validator(wanted, data, None, ALONE)(backbone, centres)
        assert backbone.training is training
        assert centres.training
    assert all(before[k].equal(v) for k, v in backbone.state_dict().items())
    assert torch.get_rng_state().equal(random)
    held = {"held_auc", "held_tar_1e-3", "held_tar_1e-3_low", "held_tar_1e-3_high"}
    assert set(found) == {"holdout_accuracy", "holdout_loss", *held}
    assert set(Validator(wanted, data, None, ALONE)(backbone, None)) == held
    silent = config(folder, "validation.holdout=false")
    assert "holdout_accuracy" not in Validator(silent, data, None, ALONE)(backbone, centres)


def test_embedding_does_not_depend_on_the_batch(data: TrainData) -> None:
    torch.manual_seed(0)
    backbone = create_backbone("mobilefacenet_relu_x0.5", 32, size=32, width=0.25).eval()
    pixels, _ = read_crops(data.holdout)
    many = np.concatenate([pixels, pixels[:30]])  # more than one batch of 64
    whole = embed(backbone, many, ALONE.device)
    single = torch.cat([embed(backbone, many[i : i + 1], ALONE.device) for i in (0, 41, 65, 69)])
    torch.testing.assert_close(whole[[0, 41, 65, 69]], single, rtol=1e-4, atol=1e-5)
    expected = unit(backbone, many)
    found = torch.nn.functional.normalize(whole, dim=1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    swapped = unit(backbone, np.ascontiguousarray(many[..., ::-1]))
    assert np.abs(found - swapped).max() > 0.01, "colour channels would not matter"


def test_pairs_of_aligned_faces_need_no_detector(folder: Path, data: TrainData, lfw: Path) -> None:
    import pickle

    from arcid.evaluate.readers import read_lfw

    listed = read_lfw(lfw / "pairs.txt", lfw / "images")
    sides = np.stack([listed.first, listed.second], axis=1).ravel()
    bins = [Path(str(listed.photos[i].source)).read_bytes() for i in sides]
    path = folder / "six.bin"
    path.write_bytes(pickle.dumps((bins, listed.same.tolist()), protocol=4))
    torch.manual_seed(0)
    backbone = create_backbone("mobilefacenet_relu_x0.5", 32, size=32, width=0.25)
    wanted = config(folder, f"validation.pairs=[{path}]", "data.holdout_identities=0")
    found = Validator(wanted, open_data(wanted.data), None, ALONE)(backbone, None)
    assert set(found) == {
        "six_accuracy", "six_accuracy_low", "six_accuracy_high", "six_auc",
    }  # fmt: skip
    assert 0.4 < found["six_auc"] < 1


def test_mirror_images_are_summed(folder: Path, data: TrainData) -> None:
    torch.manual_seed(0)
    backbone = create_backbone("mobilefacenet_relu_x0.5", 32, size=32, width=0.25).eval()
    pixels, _ = read_crops(data.holdout)
    with torch.no_grad():
        both = embed(backbone, pixels, ALONE.device)
        both += embed(backbone, np.ascontiguousarray(pixels[:, :, ::-1]), ALONE.device)
    torch.testing.assert_close(embed(backbone, pixels, ALONE.device, flip=True), both)
    plain, summed = (
        Validator(config(folder, f"validation.flip={flip}"), data, None, ALONE)(backbone, None)
        for flip in ("false", "true")
    )
    assert plain["held_auc"] != summed["held_auc"]


def test_a_plain_name_is_a_bin_beside_the_data(folder: Path, data: TrainData, lfw: Path) -> None:
    import pickle

    photos = [path.read_bytes() for path in sorted((lfw / "images").rglob("*.png"))[:8]]
    (folder / "lfw.bin").write_bytes(pickle.dumps((photos * 2, [True, False] * 4), protocol=4))
    (folder / "crops.tar").symlink_to(expand_path("${ARCID_DATA}/data/train/vgg.tar"))
    wanted = config(folder, f"data.sources=[{folder}/crops.tar]", "validation.pairs=[lfw]")
    found = Validator(wanted, data, None, ALONE)
    assert [pairs.listed.name for pairs in found._pairs] == ["lfw"]
    with pytest.raises(ConfigError, match=r"agedb_30, which is not there nor agedb_30\.bin"):
        Validator(config(folder, "validation.pairs=[agedb_30]"), data, None, ALONE)


@pytest.mark.parametrize(
    ("entry", "kind", "text"),
    [
        ("{folder}/nothing", ConfigError, "not there"),
        ("{folder}/index", ConfigError, "expected a .bin"),
        ("{folder}/broken.bin", DatasetInvalid, "broken.bin"),
        ("{data}/data/bin/small_lfw.bin", DatasetInvalid, "no pair of different people"),
        ("{lfw}, {lfw}", ConfigError, "could not be told apart"),
    ],
)
def test_lists_that_cannot_be_measured_are_told_at_once(
    entry: str, kind: type[Exception], text: str, folder: Path, data: TrainData, lfw: Path,
    data_dir: Path,
) -> None:  # fmt: skip
    (folder / "broken.bin").write_bytes(b"no pickle")
    listed = entry.format(folder=folder, data=data_dir, lfw=lfw)
    with pytest.raises(kind, match=text.replace(".", r"\.")):
        Validator(config(folder, f"validation.pairs=[{listed}]"), data, crop, ALONE)
