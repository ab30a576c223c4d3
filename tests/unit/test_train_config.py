"""The training config: what is accepted, what is refused, and the learning rate over a run."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from arcid.errors import ConfigError, UsageError
from arcid.train.config.file import differences, dump, to_dict
from arcid.train.config.recipe import (
    ScheduleConfig,
    SourceConfig,
    TrainConfig,
    expand_path,
    load_config,
    parse_config,
)
from arcid.train.engine.schedule import rate_at_step, rate_factor, total_steps

CONFIGS = Path(__file__).parents[2] / "configs"
OTHERS = ("detect_", "study_")  # their own tests read them
SHIPPED = sorted(p for p in CONFIGS.glob("*.yaml") if not p.name.startswith(OTHERS))


def test_every_recipe_of_the_issue_is_shipped() -> None:
    assert {path.stem for path in SHIPPED} >= {
        "industrial_r50", "casia_r50", "ms1mv3_r50", "ms1mv3_r100", "subcentre_r50",
        "mobilefacenet", "small", "smoke",
    }  # fmt: skip


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_configs_parse_and_name_what_exists(path: Path) -> None:
    from arcid.train.backbones import create_backbone
    from arcid.train.objectives.losses import loss_spec

    config = load_config(path)
    assert parse_config(dump(config)) == config
    assert config.schedule.length > 0
    assert config.data.sources
    assert config.out == f"runs/{path.stem}"
    loss_spec(config.loss.name, **config.loss.options)
    with torch.device("meta"):
        create_backbone(
            config.model.backbone, config.model.dim, size=config.data.size, **config.model.options
        )


def test_recipes_hold_the_published_numbers() -> None:
    casia = load_config(CONFIGS / "casia_r50.yaml")
    assert (casia.schedule.milestones, casia.schedule.epochs) == ((20, 28), 32)
    assert (casia.data.batch, casia.optim.lr, casia.optim.momentum) == (512, 0.1, 0.9)
    assert casia.optim.weight_decay == 5e-4
    ms1m = load_config(CONFIGS / "ms1mv3_r100.yaml")
    assert (ms1m.schedule.milestones, ms1m.schedule.epochs) == ((8, 14), 18)
    assert ms1m.model.backbone == "iresnet100"
    industrial = load_config(CONFIGS / "industrial_r50.yaml")
    assert (industrial.data.identities, industrial.schedule.epochs) == (3000, 100)
    assert industrial.loss.options == {"m2": 0.5, "s": 64}


def test_overrides_win_and_may_reach_into_lists() -> None:
    text = "data: {sources: [a.tar, {path: b.tar}], batch: 64}\noptim: {lr: 0.1}"
    config = parse_config(
        text,
        ["optim.lr=5e-3", "out=runs/x", "data.sources.1.path=c.tar", "loss.options.m2=0.3",
         "schedule.milestones=[1, 2]", "schedule.name=step"],
    )  # fmt: skip
    assert config.optim.lr == 0.005
    assert config.out == "runs/x"
    assert config.data.sources == (SourceConfig("a.tar"), SourceConfig("c.tar"))
    assert config.data.batch == 64
    assert config.loss.options == {"m2": 0.3}
    assert config.schedule.milestones == (1.0, 2.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("optim: {learning_rate: 0.1}", "optim.learning_rate: unknown key; known: name, lr"),
        ("optim: {weight_decy: 0.1}", "did you mean optim.weight_decay?"),
        ("optimm: {lr: 0.1}", "did you mean optim?"),
        ("lr: 0.1", "there is optim.lr"),
        ("data: {sources: [{path: a, labeled: true}]}", "did you mean data.sources.0.labelled?"),
        ("optim: {lr: fast}", "optim.lr: must be a number, got 'fast' (text)"),
        ("optim: {lr: .nan}", "finite"),
        ("optim: {lr: yes}", "optim.lr: must be a number, got True (true/false)"),
        ("data: {batch: 12.5}", "data.batch: must be a whole number"),
        ("data: {batch: 0}", "data.batch: must be at least 1"),
        ("precision: {compile: 1}", "precision.compile: must be true or false"),
        ("precision: {autocast: int8}", "must be one of fp32, bf16, fp16"),
        ("optim: [1]", "optim: must be a section, got a list"),
        ("schedule: {epochs: 3, steps: 5}", "epochs and steps are both set"),
        ("schedule: {epochs: 3, warmup: 3}", "schedule.warmup"),
        ("schedule: {name: step, epochs: 3, milestones: [2, 1]}", "must rise"),
        ("schedule: {name: step, epochs: 3, milestones: [2, 5]}", "between 0 and 3"),
        ("classifier: {rate: 0.1}", "needs classifier.kind=partial"),
        ("augment: {flip: 1.5}", "augment.flip: is a share"),
        ("data: {cache: memory, worker_kind: process}", "threads only"),
        ("data: {sources: [{format: tar}]}", "data.sources.0: needs path"),
        ("optim: {lr: 1}\noptim: {lr: 2}", "line 2 is not valid YAML: the key 'optim' is given"),
        ("optim: {lr: [}", "is not valid YAML"),
        ("- 1", "must be a mapping of sections, got a list"),
        ("out: !!python/object/apply:os.getcwd []", "is not valid YAML"),
    ],
)
def test_a_wrong_config_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="run.yaml")
    assert caught.value.message.startswith("run.yaml")
    assert says in caught.value.message


@pytest.mark.parametrize("override", ["optim.lr", "=3", "optim.lr.x=3", "data.sources.4.path=x"])
def test_a_wrong_override_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="override"):
        parse_config("optim: {lr: 0.1}\ndata: {sources: [a]}", [override])


def test_a_missing_config_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_paths_take_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCID_DATA", "there")
    monkeypatch.setenv("OTHER", "elsewhere")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert expand_path("${ARCID_DATA}/x.tar") == Path("there/x.tar")
    assert expand_path("$OTHER/y") == Path("elsewhere/y")
    with pytest.raises(ConfigError, match="NOWHERE"):
        expand_path("${NOWHERE}/x")


def test_differences_name_the_keys() -> None:
    old = TrainConfig()
    new = dataclasses.replace(old, out="b", optim=dataclasses.replace(old.optim, lr=0.2))
    assert differences(to_dict(old), to_dict(new), ignore=["out"]) == ["optim.lr: 0.1 → 0.2"]


def test_cosine_with_warmup_follows_the_closed_form() -> None:
    config = ScheduleConfig("cosine", steps=100, warmup=10, final=0.05)
    rates = [rate_at_step(config, step, 32, 999) for step in range(100)]
    for step, rate in enumerate(rates):
        if step < 10:
            assert rate == pytest.approx((step + 1) / 10)
        else:
            half = math.cos(math.pi * (step - 10) / 90 / 2) ** 2  # (1 + cos 2x) / 2 = cos² x
            assert rate == pytest.approx(0.05 + 0.95 * half, abs=1e-12)
    assert rate_factor(config, 100) == pytest.approx(0.05)


def test_poly_follows_the_closed_form() -> None:
    config = ScheduleConfig("poly", epochs=4, power=2)
    assert total_steps(config, batch=8, photos=100) == 50
    for step in range(50):
        assert rate_at_step(config, step, 8, 100) == pytest.approx(((50 - step) / 50) ** 2)


def test_steps_fall_at_the_update_that_reaches_the_milestone() -> None:
    config = ScheduleConfig("step", epochs=32, milestones=(20, 28))
    batch, photos = 512, 490_623  # CASIA-WebFace: no whole number of batches
    first = math.ceil(20 * photos / batch)
    second = math.ceil(28 * photos / batch)
    assert rate_at_step(config, first - 1, batch, photos) == 1
    assert rate_at_step(config, first, batch, photos) == pytest.approx(0.1)
    assert rate_at_step(config, second - 1, batch, photos) == pytest.approx(0.1)
    assert rate_at_step(config, second, batch, photos) == pytest.approx(0.01)
    even = ScheduleConfig("step", epochs=3, milestones=(1, 2))
    assert [rate_at_step(even, s, 10, 70) for s in (6, 7, 13, 14)] == pytest.approx(
        [1, 0.1, 0.1, 0.01]
    )


def test_minutes_have_no_steps_and_a_run_needs_a_length() -> None:
    timed = ScheduleConfig("cosine", minutes=2, warmup=0.5)
    assert rate_factor(timed, 0.25) == pytest.approx(0.5)
    assert rate_factor(timed, 2) == pytest.approx(0, abs=1e-12)
    with pytest.raises(UsageError):
        rate_at_step(timed, 3, 10, 70)
    with pytest.raises(UsageError, match="no length"):
        rate_factor(ScheduleConfig(), 1)
