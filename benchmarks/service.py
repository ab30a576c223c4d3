"""REST under load: photos of 640 pixels compared and searched for by 8 and by 64 clients at once.

    python benchmarks/service.py [--against FOLDER] [--seconds 8] [--rounds 3]

``arcid serve`` in a process of its own, as it comes, over a SQLite gallery of 1,000 people. Each
client sends its next request when the last is answered; one that is turned away (429) waits as long
as it is told. Beside requests a second: processor time of the service for one, which other work on
the machine changes less. ``--against``: the checkout of another commit, whose service takes turns
with this one's; rows then have the ratio to it. Writes ``results/service-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import operator
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
from PIL import Image

from arcid import paths
from arcid.bench import common
from arcid.gallery import Gallery, NewFace
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import faces as _faces
from arcid.gallery.store import people as _people
from arcid.models import weights
from arcid.types import Embeddings

HERE = Path(__file__).parents[1]
SIDE, QUALITY = 640, 90
PEOPLE, PHOTOS = 1_000, 16
CLIENTS = (8, 64)
WARM_S = 2.0
BOUNDARY = "arcid-benchmark"
WORK = {"compare": ("/v1/compare", 2), "search": ("/v1/collections/bench/search", 1)}


@dataclass
class Told:
    """What clients were told during one turn."""

    seconds: float
    processor_s: float = 0.0  # of the service
    answered_s: list[float] = field(default_factory=list)
    turned_away: int = 0
    other: list[int] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--against", type=Path)
    parser.add_argument("--recogniser", help="of this checkout's service; the default's contract")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    photos = pictures()
    told: dict[tuple[str, int, str], list[Told]] = {}
    trees = {"arcid": HERE} | ({"before": asked.against} if asked.against else {})
    for _ in range(asked.rounds):
        for form, tree in trees.items():
            named = {"ARCID_RECOGNISER": asked.recogniser} if asked.recogniser else {}
            with service(tree, named if form == "arcid" else {}) as (address, process):
                for what in WORK:
                    for clients in CLIENTS:
                        load(address, what, photos, clients, WARM_S)
                        before = sum(process.cpu_times()[:2])
                        found = load(address, what, photos, clients, asked.seconds)
                        found.processor_s = sum(process.cpu_times()[:2]) - before
                        told.setdefault((what, clients, form), []).append(found)
    rows = [line for key, turns in told.items() for line in as_rows(key, turns, told)]
    print("\n".join(common.lines(rows)))
    name = f"service-{common.hardware_slug()}.csv"
    common.write_csv(Path(__file__).parent / "results" / name, rows)


def as_rows(
    key: tuple[str, int, str], turns: list[Told], all_of: dict[tuple[str, int, str], list[Told]]
) -> list[common.Row]:
    what, clients, form = key
    per_s = [len(turn.answered_s) / turn.seconds for turn in turns]
    before = [len(turn.answered_s) / turn.seconds for turn in all_of.get((*key[:2], "before"), [])]
    ratio = None
    if before and form == "arcid":
        ratio = statistics.median(now / then for now, then in zip(per_s, before, strict=True))
    times = sorted(s for turn in turns for s in turn.answered_s)
    away, other = sum(t.turned_away for t in turns), sum(len(t.other) for t in turns)
    notes = (
        f"p50 {times[len(times) // 2]:.2f} s, p99 {times[int(len(times) * 0.99)]:.2f} s, "
        f"{min(per_s):.1f} to {max(per_s):.1f}/s, {away} turned away, {other} other answers, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    measure = f"{what}, {clients} clients"
    peer = "before" if ratio else ""
    cost = [1e3 * turn.processor_s / max(1, len(turn.answered_s)) for turn in turns]
    others = all_of.get((*key[:2], "before"), [])
    then = [1e3 * turn.processor_s / max(1, len(turn.answered_s)) for turn in others]
    less = statistics.median(map(operator.truediv, cost, then)) if ratio else None
    return [
        common.row(
            measure, form, statistics.median(per_s), "requests/s", samples=len(times), peer=peer,
            ratio=ratio, notes=notes,
        ),
        common.row(
            f"{measure}, processor", form, statistics.median(cost), "ms", samples=len(times),
            peer=peer, ratio=less,
        ),
    ]  # fmt: skip


def pictures() -> list[bytes]:
    """Photographs of one face each, their longer side ``SIDE``."""
    folder = paths.required_data_dir() / "data" / "deepface-pairs"
    made = []
    for file in sorted(folder.glob("*.jpg"))[:PHOTOS]:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
        scale = SIDE / max(picture.size)
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=QUALITY)
        made.append(buffer.getvalue())
    return made


@contextmanager
def service(tree: Path, settings: dict[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    """``arcid serve`` of a checkout; its address, and the process."""
    with tempfile.TemporaryDirectory(prefix="arcid-bench-") as home:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ARCID_")}
        environment = kept | settings | {"ARCID_HOME": home, "PYTHONPATH": str(tree / "src")}
        fill(tree, environment)
        process = subprocess.Popen(
            [sys.executable, "-m", "arcid", "serve", "--port", "0", "--json"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"], psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)
            process.stdout.close()


def fill(tree: Path, environment: dict[str, str]) -> None:
    """People for the searches, by the checkout's own tables."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import service"
    subprocess.run(
        [sys.executable, "-c", f"{code}; service.enrol()"], env=environment, check=True
    )  # fmt: skip


def enrol() -> None:
    """``PEOPLE`` random unit vectors into the gallery of ``ARCID_HOME``."""
    bundle = weights.resolve("arcid-face-s")
    output = bundle.manifest.output
    assert output is not None
    made = np.random.default_rng(0).standard_normal((PEOPLE, output.dim))
    with Gallery.open(paths.home_dir() / "gallery.db") as gallery:
        gallery.create_collection("bench")
        with _collections.writing(gallery.database, "bench") as (log, own):
            for number, row in enumerate(made):
                person = _people.add(log, own, f"{number}", None)
                vector = Embeddings.normalised(row[None], bundle.manifest.contract_id)
                _faces.add(log, own, person, [NewFace(vector)])


def load(address: str, what: str, photos: list[bytes], clients: int, seconds: float) -> Told:
    """So many clients for so long; what was begun is waited for."""
    path, each = WORK[what]
    told, lock = Told(seconds), threading.Lock()
    ends = time.perf_counter() + seconds
    place = urlsplit(address)

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=120)
        turn = number
        while time.perf_counter() < ends:
            names = ("image_a", "image_b") if each == 2 else ("image",)
            body = form({n: photos[(turn + i) % len(photos)] for i, n in enumerate(names)})
            kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
            began = time.perf_counter()
            connection.request("POST", path, body, kind)
            answer = connection.getresponse()
            answer.read()
            took = time.perf_counter() - began
            with lock:
                if answer.status == 200:
                    told.answered_s.append(took)
                elif answer.status == 429:
                    told.turned_away += 1
                else:
                    told.other.append(answer.status)
            if answer.status == 429:
                time.sleep(float(answer.headers["Retry-After"]))
            turn += 1
        connection.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.seconds = time.perf_counter() - began
    return told


def form(images: dict[str, bytes]) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="p.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in images.items()
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


if __name__ == "__main__":
    main()
