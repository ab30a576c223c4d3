"""Sub-centre purification: the rule exactly, noise on purpose, and real runs end to end."""

from __future__ import annotations

import csv
import json
import math
import stat
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image as Pil  # noqa: E402
from wrong_labels import (  # noqa: E402
    Listed,
    add_outliers,
    flip_identities,
    listed,
    write_list,
)

from arcid.errors import (  # noqa: E402
    CheckpointMismatch,
    ConfigError,
    DatasetInvalid,
    InvalidArray,
)
from arcid.train.clean import CleanResult, Rule, clean, judge  # noqa: E402
from arcid.train.clean.report import document, record  # noqa: E402
from arcid.train.config.recipe import TrainConfig, parse_config  # noqa: E402
from arcid.train.data.crops import centre  # noqa: E402
from arcid.train.data.dataset import open_data  # noqa: E402
from arcid.train.recogniser.job import train  # noqa: E402
from arcid.train.weights.checkpoint import open_checkpoint  # noqa: E402

pytestmark = pytest.mark.training

CONFIG = """
data:
  sources: ["%(tar)s"]
  min_images: 3
  holdout_identities: 2
  holdout: 0.1
  size: 32
  batch: 16
  workers: 0
model: {backbone: mobilefacenet_relu_x0.5, dim: 16}
loss: {name: subcenter_arcface, options: {m2: 0.1, s: 16, k: 3}}
optim: {lr: 0.05, ema: 0.9}
schedule: {name: cosine, steps: 12}
validation: {every: 0}
checkpoint: {every: 1000, keep: 1}
out: %(out)s
"""
PHOTOS = (24, 24, 24, 24, 8, 8, 2)  # of seven people; the last has too few to train on


@pytest.fixture(scope="module")
def tar(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crops") / "few.tar"
    wanted: dict[str, int] = {}
    with tarfile.open(data_dir / "data/train/vgg.tar") as whole, tarfile.open(path, "w") as few:
        for member in whole:
            who = member.name.split("/")[0]
            if not member.isfile() or (who not in wanted and len(wanted) == len(PHOTOS)):
                continue
            wanted.setdefault(who, PHOTOS[len(wanted)] if who not in wanted else 0)
            if wanted[who] > 0:
                wanted[who] -= 1
                few.addfile(member, whole.extractfile(member))
    return path


@pytest.fixture(scope="module")
def config(tar: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    out = tmp_path_factory.mktemp("run") / "sub"
    return parse_config(CONFIG % {"tar": tar, "out": out})


@pytest.fixture(scope="module")
def angles(config: TrainConfig) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Any]:
    """Cosines of every trained photo to its own sub-centres, computed by hand; labels; data."""
    checkpoint = open_checkpoint(train(config).checkpoint)
    data = open_data(config.data)
    from arcid.train.weights.restore import backbone_of

    network = backbone_of(config)
    network.load_state_dict(checkpoint.shared()["backbone"])
    network.eval()
    crops = np.stack([centre(data.train.store.read(int(r)), 32) for r in data.train.rows])
    inputs = (torch.from_numpy(crops).permute(0, 3, 1, 2).float() - 127.5) / 127.5
    with torch.no_grad():
        features = torch.nn.functional.normalize(network(inputs)).double().numpy()
    weight = checkpoint.rank(0)["classifier"]["weight"].double().numpy()
    weight /= np.linalg.norm(weight, axis=2, keepdims=True)
    labels = data.train.labels
    return np.einsum("nd,nkd->nk", features, weight[labels]), labels, data


@pytest.fixture(scope="module")
def found(config: TrainConfig, angles: Any) -> CleanResult:
    """Cleaned at the smallest angle that leaves every judged identity seven tenths of its photos.

    Identities emptied by an unlearned network would change which ones are held out next time.
    """
    cosines, labels, _ = angles
    limits = []
    for who in np.flatnonzero(np.bincount(labels) >= 20):
        own = cosines[labels == who]
        dominant = Counter(own.argmax(axis=1).tolist()).most_common(1)[0][0]
        limits.append(np.quantile(np.degrees(np.arccos(own[:, dominant])), 0.7))
    assert 0 < len(limits) < len(np.bincount(labels))
    return clean(config, rule=Rule(float(max(limits)), 20))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# --- the rule --------------------------------------------------------------------------------

COS_75 = math.cos(math.radians(75))


def test_the_dominant_sub_centre_is_the_one_most_photos_are_nearest_to() -> None:
    cosines = [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.2, 0.7, 0.0], [0.3, 0.95, 0.0], [0.6, 0.5, 0.0]]
    found = judge(cosines, [0] * 5, 1, Rule(min_photos=5))
    assert found.nearest.tolist() == [0, 0, 1, 1, 0]
    assert (found.dominant.tolist(), found.share.tolist()) == ([0], [0.6])
    assert found.angle_deg == pytest.approx(np.degrees(np.arccos([0.9, 0.8, 0.2, 0.3, 0.6])))
    assert found.keep.tolist() == [True, True, False, True, True]  # 0.2 is 78.5°, 0.3 is 72.5°


def test_nearness_to_another_sub_centre_does_not_save_a_photo() -> None:
    found = judge([[0.9, 0.0], [0.9, 0.0], [0.1, 0.99]], [0, 0, 0], 1, Rule(min_photos=1))
    assert found.keep.tolist() == [True, True, False]


def test_a_photo_at_the_angle_stays() -> None:
    cosines = [[0.9], [COS_75], [np.nextafter(COS_75, -1)], [-1.0]]
    found = judge(cosines, [0] * 4, 1, Rule(min_photos=4))
    assert found.keep.tolist() == [True, True, False, False]
    assert found.share.tolist() == [1.0]


def test_of_equally_many_the_nearer_ones_dominate() -> None:
    found = judge([[0.5, 0.1], [0.1, 0.6]], [0, 0], 1, Rule(min_photos=1))
    assert found.dominant.tolist() == [1]


def test_identities_with_few_photos_are_left_alone() -> None:
    cosines = [[0.9, 0.0]] * 3 + [[-0.9, -0.8]] * 2
    found = judge(cosines, [0, 0, 0, 1, 1], 3, Rule(min_photos=3))
    assert found.judged.tolist() == [True, False, False]
    assert found.photos.tolist() == [3, 2, 0]
    assert found.dominant.tolist() == [0, -1, -1]
    assert found.keep.all()
    assert np.isnan(found.share[1:]).all()
    assert np.isnan(found.angle_deg).tolist() == [False] * 3 + [True] * 2


def test_the_published_rule_is_the_default() -> None:
    assert Rule() == Rule(angle_deg=75.0, min_photos=20)
    nineteen = judge([[-1.0]] * 19, [0] * 19, 1)
    assert nineteen.keep.all()
    assert not judge([[-1.0]] * 20, [0] * 20, 1).keep.any()


def test_the_rule_agrees_with_a_plain_loop() -> None:
    rng = np.random.default_rng(7)
    labels = rng.integers(6, size=200)
    cosines = rng.uniform(-1, 1, (200, 3))
    rule = Rule(80.0, 30)
    found = judge(cosines, labels, 6, rule)
    for who in range(6):
        mine = [i for i in range(200) if labels[i] == who]
        if len(mine) < 30:
            assert all(found.keep[i] for i in mine)
            continue
        votes = Counter(int(np.argmax(cosines[i])) for i in mine)
        best = max(
            votes, key=lambda k: (votes[k], sum(max(c) for c in cosines[mine] if c.argmax() == k))
        )
        assert found.dominant[who] == best
        assert found.share[who] == pytest.approx(votes[best] / len(mine))
        for i in mine:
            angle = math.degrees(math.acos(cosines[i][best]))
            assert found.angle_deg[i] == pytest.approx(angle)
            assert found.keep[i] == (angle <= 80.0)
    assert 0 < found.judged.sum() < 6


@pytest.mark.parametrize(
    ("cosines", "labels"),
    [
        ([0.5, 0.5], [0, 0]),
        ([[0.5]], [0, 0]),
        ([[np.nan]], [0]),
        ([[1.5]], [0]),
        ([[0.5]], [2]),
        ([[0.5]], [-1]),
    ],
)
def test_the_rule_refuses_what_it_cannot_judge(cosines: Any, labels: Any) -> None:
    with pytest.raises(InvalidArray):
        judge(cosines, labels, 2)


@pytest.mark.parametrize("wrong", [{"angle_deg": 0}, {"angle_deg": 180}, {"min_photos": 0}])
def test_rules_without_meaning_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Rule(**wrong)


# --- noise on purpose --------------------------------------------------------------------------

PEOPLE = [Listed(f"s/{who}/{i}", f"s/{who}") for who in "abcd" for i in range(25)]


def test_flips_give_so_many_photos_to_somebody_else() -> None:
    found = flip_identities(PEOPLE, 0.3, seed=1)
    assert [photo.key for photo in found] == [photo.key for photo in PEOPLE]
    changed = [(old, new) for old, new in zip(PEOPLE, found, strict=True) if old != new]
    assert len(changed) == 30
    assert all(new.noisy and new.identity != old.identity for old, new in changed)
    assert sum(photo.noisy for photo in found) == 30
    assert {new.identity for _, new in changed} == {f"s/{who}" for who in "abcd"}
    assert flip_identities(PEOPLE, 0.3, seed=1) == found
    assert flip_identities(PEOPLE, 0.3, seed=2) != found
    assert flip_identities(PEOPLE, 0.0, seed=1) == PEOPLE


def test_outliers_are_strangers_used_once_and_keep_sizes() -> None:
    strangers = [f"t/{i}" for i in range(40)]
    found = add_outliers(PEOPLE, strangers, 0.3, seed=1)
    wrong = [photo for photo in found if photo.noisy]
    assert len(wrong) == 30
    assert len({photo.key for photo in wrong}) == 30
    assert {photo.key for photo in wrong} <= set(strangers)
    assert Counter(p.identity for p in found) == Counter(p.identity for p in PEOPLE)
    assert [p for p in found if not p.noisy] == [p for p in PEOPLE if p in found]


def test_noise_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match="0–1"):
        flip_identities(PEOPLE, 1.3, seed=1)
    with pytest.raises(DatasetInvalid, match="two identities"):
        flip_identities(PEOPLE[:5], 0.3, seed=1)
    with pytest.raises(DatasetInvalid, match="30 photos of strangers"):
        add_outliers(PEOPLE, ["t/0"], 0.3, seed=1)
    with pytest.raises(DatasetInvalid, match="no stranger"):
        add_outliers(PEOPLE, [photo.key for photo in PEOPLE], 0.3, seed=1)


@pytest.mark.data
def test_a_noisy_list_is_what_training_reads(config: TrainConfig, tmp_path: Path) -> None:
    data = open_data(config.data)
    noisy = flip_identities(listed(data.train, data.classes), 0.3, seed=1)
    write_list(tmp_path / "noisy.csv", noisy)
    assert stat.S_IMODE((tmp_path / "noisy.csv").stat().st_mode) == 0o600
    again = open_data(
        config.data.but(keep=str(tmp_path / "noisy.csv"), holdout=0.0, holdout_identities=0,
            min_images=1,
        )
    )  # fmt: skip
    read = {p.key: p.identity for p in listed(again.train, again.classes)}
    assert read == {photo.key: photo.identity for photo in noisy}
    true = {p.key: p.identity for p in listed(data.train, data.classes)}
    assert sum(read[key] != true[key] for key in true) == round(0.3 * len(true))


# --- a run, judged -----------------------------------------------------------------------------


@pytest.mark.data
def test_what_is_dropped_is_what_the_rule_says(found: CleanResult, angles: Any) -> None:
    cosines, labels, data = angles
    nearest = cosines.argmax(axis=1)
    beyond: dict[str, Any] = {}
    for who in range(len(data.classes)):
        mine = np.flatnonzero(labels == who)
        if len(mine) < 20:
            continue
        dominant = Counter(nearest[mine].tolist()).most_common(1)[0][0]
        angle = np.degrees(np.arccos(cosines[mine, dominant]))
        beyond |= {
            data.train.key(int(i)): (a, int(nearest[i]))
            for i, a in zip(mine, angle, strict=True)
            if a > found.rule.angle_deg
        }
    assert 3 < len(beyond) < 60
    dropped = {row["key"]: row for row in rows_of(found.folder / "dropped.csv")}
    assert set(dropped) == set(beyond)
    for key, (angle, centre_) in beyond.items():
        assert float(dropped[key]["angle_deg"]) == pytest.approx(angle, abs=0.02)
        assert int(dropped[key]["sub_centre"]) == centre_
        assert dropped[key]["identity"] == "few/" + key.split("/")[1]
    listed_angles = [float(row["angle_deg"]) for row in dropped.values()]
    assert listed_angles == sorted(listed_angles, reverse=True)


@pytest.mark.data
def test_the_kept_list_is_everything_else(found: CleanResult, config: TrainConfig) -> None:
    kept = {row["key"]: row["identity"] for row in rows_of(found.kept_list)}
    dropped = {row["key"] for row in rows_of(found.folder / "dropped.csv")}
    whole = open_data(config.data.but(min_images=1, holdout=0.0, holdout_identities=0))  # fmt: skip
    everything = {p.key: p.identity for p in listed(whole.train, whole.classes)}
    assert len(everything) == sum(PHOTOS)
    assert set(kept) == set(everything) - dropped
    assert all(everything[key] == identity for key, identity in kept.items())


@pytest.mark.data
def test_training_again_reads_the_kept_list(found: CleanResult, config: TrainConfig) -> None:
    before = open_data(config.data)
    after = open_data(config.data.but(keep=str(found.kept_list)))
    assert after.classes == before.classes
    dropped = {row["key"] for row in rows_of(found.folder / "dropped.csv")}
    old = {before.train.key(i) for i in range(len(before.train))}
    old |= {before.holdout.key(i) for i in range(len(before.holdout))}
    new = {after.train.key(i) for i in range(len(after.train))}
    new |= {after.holdout.key(i) for i in range(len(after.holdout))}
    assert new == old - dropped
    assert len(after.held) == len(before.held)


@pytest.mark.data
def test_every_photo_has_its_place_in_the_report(found: CleanResult, angles: Any) -> None:
    _, labels, data = angles
    facts = record(found)
    counts = np.bincount(labels)
    assert facts["judged_identities"] == (counts >= 20).sum() > 0
    assert facts["untouched_identities"] == (counts < 20).sum() > 0
    assert facts["judged_photos"] == counts[counts >= 20].sum()
    assert facts["photos"] + facts["other_photos"] == sum(PHOTOS)
    assert facts["dropped_photos"] == len(rows_of(found.folder / "dropped.csv"))
    assert 1 / 3 < facts["dominant_share"] <= 1
    table = {row["identity"]: row for row in rows_of(found.folder / "identities.csv")}
    assert set(table) == set(data.classes)
    assert sum(int(row["dropped"]) for row in table.values()) == facts["dropped_photos"]
    for who, name in enumerate(data.classes):
        assert int(table[name]["photos"]) == counts[who]
        assert table[name]["judged"] == ("yes" if counts[who] >= 20 else "no")
    page = (found.folder / "report.html").read_text("utf-8")
    assert "Angle to the dominant sub-centre" in page
    assert "left alone" in page.lower()
    assert "data:image" not in page
    kept = json.loads((found.folder / "report.json").read_text("utf-8"))
    assert kept["dropped_photos"] == facts["dropped_photos"]


@pytest.mark.data
def test_sheets_show_what_was_dropped_to_its_owner_only(found: CleanResult) -> None:
    assert found.sheets
    assert stat.S_IMODE(found.sheets[0].parent.stat().st_mode) == 0o700
    for path in (*found.sheets, found.kept_list, found.folder / "dropped.csv"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Pil.open(found.sheets[0]) as sheet:
        pixels = np.asarray(sheet.convert("RGB"), np.float64)
    lines = pixels.reshape(-1, 110, pixels.shape[1], 3)
    worst = rows_of(found.folder / "dropped.csv")
    people = {row["identity"] for row in worst}
    assert len(people) <= len(lines)
    data = open_data(open_checkpoint(found.checkpoint).config.data)
    keys = {data.train.key(i): i for i in range(len(data.train))}
    names = sorted(people, key=data.classes.index)
    first = next(row for row in worst if row["identity"] == names[0])
    crop = data.train.store.read(int(data.train.rows[keys[first["key"]]]))
    wanted = np.asarray(Pil.fromarray(crop).resize((92, 92)), np.float64)
    shown = lines[0, 2:94, 96 + 2 : 96 + 94]
    assert np.corrcoef(shown.ravel(), wanted.ravel())[0, 1] > 0.98


@pytest.mark.data
def test_a_finished_run_is_opened_and_sheets_can_be_left_out(
    found: CleanResult, tmp_path: Path
) -> None:
    again = clean(found.checkpoint, tmp_path / "again", found.rule, sheet_photos=0)
    assert again.sheets == ()
    assert not (tmp_path / "again" / "sheets").exists()
    assert again.kept_list.read_bytes() == found.kept_list.read_bytes()
    stricter = clean(found.checkpoint.parent.parent, tmp_path / "b", Rule(1.0), sheet_photos=0)
    assert stricter.dropped == stricter.judged_photos
    assert len(stricter.emptied) == stricter.judged_identities
    assert any("train longer" in line for line in document(stricter).warnings)
    nobody = clean(found.checkpoint, tmp_path / "c", Rule(1.0, 500), sheet_photos=0)
    assert nobody.dropped == 0
    assert any("nothing was judged" in line for line in document(nobody).warnings)


@pytest.mark.data
def test_other_data_than_trained_on_is_refused(found: CleanResult, tmp_path: Path) -> None:
    config = open_checkpoint(found.checkpoint).config
    tar = Path(config.data.sources[0].path)
    kept = tar.read_bytes()
    try:
        with tarfile.open(tar) as whole:
            members = [(m, whole.extractfile(m)) for m in whole if m.isfile()]
            gone = sorted({m.name.split("/")[0] for m, _ in members})[0]
            with tarfile.open(tmp_path / "less.tar", "w") as less:
                for member, data in members:
                    if not member.name.startswith(gone):
                        less.addfile(member, data)
        tar.write_bytes((tmp_path / "less.tar").read_bytes())
        with pytest.raises(CheckpointMismatch, match="bring the data back"):
            clean(found.checkpoint, tmp_path / "out")
    finally:
        tar.write_bytes(kept)
    assert not (tmp_path / "out").exists()


@pytest.mark.data
@pytest.mark.parametrize(
    "override", ["loss={name: arcface}", "loss.options.k=1", "loss={name: triplet_hard}"]
)
def test_one_centre_an_identity_is_refused_before_training(
    tar: Path, tmp_path: Path, override: str
) -> None:
    one = parse_config(CONFIG % {"tar": tar, "out": tmp_path / "run"}, [override])
    with pytest.raises(ConfigError, match="needs several"):
        clean(one)
    assert not (tmp_path / "run").exists()


@pytest.mark.data
def test_the_command_says_what_to_train_on(
    found: CleanResult, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    run = found.checkpoint.parent.parent
    angle = f"{found.rule.angle_deg:.6f}"
    done = cli("clean", run, "--angle", angle, "-o", tmp_path / "out", "--sheets", 0, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["dropped_photos"] == found.dropped
    assert Path(done.json["kept_list"]).read_bytes() == found.kept_list.read_bytes()
    plain = cli("clean", run, "--angle", angle, "-o", tmp_path / "out", "--sheets", 0)
    assert f"{found.dropped} of {found.judged_photos} photos" in plain.out
    assert f"data.keep={tmp_path / 'out' / 'kept.csv'}" in plain.out
    assert cli("clean", run, "optim.lr=1").code == 2
    assert cli("clean", run, "--angle", 200).code == 2
    assert cli("clean", tmp_path / "nothing.yaml").code == 2


def test_the_shipped_config_keeps_several_centres() -> None:
    from arcid.train.clean.purify import require_sub_centres
    from arcid.train.config.recipe import load_config

    config = load_config(Path(__file__).parents[2] / "configs" / "clean_small.yaml")
    require_sub_centres(config)
    assert not any("lfw" in source.path for source in config.data.sources)
