"""What wrong labels cost, what ``arcid clean`` finds of them, and what training again gains.

    python benchmarks/noise.py

Every run starts from one network that was taught, without any label, to embed UTKFace chips like
the reference model: from nothing, half an hour of one core does not get a network to where the
rule means something. For closed-set flips and open-set outliers, and for every seed: put noise
into the photos of configs/clean_small.yaml, train with sub-centres, drop photos by the rule, then
train with one centre on the noisy list, on the kept list and on the clean one, with the same
budget. Verification is on people of another source. Started again, it goes on where it stopped.
Writes benchmarks/results/noise-….csv and the tables of docs/studies/clean-noise.md.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from arcid.bench.common import hardware_slug
from arcid.evaluate.metrics import Array
from arcid.train.backbones import to_channels_last
from arcid.train.checkpoint import CheckpointStore
from arcid.train.clean import CleanResult, Rule, clean
from arcid.train.config import DataConfig, LossConfig, SourceConfig, TrainConfig, load_config
from arcid.train.data.chips import centre
from arcid.train.data.dataset import open_data
from arcid.train.inputs import to_input
from arcid.train.loop import train
from arcid.train.noise import Listed, add_outliers, flip_identities, listed, write_list
from arcid.train.restore import backbone_of, restore_backbone
from arcid.train.study.measure import Photos, prepare, verification
from arcid.train.study.ranking import Interval, rank, seed_bootstrap
from arcid.train.teachers import Teacher

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "studies" / "clean-noise.md"
STRANGERS = "${ARCID_DATA}/data/train/celeba-b.tar"  # whose photos become outliers
JUDGES = "${ARCID_DATA}/data/train/celeba-a.tar"  # whose people verification is measured on
LESSONS = ("${ARCID_DATA}/data/train/utk.tar", "${ARCID_DATA}/data/train/utk-b.tar")
REFERENCE = "mobilefacenet_128"
FMR = 1e-2
KINDS = {"flip": "closed-set flips", "outlier": "open-set outliers"}
TRAINED = ("noisy", "kept", "clean")
NUMBERS = ("precision", "recall", "dropped", "noisy_photos", "photos", "chance_precision",
           "noise_in_dominant", "dominant_share", "angle_auc")  # fmt: skip
FIELDS = ("kind", "seed", *NUMBERS,
          *(f"{number}_{what}" for what in TRAINED for number in ("tar", "eer", "auc")),
          "seconds")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "clean_small.yaml")
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=Path("runs/noise"))
    parser.add_argument("--steps", type=int, default=120, help="of every run, after the start")
    parser.add_argument("--people", type=int, default=100, help="people to judge on")
    parser.add_argument("-o", "--output", type=Path, default=REPORT)
    parser.add_argument("override", nargs="*", help="settings of the config, such as optim.lr=0.1")
    options = parser.parse_args()
    short = (f"schedule.steps={options.steps}", f"schedule.warmup={options.steps // 10}")
    base = load_config(options.config, [*short, *options.override])
    judges = read_judges(base.data, options.people)
    start = teach(base, options.work / "start")
    base = dataclasses.replace(base, init_from=str(start))
    begun = verification(restore_backbone(start).backbone, judges, FMR)
    print(f"start: TAR {begun.tar:.4f}, EER {begun.eer:.4f}, AUC {begun.auc:.4f}", flush=True)
    rows, samples = [], {}
    for seed in options.seeds:
        for kind in KINDS:
            row, found = one(base, kind, seed, options.share, options.work, judges)
            rows.append(row)
            samples[kind, seed] = found
            print({k: v if isinstance(v, str) else round(v, 4) for k, v in row.items()}, flush=True)
    path = Path(__file__).parent / "results" / f"noise-{hardware_slug()}.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        writer.writeheader()
        writer.writerows({k: v if isinstance(v, str) else f"{v:.6g}" for k, v in row.items()}
                         for row in rows)  # fmt: skip
    text = tables(rows, samples, options.seeds)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    old = options.output.read_text("utf-8") if options.output.is_file() else f"{BEGIN}\n{END}\n"
    before, after = old.split(BEGIN)[0], old.split(END)[-1]
    options.output.write_text(f"{before}{BEGIN}\n{text}{END}{after}", "utf-8")
    print(text)


def teach(base: TrainConfig, folder: Path, epochs: int = 3, batch: int = 64) -> Path:
    """A network of the base's size that embeds like the reference model; a checkpoint."""
    store = CheckpointStore(folder, keep=1)
    if store.paths():
        return store.paths()[-1]
    sources = tuple(SourceConfig(path, labelled=False) for path in LESSONS)
    data = dataclasses.replace(
        base.data, sources=sources, size=112, identities=0, max_images=0, cache="none"
    )
    chips = open_data(data, need_identities=False).unlabelled
    teacher = Teacher(REFERENCE, 112)
    size, rows = base.data.size, range(len(chips))
    small = np.empty((len(chips), size, size, 3), np.uint8)
    wanted = torch.empty(len(chips), teacher.dim)
    for row in rows:
        face = centre(chips.store.read(int(chips.rows[row])), 112)
        small[row] = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
        whole = torch.from_numpy(face.transpose(2, 0, 1)[None].copy())
        wanted[row] = F.normalize(teacher(whole)[0][0], dim=0)
    torch.manual_seed(0)
    network = to_channels_last(backbone_of(dataclasses.replace(
        base, model=dataclasses.replace(base.model, dim=teacher.dim))))  # fmt: skip
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    steps = epochs * len(chips) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
    draws = torch.cat([torch.randperm(len(chips)) for _ in range(epochs)])
    for step in range(steps):
        own = draws[step * batch : (step + 1) * batch]
        images = torch.from_numpy(small[own.numpy()]).permute(0, 3, 1, 2)
        if step % 2:
            images = images.flip(3)
        loss = 1 - F.cosine_similarity(network(to_input(images)), wanted[own]).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            reached = 1 - float(loss.detach())
            print(f"taught {step} of {steps} steps: cosine {reached:.3f}", flush=True)
    config = dataclasses.replace(base, out=str(folder))
    shared = {"backbone": network.state_dict()}
    return store.save(step=steps, position=0, config=config, shared=shared, own={})


def read_judges(data: DataConfig, people: int) -> Photos:
    """Photos of people no run is trained on."""
    config = dataclasses.replace(
        data, sources=(SourceConfig(JUDGES),), min_images=10, identities=2, max_images=2,
        holdout_identities=people,
    )  # fmt: skip
    return prepare(config, photos_each=8).strangers


def one(
    base: TrainConfig, kind: str, seed: int, share: float, work: Path, judges: Photos
) -> tuple[dict[str, Any], dict[str, Array]]:
    """One noisy set: a row of numbers, and the bootstrap of each trained network."""
    began = time.perf_counter()
    folder = work / f"{kind}-seed{seed}"
    data = open_data(dataclasses.replace(base.data, cache="none"))
    pure = listed(data.train, data.classes)
    noisy = (
        flip_identities(pure, share, seed)
        if kind == "flip"
        else add_outliers(pure, stranger_keys(base.data), share, seed)
    )
    lists = {"noisy": noisy, "clean": pure}
    for name, photos in lists.items():
        write_list(folder / f"{name}.csv", photos)
    found = clean(
        run_of(base, folder / "sub-centres", folder / "noisy.csv", seed), folder / "found", Rule(),
        sheet_photos=0,
    )  # fmt: skip
    row: dict[str, Any] = {"kind": kind, "seed": seed, **judged(found, noisy)}
    samples = {}
    for what in TRAINED:
        keep = found.kept_list if what == "kept" else folder / f"{what}.csv"
        where = work / f"clean-seed{seed}" if what == "clean" else folder / what
        config = run_of(base, where, keep, seed)
        single = dataclasses.replace(
            config,
            loss=LossConfig("arcface", {k: v for k, v in base.loss.options.items() if k != "k"}),
        )
        trained = train(single)
        if trained.stopped:
            raise KeyboardInterrupt
        measured = verification(restore_backbone(trained.checkpoint).backbone, judges, FMR)
        row |= {f"tar_{what}": measured.tar, f"eer_{what}": measured.eer,
                f"auc_{what}": measured.auc}  # fmt: skip
        samples[what] = measured.samples
    row["seconds"] = time.perf_counter() - began
    return row, samples


def run_of(base: TrainConfig, out: Path, keep: Path, seed: int) -> TrainConfig:
    """The base run on exactly the photos of a list."""
    data = dataclasses.replace(
        base.data, sources=(*base.data.sources, SourceConfig(STRANGERS)), keep=str(keep),
        min_images=2, identities=0, max_images=0,
    )  # fmt: skip
    return dataclasses.replace(base, out=str(out), seed=seed, data=data)


def stranger_keys(data: DataConfig) -> list[str]:
    """One photo of everybody in the source of strangers."""
    whole = open_data(
        dataclasses.replace(
            data, sources=(SourceConfig(STRANGERS),), min_images=1, identities=0, max_images=1,
            cache="none",
        )
    )  # fmt: skip
    return [whole.train.key(row) for row in range(len(whole.train))]


def judged(found: CleanResult, noisy: Sequence[Listed]) -> dict[str, float]:
    """Precision and recall of what was dropped, against the noise put in."""
    wrong = {photo.key: photo.noisy for photo in noisy}
    truth = np.array([wrong[key] for key in found.keys])
    dropped = ~found.verdict.keep
    hits = int((truth & dropped).sum())
    angle = found.verdict.angle_deg
    dominant = found.verdict.nearest == found.verdict.dominant[found.labels]
    order = np.argsort(np.argsort(angle[np.isfinite(angle)]))
    known = truth[np.isfinite(angle)]
    count = int(known.sum())
    auc = (order[known].sum() - count * (count - 1) / 2) / max(count * int((~known).sum()), 1)
    return {
        "precision": hits / max(int(dropped.sum()), 1),
        "recall": hits / max(int(truth.sum()), 1),
        "dropped": int(dropped.sum()),
        "noisy_photos": int(truth.sum()),
        "photos": len(truth),
        "chance_precision": float(truth.mean()),
        "noise_in_dominant": float(truth[dominant].mean()),
        "dominant_share": found.dominant_share,
        "angle_auc": float(auc),
    }


def tables(
    rows: Sequence[dict[str, Any]], samples: dict[tuple[str, int], dict[str, Array]],
    seeds: Sequence[int],
) -> str:  # fmt: skip
    """The tables of the study."""
    columns = ("noise", "seed", "dropped", "precision", "recall", "noise before",
               "noise at the dominant sub-centre", "noise after", "AUC of the angle")  # fmt: skip
    lines = ["", "## What the rule drops", "", f"| {' | '.join(columns)} |",
             "|---" * len(columns) + "|"]  # fmt: skip
    for row in rows:
        missed = row["noisy_photos"] - row["recall"] * row["noisy_photos"]
        after = missed / max(row["photos"] - row["dropped"], 1)
        lines.append(
            f"| {KINDS[row['kind']]} | {row['seed']} | {row['dropped']} of {row['photos']} "
            f"| {percent(row['precision'])} | {percent(row['recall'])} "
            f"| {percent(row['chance_precision'])} | {percent(row['noise_in_dominant'])} "
            f"| {percent(after)} | {row['angle_auc']:.3f} |"
        )
    lines += ["", "## What training again gains", "",
              f"TAR at FMR {FMR:g}, one centre an identity, the same budget for all three.", "",
              "| noise | trained on | TAR, mean of seeds | 95 % interval | EER | AUC |",
              "|---|---|---|---|---|---|"]  # fmt: skip
    verdicts = []
    for kind in KINDS:
        mine = [row for row in rows if row["kind"] == kind]
        boots = seed_bootstrap(
            {what: [samples[kind, seed][what] for seed in seeds] for what in TRAINED}
        )
        means = {what: float(np.mean([row[f"tar_{what}"] for row in mine])) for what in TRAINED}
        ranking = rank(means, boots)
        for what in TRAINED:
            own = ranking.values[what]
            lines.append(
                f"| {KINDS[kind]} | {what} list | {percent(own.value)} "
                f"| {percent(own.low)} – {percent(own.high)} "
                f"| {percent(np.mean([row[f'eer_{what}'] for row in mine]))} "
                f"| {np.mean([row[f'auc_{what}'] for row in mine]):.4f} |"
            )
        gap = difference(boots["kept"] - boots["noisy"], means["kept"] - means["noisy"])
        verdicts.append(
            f"- {KINDS[kind]}: kept − noisy {100 * gap.value:+.2f} points "
            f"({100 * gap.low:+.2f} to {100 * gap.high:+.2f}): "
            + ("separate." if gap.separate else "not separate.")
        )
    return "\n".join([*lines, "", *verdicts, "", ""])


def difference(samples: Array, value: float) -> Interval:
    low, high = np.percentile(samples, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def percent(value: float) -> str:
    return f"{100 * value:.2f} %"


BEGIN, END = "<!-- tables: benchmarks/noise.py -->", "<!-- end of tables -->"

if __name__ == "__main__":
    main()
