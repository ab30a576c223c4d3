"""The training config: what is accepted, what is refused, and the learning rate over a run."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from arcid.errors import ConfigError
from arcid.train.config.file import differences, dump
from arcid.train.config.recipe import (
    DataConfig,
    ScheduleConfig,
    SourceConfig,
    TrainConfig,
    expand_path,
    load_config,
    parse_config,
)
from arcid.train.engine.schedule import LEAST, Length

CONFIGS = Path(__file__).parents[2] / "configs"
OTHERS = ("detect_", "landmarks_", "study_")  # their own tests read them
SHIPPED = sorted(p for p in CONFIGS.glob("*.yaml") if not p.name.startswith(OTHERS))


def test_every_recipe_of_the_issue_is_shipped() -> None:
    assert {path.stem for path in SHIPPED} >= {
        "industrial_r50", "casia_r50", "ms1mv3_r50", "ms1mv3_r100", "subcentre_r50",
        "glint360k_r100", "webface12m_r100", "webface42m_vit_b", "ibug500k_r100",
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
    assert casia.validation.pairs == ms1m.validation.pairs == ("lfw", "cfp_fp", "agedb_30")
    assert industrial.validation.pairs == ()
    webface = load_config(CONFIGS / "webface42m_vit_b.yaml")
    assert (webface.optim.name, webface.optim.lr, webface.optim.weight_decay) == (
        "adamw",
        1e-3,
        0.1,
    )
    assert (webface.schedule.epochs, webface.schedule.warmup, webface.data.batch) == (40, 4, 24576)
    assert (webface.loss.name, webface.classifier.rate, webface.parity) == (
        "cosface", 0.3, "arcface_torch",
    )  # fmt: skip
    ibug = load_config(CONFIGS / "ibug500k_r100.yaml")
    assert (ibug.loss.name, ibug.classifier.rate, ibug.parity) == ("arcface", 0.1, "")


def test_overrides_win_and_may_reach_into_lists() -> None:
    text = "data: {sources: [a.tar, {path: b.tar}], batch: 64}\noptim: {lr: 0.1}"
    config = parse_config(
        text,
        ["optim.lr=5e-3", "out=runs/x", "data.sources.1.path=c.tar", "loss.options.m2=0.3",
         "schedule.milestones=[1, 2]", "schedule.name=step"],
    )  # fmt: skip
    assert config.optim.lr == 0.005
    assert config.out == "runs/x"
    assert config.data.sources == (SourceConfig(path="a.tar"), SourceConfig(path="c.tar"))
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
        ("precision: {graphs: true}", "precision.graphs: needs precision.compile"),
        ("precision: {autocast: int8}", "must be one of fp32, bf16, fp16"),
        ("optim: [1]", "optim: must be a section, got a list"),
        ("schedule: {epochs: 3, steps: 5}", "epochs and steps are both set"),
        ("schedule: {epochs: 3, warmup: 3}", "schedule.warmup"),
        ("schedule: {name: step, epochs: 3, milestones: [2, 1]}", "must rise"),
        ("schedule: {name: step, epochs: 3, milestones: [2, 5]}", "between 0 and 3"),
        ("classifier: {rate: 0.1}", "needs classifier.kind=partial"),
        ("augment: {flip: 1.5}", "augment.flip: must be at least 0 and at most 1"),
        ("data: {cache: memory, worker_kind: process}", "threads only"),
        ("data: {sources: [{format: tar}]}", "data.sources.0: needs path (folder of folders"),
        ("data: {sources: ['']}", "data.sources.0.path: is empty"),
        ("data: {sources: a.tar}", "data.sources: must be a list, got 'a.tar' (text)"),
        ("data: {cache: memry}", "none, memory, got 'memry'; did you mean memory?"),
        ("data: {leave_out: [1]}", "data.leave_out.0: must be text, got 1 (a whole number)"),
        ("optim: {betas: [0.9]}", "optim.betas: must have 2 entries or more"),
        ("optim: {betas: [0.1, 0.2, 0.3]}", "optim.betas: must have 2 entries, got 3"),
        ("optim: {momentum: 1}", "optim.momentum: must be at least 0 and below 1, got 1"),
        ("loss: {options: [m2]}", "loss.options: must be a mapping of names to values, got a list"),
        ("out: 2026-01-01", "out: must be text, got datetime.date(2026, 1, 1)"),
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


def test_every_mistake_of_a_file_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("zz: 1\noptim: {lr: fast}\ndata: {batch: 0}", name="run.yaml")
    assert caught.value.details == {"key": "optim.lr"}
    assert caught.value.message.splitlines()[:3] == [
        "run.yaml: 3 settings are wrong:",
        "  optim.lr: must be a number, got 'fast' (text)",
        "  data.batch: must be at least 1, got 0",
    ]
    assert caught.value.message.splitlines()[3].startswith("  zz: unknown key")
    with pytest.raises(ConfigError, match="and 10 more"):
        parse_config(f"validation: {{pairs: [{'1,' * 30}]}}")


def test_sections_made_in_python_raise_the_same() -> None:
    with pytest.raises(ConfigError, match=r"^batch: must be at least 1") as caught:
        DataConfig(batch=0)
    assert caught.value.details == {"key": "batch"}
    with pytest.raises(ConfigError, match=r"data.batch: must be at least 1"):
        TrainConfig().but(data={"batch": 0})
    with pytest.raises(ConfigError, match="did you mean out"):
        TrainConfig().but(ouut="a")
    assert TrainConfig().but(seed=3) == TrainConfig(seed=3) != TrainConfig()


def test_a_base_is_laid_under_a_file(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/first.yaml").write_text(
        "data: {sources: [a, b], batch: 8}\nloss: {name: cosface, options: {m3: 0.2, s: 20}}\n"
        "optim: {lr: 1}"
    )
    (tmp_path / "second.yaml").write_text(
        "base: parts/first.yaml\ndata: {sources: [c], size: 64}\nloss: {options: {s: 30}}"
    )
    (tmp_path / "third.yaml").write_text(
        "base: second.yaml\ndata: {batch:}\nloss: {name: softmax, options:}\noptim: {lr: 2}"
    )
    second = load_config(tmp_path / "second.yaml", ["data.batch=16"])
    assert second.data == DataConfig(sources=["c"], batch=16, size=64)
    assert second.loss.options == {"m3": 0.2, "s": 30}
    third = load_config(tmp_path / "third.yaml")
    assert third.data == DataConfig(sources=["c"], size=64)  # null: as if the base said nothing
    assert (third.loss.name, third.loss.options, third.optim.lr) == ("softmax", {}, 2)
    assert "base" not in third.to_dict()
    assert parse_config(dump(third)) == third


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("base: none.yaml", "run.yaml: the base none.yaml cannot be read: No such file"),
        ("base: run.yaml", "base: leads back to where it came from: run.yaml → run.yaml"),
        ("base: round.yaml", "run.yaml → round.yaml → run.yaml"),
        ("base: wrong.yaml", "wrong.yaml, line 1 is not valid YAML"),
        ("base: list.yaml", "list.yaml must be a mapping of sections, got a list"),
        ("base: [run.yaml]", "run.yaml: base: must be a file, got a list"),
        ("base: typo.yaml", "run.yaml on typo.yaml: optim.lrr: unknown key"),
        ("base: ${NOWHERE}/a.yaml", "NOWHERE"),
    ],
)
def test_a_base_that_is_none_is_refused(tmp_path: Path, text: str, says: str) -> None:
    for name, content in {
        "run": text, "round": "base: run.yaml", "wrong": "a: {", "list": "[a]",
        "typo": "optim: {lrr: 1}",
    }.items():  # fmt: skip
        (tmp_path / f"{name}.yaml").write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "run.yaml")
    assert says in caught.value.message


def test_a_recipe_is_built_without_yaml() -> None:
    code = (
        "import sys; sys.modules['yaml'] = None\n"
        "from arcid.errors import MissingExtra\n"
        "from arcid.train.config.recipe import TrainConfig, load_config\n"
        "assert TrainConfig(data={'batch': 4}).data.batch == 4\n"
        "try: load_config(sys.argv[1])\n"
        "except MissingExtra as error: print(error.message)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(SHIPPED[0])], capture_output=True, text=True, check=True
    )
    assert "arcid[train]" in told.stdout


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
    new = old.but(out="b", optim=old.optim.but(lr=0.2))
    assert differences(old.to_dict(), new.to_dict(), ignore=["out"]) == ["optim.lr: 0.1 → 0.2"]


def rate(config: ScheduleConfig, step: int, batch: int, photos: int) -> float:
    return Length(config, batch, photos).rate(step, 0.0, step * batch)


def test_cosine_with_warmup_follows_the_closed_form() -> None:
    config = ScheduleConfig(name="cosine", steps=100, warmup=10, final=0.05)
    rates = [rate(config, step, 32, 999) for step in range(101)]
    for step, found in enumerate(rates):
        if step < 10:
            assert found == pytest.approx((step + 1) / 10)
        else:
            half = math.cos(math.pi * (step - 10) / 90 / 2) ** 2  # (1 + cos 2x) / 2 = cos² x
            assert found == pytest.approx(0.05 + 0.95 * half, abs=1e-12)


def test_poly_follows_the_closed_form() -> None:
    config = ScheduleConfig(name="poly", epochs=4, power=2)
    length = Length(config, batch=8, photos=100)
    assert not length.over(49, 0.0, 49 * 8)
    assert length.over(50, 0.0, 50 * 8)
    for step in range(50):
        assert rate(config, step, 8, 100) == pytest.approx(((50 - step) / 50) ** 2)


def test_steps_fall_at_the_update_that_reaches_the_milestone() -> None:
    config = ScheduleConfig(name="step", epochs=32, milestones=(20, 28))
    batch, photos = 512, 490_623  # CASIA-WebFace: no whole number of batches
    first = math.ceil(20 * photos / batch)
    second = math.ceil(28 * photos / batch)
    assert rate(config, first - 1, batch, photos) == 1
    assert rate(config, first, batch, photos) == pytest.approx(0.1)
    assert rate(config, second - 1, batch, photos) == pytest.approx(0.1)
    assert rate(config, second, batch, photos) == pytest.approx(0.01)
    even = ScheduleConfig(name="step", epochs=3, milestones=(1, 2))
    assert [rate(even, s, 10, 70) for s in (6, 7, 13, 14)] == pytest.approx([1, 0.1, 0.1, 0.01])


def test_minutes_go_by_the_clock_and_a_run_needs_a_length() -> None:
    timed = Length(ScheduleConfig(name="cosine", minutes=2, warmup=0.5), 10, 70)
    assert timed.rate(3, 15.0, 30) == pytest.approx(0.5)
    assert timed.rate(3, 0.0, 30) == timed.rate(3, 120.0, 30) == LEAST
    assert timed.share(3, 60.0, 30) == 0.5
    with pytest.raises(ConfigError, match="no length"):
        Length(ScheduleConfig(), 10, 70)
