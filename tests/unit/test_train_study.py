"""The comparative study: the rule for a winner exactly, and tiny real runs end to end."""

from __future__ import annotations

import json
import math
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from arcid.errors import (  # noqa: E402
    CheckpointMismatch,
    ConfigError,
    DatasetInvalid,
    InvalidArray,
)
from arcid.evaluate.bootstrap import identity_weights  # noqa: E402
from arcid.evaluate.metrics import threshold_at_fmr  # noqa: E402
from arcid.evaluate.pairs import PairScores  # noqa: E402
from arcid.train.study.config import StudyConfig, load_study, parse_study  # noqa: E402
from arcid.train.study.measure import (  # noqa: E402
    Photos,
    check_strangers,
    closed_set,
    verification,
)
from arcid.train.study.ranking import rank, seed_bootstrap, student_factor  # noqa: E402
from arcid.train.study.report import document, record  # noqa: E402
from arcid.train.study.result import StudyResult  # noqa: E402
from arcid.train.study.run import run_study  # noqa: E402

pytestmark = pytest.mark.training

ROOT = Path(__file__).parents[2]
BASE = """
data:
  sources: ["%(tar)s"]
  min_images: 10
  size: 32
  max_images: 16
  holdout: 0.2
  holdout_identities: 10
  batch: 16
  workers: 0
model: {backbone: mobilefacenet_relu_x0.5, dim: 16}
loss: {name: arcface, options: {m2: 0.1, s: 7}}
optim: {lr: 0.02}
schedule: {name: cosine, steps: 4}
validation: {every: 0}
checkpoint: {every: 1000, keep: 1}
"""
STUDY = """
base: %(base)s
out: %(out)s
losses: [{name: arcface, label: ArcFace .3, options: {m2: 0.3, s: 16}},
         {name: triplet_semihard, set: [data.per_identity=4]}]
identities: [4, 8]
seeds: [1, 2]
replicates: 100
photos_each: 5
"""


@pytest.fixture(scope="module")
def tar(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen photos each of twenty people."""
    path = tmp_path_factory.mktemp("crops") / "few.tar"
    counts: dict[str, int] = {}
    with (
        tarfile.open(data_dir / "data/train/vgg.tar") as all_of_them,
        tarfile.open(path, "w") as few,
    ):
        for member in all_of_them:
            who = member.name.split("/")[0]
            if not member.isfile() or (who not in counts and len(counts) == 20):
                continue
            counts[who] = counts.get(who, 0) + 1
            if counts[who] <= 16:
                few.addfile(member, all_of_them.extractfile(member))
    return path


def written(folder: Path, tar: Path, study: str = STUDY) -> str:
    """The base beside the study; the study's text."""
    (folder / "base.yaml").write_text(BASE % {"tar": tar})
    return study % {"base": folder / "base.yaml", "out": folder / "out"}


@pytest.fixture(scope="module")
def small(tar: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResult, str]:
    text = written(tmp_path_factory.mktemp("study"), tar)
    return run_study(parse_study(text)), text


# --- the rule --------------------------------------------------------------------------------


def noisy(values: dict[str, float], spread: float, common: float = 0.0) -> dict[str, Any]:
    """Replicates about each value, with a part that all share."""
    rng = np.random.default_rng(5)
    shared = common * rng.normal(size=2000)
    return {name: v + shared + spread * rng.normal(size=2000) for name, v in values.items()}


def test_only_a_separated_leader_wins() -> None:
    values = {"b": 0.80, "a": 0.90, "c": 0.79}
    found = rank(values, noisy(values, 0.01))
    assert found.names == ("a", "b", "c")
    assert (found.winner, found.leaders) == ("a", ("a",))
    assert [found.places(name) for name in "abc"] == [(1, 1), (2, 3), (2, 3)]
    assert found.above("c") == ("a",)
    assert found.below("a") == ("b", "c")


def test_nobody_wins_where_intervals_hold_zero() -> None:
    values = {"a": 0.90, "b": 0.89, "c": 0.50}
    found = rank(values, noisy(values, 0.02))
    assert found.winner is None
    assert found.leaders == ("a", "b")
    assert found.places("c") == (3, 3)
    assert found.to_dict()["winner"] is None


def test_no_interval_leads_beyond_what_a_rate_can_be() -> None:
    values = {"a": 0.98, "b": 0.03}
    found = rank(values, noisy(values, 0.05)).values
    assert (found["a"].high, found["b"].low) == (1.0, 0.0)
    assert 0.8 < found["a"].low < 0.98 and 0.03 < found["b"].high < 0.2


def test_what_all_share_does_not_hide_a_difference() -> None:
    """People hard for everybody widen each interval, not that of a difference."""
    values = {"a": 0.90, "b": 0.85}
    found = rank(values, noisy(values, 0.005, common=0.2))
    assert found.values["a"].low < found.values["b"].high
    assert found.winner == "a"


def test_differences_are_max_t_intervals_rederived() -> None:
    values = {"a": 0.9, "b": 0.88, "c": 0.85}
    samples = noisy(values, 0.01)
    found = rank(values, samples)
    gaps = {p: samples[p[0]] - samples[p[1]] for p in (("a", "b"), ("a", "c"), ("b", "c"))}
    error = {p: math.sqrt(np.var(gap, ddof=1)) for p, gap in gaps.items()}
    largest = [
        max(abs(gap[b] - gap.mean()) / error[p] for p, gap in gaps.items()) for b in range(2000)
    ]
    critical = np.percentile(largest, 95)
    assert 2.2 < critical < 2.6  # three correlated comparisons: between 1.96 and Bonferroni's 2.39
    for pair, gap in found.differences.items():
        value = values[pair[0]] - values[pair[1]]
        assert gap.low == pytest.approx(value - critical * error[pair])
        assert gap.high == pytest.approx(value + critical * error[pair])


def test_replicates_without_a_number_count_for_nobody() -> None:
    values = {"a": 0.9, "b": 0.8}
    samples = noisy(values, 0.01)
    holed = {name: own.copy() for name, own in samples.items()}
    holed["a"][::2] = np.nan
    even = {name: own[1::2] for name, own in samples.items()}
    assert rank(values, holed).to_dict() == rank(values, even).to_dict()


def test_equals_are_not_separate() -> None:
    same = np.full(100, 0.5)
    found = rank({"a": 0.5, "b": 0.5}, {"a": same, "b": same})
    assert (found.winner, found.leaders) == (None, ("a", "b"))


@pytest.mark.parametrize("values", [{"a": 1.0}, {"a": 1.0, "b": 0.5}])
def test_ranking_refuses_what_does_not_match(values: dict[str, float]) -> None:
    with pytest.raises(InvalidArray, match="two names or more"):
        rank(values, {"a": np.zeros(10)})


def test_seeds_add_the_variance_of_their_mean() -> None:
    """Without any effect of people: Var = pooled unbiased variance / S, times Student's factor²."""
    runs = {"a": [0.1, 0.2, 0.6], "b": [0.5, 0.4, 0.9]}
    found = seed_bootstrap({n: [np.full(40_000, v) for v in own] for n, own in runs.items()})
    pooled = np.mean([np.var(own, ddof=1) for own in runs.values()])
    wanted = student_factor(4) * math.sqrt(pooled / 3)
    for name, own in runs.items():
        assert found[name].mean() == pytest.approx(np.mean(own), abs=3e-3)
        assert found[name].std() == pytest.approx(wanted, rel=0.02)
    assert abs(np.corrcoef(found["a"], found["b"])[0, 1]) < 0.02  # seeds of two losses are not one


def test_one_seed_leaves_people_alone() -> None:
    own = np.linspace(0, 1, 50)
    assert seed_bootstrap({"a": [own]})["a"].tolist() == own.tolist()
    with pytest.raises(InvalidArray, match="same"):
        seed_bootstrap({"a": [own], "b": [own, own]})


def test_student_factor() -> None:
    from scipy.stats import t

    for freedom, within in ((2, 0.035), (4, 0.003), (6, 0.001), (20, 1e-4)):
        exact = t.ppf(0.975, freedom) / 1.959964
        assert student_factor(freedom) == pytest.approx(exact, rel=within)


def test_equal_losses_are_seldom_separated() -> None:
    """Five losses that differ by seeds only, three seeds: about one study in twenty errs."""
    rng = np.random.default_rng(2)
    wrong = 0
    for trial in range(150):
        runs = {str(i): rng.normal(size=3) for i in range(5)}
        samples = seed_bootstrap(
            {name: [np.full(300, v) for v in own] for name, own in runs.items()}, seed=trial
        )
        found = rank({name: float(own.mean()) for name, own in runs.items()}, samples)
        wrong += any(gap.separate for gap in found.differences.values())
    assert wrong <= 22  # 5 % would be 7 or 8; resampling each loss's own seeds gives about 105


# --- measuring -------------------------------------------------------------------------------


def test_closed_set_is_the_nearest_class_mean_without_the_photo_itself() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(4), 5)
    vectors = rng.normal(size=(20, 6)) + 1.2 * np.eye(6)[labels]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    other_labels = np.array([0, 1, 2, 3, 3])
    other = vectors[[1, 6, 11, 16, 0]]
    found = closed_set(vectors.astype(np.float32), labels, other.astype(np.float32), other_labels)

    def nearest(vector: Any, leave: int | None) -> int:
        means = []
        for k in range(4):
            mine = [vectors[i] for i in range(20) if labels[i] == k and i != leave]
            mean = np.sum(mine, axis=0)
            means.append(mean @ vector / np.linalg.norm(mean))
        return int(np.argmax(means))

    wanted = np.mean([nearest(vectors[i], i) == labels[i] for i in range(20)])
    assert found[0] == pytest.approx(wanted)
    assert 0.3 < found[0] < 1
    right = [nearest(v, None) == k for v, k in zip(other, other_labels, strict=True)]
    assert found[1] == pytest.approx(np.mean(right))


def test_closed_set_leaves_out_what_cannot_be_known() -> None:
    one = np.eye(3, dtype=np.float32)
    nothing = np.zeros((0, 3), np.float32)
    found = closed_set(one, np.arange(3), nothing, np.zeros(0, np.int64))
    assert all(math.isnan(value) for value in found)


def test_verification_draws_the_same_people_for_every_network() -> None:
    """TAR of replicate b, by hand, from people drawn by ``identity_weights``."""
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(12), 6)
    pixels = rng.integers(0, 256, (72, 8, 8, 3), dtype=np.uint8)
    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5))
    found = verification(network, Photos(pixels, labels), 0.05, replicates=20, seed=3)
    again = verification(network, Photos(pixels, labels), 0.05, replicates=20, seed=3)
    assert found.samples.tolist() == again.samples.tolist()

    inputs = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127.5) / 127.5
    vectors = torch.nn.functional.normalize(network(inputs)).detach().numpy()
    a, b = np.triu_indices(72, 1)
    scores = (vectors @ vectors.T)[a, b]
    pairs = PairScores(scores, labels[a] == labels[b], labels[a], labels[b])
    threshold = threshold_at_fmr(pairs.impostor, 0.05)
    assert found.tar == pytest.approx((pairs.genuine >= threshold).mean(), abs=1e-6)
    weights = identity_weights(12, 20, 3)
    people = [p for p in range(12) for _ in range(int(weights[0, p]))]
    genuine = np.concatenate([pairs.scores[pairs.same & (pairs.first == p)] for p in people])
    impostor = np.concatenate(
        [
            pairs.scores[(pairs.first == a) & (pairs.second == b) & ~pairs.same]
            for i, a in enumerate(people)
            for b in people
            if a < b
        ]
    )
    own = threshold_at_fmr(impostor, 0.05)
    assert found.samples[0] == pytest.approx((genuine >= own).mean(), abs=1e-6)


def test_strangers_must_make_pairs() -> None:
    pixels = np.zeros((3, 8, 8, 3), np.uint8)
    with pytest.raises(DatasetInvalid, match="holdout_identities"):
        check_strangers(Photos(pixels, np.arange(3)))
    with pytest.raises(ConfigError, match="photos_each"):
        check_strangers(Photos(np.zeros((4001, 1, 1, 3), np.uint8), np.arange(4001) // 3))


# --- what a study may compare ------------------------------------------------------------------


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def text(**changes: str) -> str:
        (tmp_path / "base.yaml").write_text(BASE % {"tar": "few.tar"})
        lines = {
            "base": str(tmp_path / "base.yaml"),
            "out": str(tmp_path / "out"),
            "losses": "[softmax, arcface]",
            **changes,
        }
        return "\n".join(f"{key}: {value}" for key, value in lines.items())

    return text


def test_every_run_is_the_base_but_for_loss_seed_and_identities(write: Callable[..., str]) -> None:
    study = parse_study(write(losses="[softmax, {name: cosface, options: {m3: 0.2}}]",
                              identities="[4, 0]", set="[data.batch=32]"))  # fmt: skip
    assert len(study.runs()) == 2 * 2 * 3
    configs = [study.run_config(*run) for run in study.runs()]
    assert len({config.out for config in configs}) == 12
    assert {config.data.batch for config in configs} == {32}
    assert {config.data.split_seed for config in configs} == {1}
    soft, cos = configs[0], configs[1]
    assert (soft.loss.name, dict(soft.loss.options)) == ("softmax", {})  # none of the base's
    assert (cos.loss.name, dict(cos.loss.options)) == ("cosface", {"m3": 0.2})
    assert {(config.data.identities, config.seed) for config in configs} == {
        (n, seed) for n in (4, 0) for seed in (1, 2, 3)
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": "[arcface]"}, "two or more"),
        ({"losses": "[arcface, {name: arcface, options: {m2: 0.3}}]"}, "label"),
        ({"losses": "[arcface, {name: softmax, set: [data.batch=99]}]"}, "another run"),
        ({"losses": "[arcface, {name: softmax, set: [schedule.steps=99]}]"}, "another run"),
        ({"losses": "[arcface, arcfase]"}, "no loss is called"),
        ({"seeds": "[1, 1]"}, "different"),
        ({"identities": "[8, 4]"}, "grow"),
        ({"identities": "[0, 8]"}, "grow"),
        ({"set": "[seed=4]"}, "decided by the study"),
        ({"set": "[data.identities=4]"}, "decided by the study"),
        ({"set": "[data.btach=4]"}, "did you mean data.batch"),
        ({"set": '["schedule={epochs: 3}"]'}, "same budget"),
        ({"set": "[data.holdout_identities=0]"}, "holdout_identities"),
        ({"fmr": "0"}, "fmr"),
        ({"sedes": "[1]"}, "did you mean seeds"),
    ],
)
def test_mistakes_are_named_before_anything_runs(
    write: Callable[..., str], changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_study(write(**changes))


def test_a_missing_study_and_base_are_named(tmp_path: Path, write: Callable[..., str]) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read"):
        load_study(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match=r"gone\.yaml cannot be read"):
        parse_study(write().replace("base.yaml", "gone.yaml"))


def test_the_shipped_study_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    study: StudyConfig = load_study("configs/study_small.yaml")
    assert len(study.seeds) >= 3
    config = study.run_config(*study.runs()[-1])
    assert config.schedule.steps > 0
    assert not any("lfw" in source.path for source in config.data.sources)


# --- a whole study -----------------------------------------------------------------------------


@pytest.mark.data
def test_all_runs_have_one_budget_and_are_measured(small: tuple[StudyResult, str]) -> None:
    result, _ = small
    assert [found.identities for found in result.rounds] == [4, 8]
    assert result.strangers == (10, 50)
    runs = [run for found in result.rounds for run in found.runs]
    assert len(runs) == 8
    assert {(run.steps, run.photos) for run in runs} == {(4, 64)}
    assert all(0 <= run.tar <= 1 and 0.3 < run.auc < 0.9 for run in runs)
    assert all(run.samples.shape == (100,) for run in runs)
    assert len({run.auc for run in runs}) == 8  # eight networks, not one measured eight times
    assert all(0 < run.holdout_accuracy < 1 for run in runs)
    for found in result.rounds:
        for name in found.ranking.names:
            mean = np.mean([run.tar for run in found.of(name)])
            assert found.ranking.values[name].value == pytest.approx(mean)
            assert found.ranking.values[name].low <= mean <= found.ranking.values[name].high


@pytest.mark.data
def test_the_report_says_what_was_found(small: tuple[StudyResult, str]) -> None:
    result, _ = small
    page = (result.folder / "report.html").read_text("utf-8")
    text = (result.folder / "report.md").read_text("utf-8")
    kept = json.loads((result.folder / "report.json").read_text("utf-8"))
    for words in ("ArcFace .3", "triplet_semihard", "placed above", "never trained on"):
        assert words in page
        assert words in text
    assert result.statement in text
    assert "<svg" in page
    assert "data:image" not in page
    assert len(kept["rounds"][1]["runs"]) == 4
    assert kept["winner"] == record(result)["winner"] == result.winner
    titles = [figure.title for figure in document(result).figures]
    assert sum("Closed set" in title for title in titles) == 2
    warned = document(result).warnings
    assert any("seed" in line for line in warned)
    assert any("10 people" in line for line in warned)


@pytest.mark.data
def test_a_study_goes_on_without_training_again(small: tuple[StudyResult, str]) -> None:
    before, text = small
    newest = {path: path.stat().st_mtime_ns for path in before.folder.rglob("step-*")}
    after = run_study(parse_study(text))
    assert {path: path.stat().st_mtime_ns for path in before.folder.rglob("step-*")} == newest
    assert [f.ranking.to_dict() for f in after.rounds] == [
        f.ranking.to_dict() for f in before.rounds
    ]


@pytest.mark.data
@pytest.mark.parametrize("other", ["schedule.steps=8", "schedule.steps=2", "optim.accumulate=2"])
def test_a_study_does_not_mix_runs_of_two_kinds(small: tuple[StudyResult, str], other: str) -> None:
    changed = parse_study(f"{small[1]}set: [{other}]\n")
    with pytest.raises(CheckpointMismatch, match=other.partition("=")[0]):
        run_study(changed)


@pytest.mark.data
def test_too_few_identities_for_a_triplet_batch_show_before_training(
    tar: Path, tmp_path: Path
) -> None:
    text = written(tmp_path, tar, STUDY.replace("[4, 8]", "[3, 8]"))
    with pytest.raises(ConfigError, match="draws 4 identities a step"):
        run_study(parse_study(text))
    assert not (tmp_path / "out").exists()


@pytest.mark.data
def test_several_ranks_are_refused(
    small: tuple[StudyResult, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="without torchrun"):
        run_study(parse_study(small[1]))
