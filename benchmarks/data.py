"""Aligned crops read per second from every kind of source, beside the usual loop over Pillow.

python benchmarks/data.py [--photos 2048] [--rounds 5] [--workers 2]

Forms take turns within one run. Writes results/data-<hardware>.csv.
"""

from __future__ import annotations

import argparse
import io
import struct
import tarfile
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from arcid.bench import common
from arcid.paths import required_data_dir
from arcid.train.config.recipe import AugmentConfig, DataConfig, SourceConfig, load_config
from arcid.train.data.augment import Augment
from arcid.train.data.dataset import open_data
from arcid.train.data.loader import BatchLoader, View
from arcid.train.data.stream import SampleStream

BATCH, BATCHES = 64, 12
PEER = "Pillow loop"
RECIPE = Path(__file__).parents[1] / "configs" / "small.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)  # or the Pillow loop's stacking keeps spinning beside the others
    with tempfile.TemporaryDirectory() as folder:
        forms = _forms(Path(folder), asked.photos, asked.workers)
        cpu_s = dict.fromkeys(forms, 0.0)
        counted = {name: _counted(call, cpu_s, name) for name, call in forms.items()}
        timings = common.interleaved(counted, rounds=asked.rounds, calls=1, warmups=0)
    crops = BATCH * BATCHES
    rows = []
    for name, timing in timings.items():
        rate = crops / timing.median_ms * 1e3
        ratio = rate / (crops / timings[PEER].median_ms * 1e3)
        busy = crops * asked.rounds / cpu_s[name]
        print(f"{name:36s} {rate:6.0f} crops/s {ratio:6.2f}x {PEER}, {busy:6.0f} a CPU second")
        rows.append(
            common.row(
                "crops read", name, rate, "crops/s", samples=asked.rounds * crops, peer=PEER,
                ratio=ratio, best=crops / timing.best_ms * 1e3,
                notes=f"{busy:.0f} a CPU second; {asked.workers} workers",
            )
        )  # fmt: skip
    results = Path(__file__).parent / "results"
    common.write_csv(results / f"data-{common.hardware_slug()}.csv", rows)


def _counted(call: Callable[[], None], cpu_s: dict[str, float], name: str) -> Callable[[], None]:
    """CPU time too: on a machine that others use it says more than the clock."""

    def counted() -> None:
        started = time.process_time()
        call()
        cpu_s[name] += time.process_time() - started

    return counted


def _forms(folder: Path, count: int, workers: int) -> dict[str, Callable[[], None]]:
    photos = _photos(count)
    paths = {
        "folder": _write_folder(folder / "folder", photos),
        "tar": _write_tar(folder / "crops.tar", photos),
        "RecordIO": _write_rec(folder / "train.rec", photos),
        "Parquet": _write_parquet(folder / "crops.parquet", photos),
    }
    files = sorted(paths["folder"].glob("*/*"))
    augment = load_config(RECIPE).augment
    forms = {PEER: lambda: _pillow(files)}
    for name, path in paths.items():
        forms[name] = _loaded(path, workers)
    forms["tar, 1 worker"] = _loaded(paths["tar"], 1)
    forms["tar in memory"] = _loaded(paths["tar"], workers, cache=True)
    forms["tar, flip"] = _loaded(paths["tar"], workers, AugmentConfig())
    forms["tar, recipe of small.yaml"] = _loaded(paths["tar"], workers, augment)
    forms["tar in memory, recipe of small.yaml"] = _loaded(
        paths["tar"], workers, augment, cache=True
    )
    return forms


def _loaded(
    path: Path, workers: int, augment: AugmentConfig | None = None, *, cache: bool = False
) -> Callable[[], None]:
    config = DataConfig(
        sources=(SourceConfig(path=str(path)),),
        batch=BATCH,
        workers=workers,
        cache="memory" if cache else "none",
    )
    data = open_data(config)
    if cache:
        for row in data.train.rows.tolist():
            data.train.store.read(row)
    stream = SampleStream(data.train.labels, batch=BATCH, seed=1)
    view: View | None = Augment(augment, seed=1) if augment else None

    def call() -> None:
        with BatchLoader(data.train, islice(stream, BATCHES), view, config) as loader:
            for batch in loader:
                batch.labels.sum()

    return call


def _pillow(files: list[Path]) -> None:
    """What most training scripts do: a data set of files, one picture at a time, then a stack."""
    order = np.random.default_rng(1).permutation(len(files))[: BATCH * BATCHES]
    for start in range(0, len(order), BATCH):
        pictures = []
        for i in order[start : start + BATCH]:
            with Image.open(files[i]) as picture:
                whole = np.asarray(picture.convert("RGB"))
            pictures.append(torch.from_numpy(whole[8:120, 8:120].transpose(2, 0, 1).copy()))
        torch.stack(pictures)


def _photos(count: int) -> list[tuple[str, str, bytes]]:
    with tarfile.open(required_data_dir() / "data/train/vgg.tar") as archive:
        found = []
        for member in islice(archive, count):
            who, _, name = member.name.partition("/")
            content = archive.extractfile(member)
            if content is not None:
                found.append((who, name, content.read()))
    return found


def _write_folder(root: Path, photos: list[tuple[str, str, bytes]]) -> Path:
    for who, name, data in photos:
        (root / who).mkdir(parents=True, exist_ok=True)
        (root / who / name).write_bytes(data)
    return root


def _write_tar(path: Path, photos: list[tuple[str, str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for who, name, data in photos:
            facts = tarfile.TarInfo(f"{who}/{name}")
            facts.size = len(data)
            archive.addfile(facts, io.BytesIO(data))
    return path


def _write_rec(path: Path, photos: list[tuple[str, str, bytes]]) -> Path:
    people = list(dict.fromkeys(who for who, _, _ in photos))
    with path.open("wb") as file, path.with_suffix(".idx").open("w") as index:
        for number, (who, _, data) in enumerate(photos):
            body = struct.pack("<IfQQ", 0, people.index(who), number, 0) + data
            index.write(f"{number}\t{file.tell()}\n")
            file.write(struct.pack("<II", 0xCED7230A, len(body)) + body + b"\0" * (-len(body) % 4))
    return path


def _write_parquet(path: Path, photos: list[tuple[str, str, bytes]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"image": [d for _, _, d in photos], "label": [who for who, _, _ in photos]})
    pq.write_table(table, path, row_group_size=64)
    return path


if __name__ == "__main__":
    main()
