"""Teachers that look once: what is kept, what is computed again, and several as one target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional as F

from arcid.errors import ConfigError, DatasetInvalid
from arcid.train.config.recipe import DataConfig, SourceConfig, TrainConfig, parse_config
from arcid.train.data.crops import centre
from arcid.train.data.dataset import SampleSet, open_data
from arcid.train.recogniser.job import train
from arcid.train.weights import taught as module
from arcid.train.weights.checkpoint import open_checkpoint
from arcid.train.weights.taught import Taught, digests_of, principal_axes, turned_towards
from arcid.train.weights.teachers import Teacher

pytestmark = [pytest.mark.data, pytest.mark.training, pytest.mark.usefixtures("one_thread")]
TEACHERS = ("mobilefacenet_128", "arcid-face-s")


def samples(data_dir: Path, *names: str, identities: int = 8) -> SampleSet:
    sources = tuple(SourceConfig(path=str(data_dir / f"data/train/{name}.tar")) for name in names)
    config = DataConfig(sources=sources, identities=identities, max_images=4, workers=0)
    return open_data(config).train


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher("mobilefacenet_128", 112, flip=True)


def unit(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_vectors_are_the_teachers_and_are_computed_once(
    data_dir: Path, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = samples(data_dir, "vgg")
    digests = digests_of(photos)
    assert len(set(digests.tolist())) == len(photos) == 32
    monkeypatch.setattr(module, "_BATCH", 5)
    monkeypatch.setattr(module, "_STORED_EVERY", 12)
    first = Taught(teacher, photos, digests, tmp_path)
    index = np.array([31, 0, 7])
    crops = np.stack([centre(photos.store.read(int(photos.rows[i])), 112) for i in index])
    wanted = F.normalize(teacher(torch.from_numpy(crops).permute(0, 3, 1, 2))[0], dim=1)
    np.testing.assert_allclose(first.vectors(index), wanted.numpy(), atol=2e-3)

    looked: list[int] = []
    real = Teacher.__call__

    def counted(self: Teacher, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        looked.append(len(images))
        return real(self, images)

    monkeypatch.setattr(Teacher, "__call__", counted)
    again = Taught(teacher, photos, digests, tmp_path)
    assert not looked
    np.testing.assert_array_equal(again.vectors(index), first.vectors(index))
    # another source before it, other places: only the new photos are looked at
    more = samples(data_dir, "celeba-a", "vgg", identities=0)
    few = np.linspace(0, len(more) - 1, 40).astype(np.int64)
    more = SampleSet(
        more.store,
        np.concatenate([more.rows[few], photos.rows + int(more.store.starts[1])]),
        np.zeros(40 + len(photos), np.int64),
    )
    new = digests_of(more)
    joined = Taught(teacher, more, new, tmp_path)
    assert sum(looked) == len(set(new.tolist()) - set(digests.tolist()))
    np.testing.assert_array_equal(joined.vectors(index + 40), first.vectors(index))


def test_a_damaged_file_is_told(data_dir: Path, teacher: Teacher, tmp_path: Path) -> None:
    photos = samples(data_dir, "vgg", identities=2)
    digests = digests_of(photos)
    Taught(teacher, photos, digests, tmp_path)
    (stored,) = tmp_path.iterdir()
    stored.write_bytes(stored.read_bytes()[:200])
    with pytest.raises(DatasetInvalid, match="delete it and the teacher looks again"):
        Taught(teacher, photos, digests, tmp_path)


def test_principal_axes_keep_cosines() -> None:
    rng = np.random.default_rng(0)
    low = rng.normal(size=(200, 12))
    parts = [unit(low @ rng.normal(size=(12, dim))) for dim in (20, 30)]
    joined = np.concatenate(parts, axis=1)
    whole = joined @ principal_axes(parts, 50)
    np.testing.assert_allclose(whole @ whole.T, joined @ joined.T, atol=1e-5)
    few = joined @ principal_axes(parts, 12)
    lost = np.abs(few @ few.T - joined @ joined.T).mean()
    chance = joined[:, :12]
    assert lost < 0.25 * np.abs(chance @ chance.T - joined @ joined.T).mean()


def test_axes_turn_to_where_the_student_is() -> None:
    rng = np.random.default_rng(1)
    parts = [unit(rng.normal(size=(300, dim))) for dim in (16, 16)]
    joined = np.concatenate(parts, axis=1)
    axes = principal_axes(parts, 8)
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0].astype(np.float32)
    own = unit(joined @ axes @ turn)
    turned = turned_towards(axes, joined, own)
    np.testing.assert_allclose(turned, axes @ turn, atol=1e-4)
    np.testing.assert_allclose(turned @ turned.T, axes @ axes.T, atol=1e-5)


BASE = """
data:
  sources: ["${ARCID_DATA}/data/train/vgg.tar"]
  batch: 16
  workers: 1
  identities: 16
  max_images: 4
model: {backbone: mobilefacenet_relu_x0.5, dim: 64}
optim: {name: adamw, lr: 1e-2, weight_decay: 1e-4, ema: 0.5}
schedule: {steps: 24}
validation: {every: 0}
distil: {joined: true, relational: 1}
"""


def config(folder: Path, *overrides: str) -> TrainConfig:
    names = ", ".join(TEACHERS)
    return parse_config(
        BASE,
        [
            f"out={folder / 'run'}", f"distil.stored={folder / 'taught'}",
            f"distil.teachers=[{names}]", *overrides,
        ],
    )  # fmt: skip


def test_a_student_nears_joined_teachers_and_goes_on_where_it_was(tmp_path: Path) -> None:
    half = train(config(tmp_path, "schedule.steps=12"))
    axes = open_checkpoint(half.run).shared()["network"]["axes"]
    assert axes.shape == (384, 64)
    torch.testing.assert_close(axes.T @ axes, torch.eye(64), atol=1e-4, rtol=0)
    whole = config(tmp_path)
    ended = train(whole.but(out=str(half.run)))
    assert (ended.steps, len(list((tmp_path / "taught").iterdir()))) == (24, 2)
    torch.testing.assert_close(open_checkpoint(half.run).shared()["network"]["axes"], axes)
    lines = (half.run / "metrics.csv").read_text().splitlines()
    at = lines[0].split(",").index("cosine")
    cosines = [float(line.split(",")[at]) for line in lines[1:]]
    assert cosines[-1] > cosines[0] + 0.1
    # begun from that run, the new run's axes lie where its vectors are
    on = train(config(tmp_path, f"out={tmp_path / 'on'}", f"init_from={half.run}"))
    first = float((on.run / "metrics.csv").read_text().splitlines()[1].split(",")[at])
    assert first > cosines[0] + 0.02


def test_maps_of_the_first_teacher_stand_beside_stored_vectors(tmp_path: Path) -> None:
    stem = "stem=/dw_conv/relu_1/Relu_output_0"
    run = train(
        config(
            tmp_path, "model={backbone: mobilefacenet_relu6_x1.0, dim: 128, options: {stem: "
            "separable}}", f"distil.maps=[{stem}]", "distil.features=1", "schedule.steps=10",
            "distil.clean=1",
        )
    ).run  # fmt: skip
    lines = (run / "metrics.csv").read_text().splitlines()
    row = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
    assert float(row["stage_error"]) > 0
    assert float(row["relational"]) > 0


@pytest.mark.parametrize(("forced", "photos"), [(False, 2), (True, 8)])
def test_maps_are_asked_of_the_photos_that_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forced: bool, photos: int
) -> None:
    """But a stage that is fed the teacher's maps needs them of all."""
    asked = []
    maps = Teacher.maps

    def counted(teacher: Teacher, images: torch.Tensor) -> list[torch.Tensor]:
        asked.append(len(images))
        return maps(teacher, images)

    monkeypatch.setattr(Teacher, "maps", counted)
    train(
        config(
            tmp_path, "model={backbone: mobilefacenet_relu6_x1.0, dim: 128, options: {stem: "
            "separable}}", "distil.maps=[stem=/dw_conv/relu_1/Relu_output_0]", "distil.features=1",
            "distil.positions=3136", "schedule.steps=1", "data.batch=8", f"distil.forced={forced}",
        )
    )  # fmt: skip
    assert asked[1:] == [photos]  # after the trial on grey pictures


def test_vectors_of_other_arithmetic_are_not_mixed(
    data_dir: Path, teacher: Teacher, tmp_path: Path
) -> None:
    few = samples(data_dir, "vgg").take(slice(0, 8))
    exact = Taught(teacher, few, digests_of(few), tmp_path).all()
    rounding = Teacher("mobilefacenet_128", 112, flip=True, precision="bf16")
    if rounding.session.precision == "f32":
        pytest.skip("the runtime or the processor knows float32 alone")
    rounded = Taught(rounding, few, digests_of(few), tmp_path).all()
    assert len(list(tmp_path.iterdir())) == 2
    assert 0.99 < (exact * rounded).sum(axis=1).min() < 1


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("distil.stored=''", "needs distil.stored"),
        ("distil.mix=0.1", "look at every step"),
    ],
)
def test_what_cannot_be_stored_is_refused(tmp_path: Path, override: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        config(tmp_path, override)
