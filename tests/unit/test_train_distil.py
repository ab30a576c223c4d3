"""Distillation: the student nears its teacher, by every term, and bad teachers are told early."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from arcid.errors import ConfigError
from arcid.models.weights import resolve
from arcid.train.backbones import Backbone, create_backbone
from arcid.train.backbones.inputs import to_input
from arcid.train.config.recipe import TrainConfig, parse_config
from arcid.train.data.dataset import open_data
from arcid.train.data.features import read_crops
from arcid.train.objectives.distil import (
    DistilObjective,
    Student,
    effective_rank,
    relational,
    stage_error,
)
from arcid.train.objectives.parts import Seen, mixed
from arcid.train.ranks import Ranks
from arcid.train.recogniser.job import train
from arcid.train.study.student import measure_student
from arcid.train.weights.restore import restore_backbone
from arcid.train.weights.teachers import Teacher

pytestmark = [pytest.mark.data, pytest.mark.training, pytest.mark.usefixtures("one_thread")]
ALONE = Ranks(0, 1, torch.device("cpu"))
TEACHER = "mobilefacenet_128"
STEM, BLOCK = "/dw_conv/relu_1/Relu_output_0", "/features/features.0/conv/conv.2/Conv_output_0"
BASE = """
data:
  sources:
    - ${ARCID_DATA}/data/train/vgg.tar
  batch: 8
  workers: 1
  identities: 16
  max_images: 4
  holdout_identities: 4
model: {backbone: mobilefacenet_relu_x0.5, dim: 128}
optim: {name: adamw, lr: 4e-3, weight_decay: 1e-4}
schedule: {steps: 24}
validation: {every: 0}
distil: {teachers: [mobilefacenet_128]}
"""
MAPS = (f"distil.maps=[stem={STEM}, blocks.0={BLOCK}]", "distil.features=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distil")


def config(folder: Path, name: str, *overrides: str) -> TrainConfig:
    return parse_config(
        BASE, [f"out={folder / name}", f"data.index_cache={folder / 'index'}", *overrides]
    )


@pytest.fixture(scope="module")
def photos(folder: Path) -> torch.Tensor:
    """(24,3,112,112) of identities that no run trains on."""
    data = open_data(config(folder, "any").data)
    pixels, _ = read_crops(data.held)
    return torch.from_numpy(pixels[:24]).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher(TEACHER, 112, [STEM, BLOCK])


def test_teacher_gives_the_product_embeddings(photos: torch.Tensor, teacher: Teacher) -> None:
    from arcid.embed import OnnxEmbedder
    from arcid.runtime import open_session
    from arcid.types import Crops

    bundle = resolve(TEACHER)
    embedder = OnnxEmbedder(open_session(bundle.path), bundle.manifest)
    crops = Crops(np.ascontiguousarray(photos.permute(0, 2, 3, 1).numpy()))
    vectors, maps = teacher(photos)
    found = F.normalize(vectors, dim=1).numpy()
    np.testing.assert_allclose(found, embedder.embed(crops).vectors, atol=1e-5)
    assert [tuple(m.shape) for m in maps] == [(24, 64, 56, 56), (24, 64, 28, 28)]
    assert float(maps[0].min()) >= 0


@pytest.mark.parametrize("said_by", ["distil.flip", "manifest"])
def test_a_teacher_that_sums_the_mirror_image_does_so_here(
    said_by: str, folder: Path, photos: torch.Tensor, teacher: Teacher, tmp_path: Path
) -> None:
    plain, maps = teacher(photos[:4])
    mirrored = teacher(photos[:4].flip(3))[0]
    overrides = ["distil.flip=true"]
    if said_by == "manifest":
        bundle = resolve(TEACHER)
        shutil.copy(bundle.path, tmp_path / bundle.manifest.file)
        manifest = {**bundle.manifest.to_dict(), "flip": True}
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        overrides = [f"distil.teachers=[{tmp_path}]"]
    wanted = config(folder, "any", *MAPS, *overrides)
    (summing,) = DistilObjective(wanted, open_data(wanted.data), ALONE).teachers
    found, same_maps = summing(photos[:4])
    torch.testing.assert_close(found, plain + mirrored, rtol=1e-4, atol=1e-4)
    for one, other in zip(maps, same_maps, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def learned(folder: Path) -> Path:
    """A student of 64 photos, a quarter of them without identity."""
    data = open_data(config(folder, "any").data)
    keys = [data.train.key(i) for i in range(len(data.train))]
    named = [data.classes[n] for n in data.train.labels.tolist()]
    lines = [
        f"{k},{who if i % 4 else ''}" for i, (k, who) in enumerate(zip(keys, named, strict=True))
    ]
    (folder / "keep.csv").write_text("\n".join(["key,identity", *lines]) + "\n")
    chosen = (f"data.keep={folder / 'keep.csv'}", "data.identities=0", "data.holdout_identities=0")
    terms = ("distil.relational=1", "distil.margin=0.005", "data.batch=16", "optim.lr=1e-2")
    return train(config(folder, "learned", *chosen, *terms)).run


def test_a_student_nears_its_teacher(learned: Path, folder: Path, teacher: Teacher) -> None:
    with (learned / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    cosines = [float(row["cosine"]) for row in rows]
    assert cosines[-1] > cosines[0] + 0.1
    assert {"relational", "train_accuracy"} <= set(rows[0])
    assert "16 photos without identity" in (learned / "report.txt").read_text()
    pixels, _ = read_crops(open_data(config(folder, "any").data).train)
    shown = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    wanted = teacher(shown)[0]

    def near(backbone: Backbone) -> float:
        # with the norms of these photos: running ones need hundreds of steps
        with torch.no_grad():
            return F.cosine_similarity(backbone.train()(to_input(shown)), wanted).mean().item()

    torch.manual_seed(0)
    before = near(create_backbone("mobilefacenet_relu_x0.5", 128))
    assert near(restore_backbone(learned).backbone) > before + 0.1


def test_effective_rank_says_what_it_was_measured_on(learned: Path) -> None:
    report = measure_student(learned)
    assert (report.dim, report.photos) == (128, 16)
    assert report.which == "without identity, trained on"
    assert 1 < report.effective_rank <= 15


def test_effective_rank_counts_directions() -> None:
    rng = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(32, 32, generator=rng, dtype=torch.float64))[0]
    even = torch.cat([basis[:5], -basis[:5]])
    assert effective_rank(even + 7) == pytest.approx(5, abs=1e-6)
    assert effective_rank(torch.outer(torch.arange(9).double(), basis[0])) == pytest.approx(1)
    uneven = torch.cat([basis[:2] * 3, -basis[:2] * 3, basis[2:3], -basis[2:3]])
    shares = np.array([3, 3, 1]) / 7
    assert effective_rank(uneven) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


def test_relational_term_is_the_mean_over_pairs() -> None:
    rng = torch.Generator().manual_seed(1)
    own = torch.randn(5, 7, generator=rng, dtype=torch.float64).requires_grad_()
    taught = F.normalize(torch.randn(5, 9, generator=rng, dtype=torch.float64), dim=1)
    total = torch.zeros((), dtype=torch.float64)
    for a in range(5):
        for b in range(5):
            if a != b:
                cosine = F.cosine_similarity(own[a], own[b], dim=0)
                total = total + (cosine - taught[a] @ taught[b]) ** 2
    found = relational(own, taught.float())
    assert found.item() == pytest.approx(total.item() / 20, rel=1e-5)
    found.backward()
    assert own.grad is not None
    assert float(own.grad.norm()) > 0


def seen(photos: torch.Tensor, labels: list[int]) -> Seen:
    return Seen(photos[: len(labels)], torch.tensor(labels), np.arange(len(labels)))


def test_the_loss_is_the_sum_of_its_terms(folder: Path, photos: torch.Tensor) -> None:
    def loss(*overrides: str) -> float:
        wanted = config(folder, "terms", "distil.cosine=0", *overrides)
        objective = DistilObjective(wanted, open_data(wanted.data), ALONE)
        torch.manual_seed(0)
        network = objective.network(
            create_backbone("mobilefacenet_relu6_x1.0", 128, stem="separable")
        )
        batch = seen(photos, [0, 1, -1, 2, -1, 3])
        return objective.step(network, batch).loss.item()

    parts = [
        f"distil.{term}" for term in ("cosine=1", "relational=2", "neighbours=3", "margin=0.1")
    ]
    values = [loss(part) for part in parts]
    assert min(values) > 0.01
    assert loss(*parts) == pytest.approx(sum(values), rel=1e-4)
    assert loss(*parts[:1], *MAPS) == pytest.approx(values[0] + loss(*MAPS), rel=1e-4)
    assert loss("distil.cosine=3") == pytest.approx(3 * values[0], rel=1e-5)


def test_two_teachers_each_get_a_map_that_is_thrown_away(folder: Path) -> None:
    run = train(
        config(
            folder, "two", f"distil.teachers=[{TEACHER}, {TEACHER}]", "schedule.steps=2",
            "model.dim=64",
        )
    ).run  # fmt: skip
    from arcid.train.weights.checkpoint import open_checkpoint

    shared = open_checkpoint(run).shared()
    assert {k: tuple(v.shape) for k, v in shared["network"].items()} == {
        "projections.0.weight": (128, 64), "projections.1.weight": (128, 64),
    }  # fmt: skip
    assert not any("projections" in name for name in shared["backbone"])
    assert restore_backbone(run).backbone.dim == 64


@pytest.mark.parametrize("forced", [False, True])
def test_stages_learn_the_teachers_maps(
    forced: bool, photos: torch.Tensor, teacher: Teacher
) -> None:
    maps, inputs = teacher(photos)[1], to_input(photos)
    torch.manual_seed(1)
    backbone = create_backbone("mobilefacenet_relu6_x1.0", 128, stem="separable")
    student = Student(backbone, [128], ["stem", "blocks.0"], forced, 0)
    student.segments[-1] = lambda x: x.new_zeros(len(x), 128)  # the rest would only take time
    optimizer = torch.optim.AdamW(student.parameters(), lr=5e-3)
    errors: list[list[float]] = []
    for start in (0, 8, 16) * 6:
        some = slice(start, start + 8)
        found = student(inputs[some], [m[some] for m in maps])[2]
        errors.append([e.item() for e in found])
        optimizer.zero_grad()
        torch.stack(found).mean().backward()
        optimizer.step()
    assert all(b < 0.6 * a for a, b in zip(errors[0], errors[-1], strict=True)), errors


def test_forced_stages_are_fed_by_the_teacher(photos: torch.Tensor, teacher: Teacher) -> None:
    """With the stem ruined, a forced second stage sees no difference; its own way it does."""
    maps = teacher(photos[:4])[1]
    torch.manual_seed(1)
    backbone = create_backbone("mobilefacenet_relu6_x1.0", 128, stem="separable").eval()
    ways = [Student(backbone, [128], ["stem", "blocks.0"], f, 0).eval() for f in (True, False)]
    with torch.no_grad():
        before = [way(to_input(photos[:4]), maps)[2][1] for way in ways]
        backbone.stem[0].weight.mul_(-1)
        after = [way(to_input(photos[:4]), maps)[2][1] for way in ways]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_positions_cut_the_photos_a_stage_sees() -> None:
    backbone = create_backbone("mobilefacenet_relu6_x1.0", 128, stem="separable")
    student = Student(backbone, [128], ["stem", "blocks.0"], True, 1568)
    assert student.photos((28, 28), 64) == 2
    assert student.photos((7, 7), 64) == 32
    assert student.photos((7, 7), 8) == 8


@pytest.mark.parametrize("forced", [True, False])
def test_photos_beyond_the_positions_change_no_stage_error(
    photos: torch.Tensor, forced: bool
) -> None:
    torch.manual_seed(1)
    backbone = create_backbone("mobilefacenet_relu6_x1.0", 128, stem="separable").eval()
    student = Student(backbone, [128], ["stem", "blocks.0"], forced, 1568).eval()
    x = to_input(photos[:4])
    with torch.no_grad():
        chain = list(backbone.stages().values())
        maps = [chain[0](x) + 1, chain[1](chain[0](x)) - 1]
        counts = [student.photos(wanted.shape[2:], 4) for wanted in maps]
        assert counts[-1] < 4
        before = student(x, maps)[2][1]
        maps[1][counts[-1] :] += 5
        assert student(x, maps)[2][1] == before
        maps[1][: counts[-1]] += 5
        assert student(x, maps)[2][1] != before


def test_stage_error_is_one_for_a_stage_that_does_nothing() -> None:
    rng = torch.Generator().manual_seed(2)
    before, wanted = torch.randn(2, 3, 4, 4, 4, generator=rng).unbind(0)
    assert float(stage_error(before, wanted, before)) == pytest.approx(1)
    assert float(stage_error(wanted, wanted, before)) == 0
    wide = torch.randn(3, 8, 4, 4, generator=rng)
    flat = wide.mean().expand_as(wide)
    assert float(stage_error(flat, wide, before)) == pytest.approx(1, rel=0.02)


def test_mixing_blends_both_sides_and_takes_their_names_away(photos: torch.Tensor) -> None:
    batch = Seen(photos[:8], torch.arange(8), np.arange(8), photos[:8].flip(3))
    torch.manual_seed(3)
    assert mixed(batch, 0.0) is batch
    torch.manual_seed(3)
    weight = torch.rand(2)[1]
    order = torch.randperm(8)
    torch.manual_seed(3)
    found = mixed(batch, 1.0)
    wanted = (1 - weight) * photos[:8].float() + weight * photos[:8][order].float()
    assert float((found.images.float() - wanted).abs().max()) <= 0.5001
    assert found.images.dtype == torch.uint8
    assert found.labels.tolist() == [-1] * 8
    assert found.clean is not None
    assert found.clean.flip(3).equal(found.images)
    torch.manual_seed(0)
    assert sum(mixed(batch, 0.3) is not batch for _ in range(200)) == pytest.approx(60, abs=20)


def test_the_teacher_sees_the_clean_share(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[torch.Tensor, torch.Tensor]] = []
    asked: list[torch.Tensor] = []
    original = DistilObjective.step
    ready = Teacher(TEACHER, 112)

    class Watched:
        def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
            asked.append(images)
            return ready(images)

    def watched(self: DistilObjective, network: Any, seen: Seen) -> Any:
        assert seen.clean is not None
        shown.append((seen.images, seen.clean))
        self.teachers[0] = Watched()  # type: ignore[call-overload]
        step = original(self, network, seen)
        self.teachers[0] = ready
        assert asked.pop() is seen.clean
        return step

    monkeypatch.setattr(DistilObjective, "step", watched)
    train(
        config(
            folder, "clean", "distil.clean=0.5", "augment={blur: 1, flip: 0.5}",
            "schedule.steps=8",
        )
    )  # fmt: skip
    same = torch.cat([(a == b).flatten(1).all(dim=1) for a, b in shown])
    assert len(same) == 64
    assert 16 <= int(same.sum()) <= 48
    sharp = [
        (float(b.float().diff(dim=2).abs().mean()), float(a.float().diff(dim=2).abs().mean()))
        for images, clean in shown
        for a, b in zip(images, clean, strict=True)
        if not a.equal(b)
    ]
    assert all(own > blurred for own, blurred in sharp)


@pytest.fixture(scope="module")
def other(folder: Path) -> Path:
    """A folder with bundles that cannot teach."""
    bundle = resolve(TEACHER)

    def variant(name: str, **changes: Any) -> None:
        place = folder / "bundles" / name
        place.mkdir(parents=True)
        manifest = {**bundle.manifest.to_dict(), "name": name}
        manifest["input"] = {**manifest["input"], **changes.pop("input", {})}
        (place / "manifest.json").write_text(json.dumps({**manifest, **changes}))
        shutil.copy(bundle.path, place / bundle.manifest.file)

    variant("boxed", template="box")
    variant("single", input={"batch": 1})
    variant("cut", sha256="0" * 64)
    return folder / "bundles"


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (("distil.teachers=[mobilefacenet_821]",), "mobilefacenet_821 cannot be used"),
        (("distil.teachers=[scrfd_2.5g]",), "it is a detection model"),
        (("data.size=64",), "it takes 112 px, data.size is 64"),
        (("distil.teachers=['{other}/boxed']",), "cut by their box"),
        (("distil.teachers=['{other}/single']",), "batches of 1 only"),
        (("distil.teachers=['{other}/cut']",), "cannot be used"),
        (("distil.teachers=['{other}/none']",), "cannot be used"),
        (("distil.maps=[stem=/no/Relu_output_0]", "distil.features=1"), "no tensor '/no/Relu"),
        ((f"distil.maps=[stem={BLOCK}]", "distil.features=1"), "compare other stages"),
        ((f"distil.maps=[steam={STEM}]", "distil.features=1"), "it has stem, blocks.0"),
        (
            (f"distil.maps=[blocks.0={BLOCK}, stem={STEM}]", "distil.features=1"),
            "once and in order",
        ),
        ((*MAPS, "model={{backbone: resnet34, dim: 128}}"), "names no stages"),
        (("distil.margin=1", "data.min_images=400", "data.identities=0"), "at least 2 are needed"),
        (("data.per_identity=4",), "draws single photos"),
    ],
)  # fmt: skip
def test_a_teacher_that_cannot_teach_is_told_before_the_first_step(
    overrides: tuple[str, ...], text: str, folder: Path, other: Path
) -> None:
    from arcid.errors import ArcidError, DatasetInvalid

    lines = [o if "{" not in o else o.format(other=other) for o in overrides]
    kind: type[ArcidError] = DatasetInvalid if "min_images" in str(overrides) else ConfigError
    with pytest.raises(kind, match=text.replace("[", r"\[")):
        train(config(folder, "wrong", *lines))
    assert not (folder / "wrong").exists()


def test_stages_alone_cannot_be_learned_by_several_ranks(folder: Path) -> None:
    wanted = config(folder, "alone", *MAPS, "distil.cosine=0")
    data = open_data(wanted.data)
    with pytest.raises(ConfigError, match=r"add distil\.cosine"):
        DistilObjective(wanted, data, Ranks(0, 2, torch.device("cpu")))
    DistilObjective(wanted, data, ALONE)
