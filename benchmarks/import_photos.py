"""A job that imports a folder of many photos into a running service, killed in the middle.

    python benchmarks/import_photos.py PHOTOS [--photos 10000] [--kill-at 0.5]

PHOTOS has one folder per person (``$ARCID_DATA/data/lfw-dev/images``). Each photo is written
several times into a temporary folder, cut, mirrored and lit otherwise, until there are so many. A
service in a process of its own imports that folder (``POST /v1/jobs/imports``); SIGKILL ends it at
the share ``--kill-at``, a second one goes on with the job. Says how long both took, how many photos
a second were decoded, detected, embedded and stored, how much memory was the most, and whether
every photo has exactly one outcome. Writes ``results/import-photos-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import atexit
import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance, ImageOps

from arcid.apps.jobs import Jobs
from arcid.bench.common import hardware_slug, write_csv
from arcid.gallery import Gallery

WAIT_S = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos_folder", type=Path, metavar="PHOTOS")
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--kill-at", type=float, default=0.5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = folder / "home"
        home.mkdir()
        os.environ["ARCID_HOME"] = str(home)
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
        people = make(asked.photos_folder, folder / "photos" / "all", asked.photos)
        service = Service(home, folder / "photos")
        service.call("POST", "/v1/collections", {"name": "all"})
        begun = time.perf_counter()
        job = service.call("POST", "/v1/jobs/imports", {"collection": "all", "folder": "all"})
        listed_s = time.perf_counter() - begun
        print(f"{job['total']} photos listed in {listed_s:.1f} s", flush=True)
        killed = wait(service, job["id"], lambda row: row["done"] >= asked.kill_at * row["total"])
        service.end(signal.SIGKILL)
        killed_s = time.perf_counter() - begun
        print(f"killed at {killed['done']} after {killed_s:.0f} s", flush=True)
        again = time.perf_counter()
        service = Service(home, folder / "photos")
        ready_s = time.perf_counter() - again
        ended = wait(service, job["id"], lambda row: row["state"] not in ("waiting", "running"))
        whole_s = time.perf_counter() - begun
        service.end(signal.SIGTERM)
        with Gallery.open(home / "gallery.db") as gallery:
            found = gallery.collection("all")
            refused = list(Jobs(gallery).refused(job["id"], limit=asked.photos))
            sources = Counter(
                face.source
                for person in gallery.everybody("all")
                for face in gallery.faces("all", person.id)
            )
            sound = [str(finding) for finding in gallery.check()]
    once = set(sources.values()) <= {1} and not set(sources) & {one.label for one in refused}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    row = {
        "photos": asked.photos,
        "people": people,
        "state": ended["state"],
        "enrolled": found.faces,
        "refused": len(refused),
        "each_once": once and found.faces + len(refused) == asked.photos,
        "findings": len(sound),
        "listed_s": round(listed_s, 2),
        "killed_at": killed["done"],
        "ready_again_s": round(ready_s, 2),
        "seconds": round(whole_s, 1),
        "photos_per_s": round(asked.photos / (whole_s - ready_s), 2),
        "peak_mib": round(peak),
        "load_1min": round(os.getloadavg()[0], 1),
    }
    reasons = Counter(one.code for one in refused)
    print(json.dumps({**row, "reasons": reasons}, indent=1))
    write_csv(
        Path(__file__).parent / "results" / f"import-photos-{hardware_slug()}.csv",
        [row],
    )
    if not row["each_once"] or ended["state"] != "done" or sound:
        sys.exit("not every photo has exactly one outcome")


class Service:
    """``arcid serve`` on a free port, with a home and a folder that may be imported from."""

    def __init__(self, home: Path, imports: Path) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ARCID_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "arcid", "serve", "--port", "0", "--json"],
            env=kept | {"ARCID_HOME": str(home), "ARCID_IMPORTS": str(imports)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        atexit.register(self._process.kill)
        assert self._process.stdout is not None
        self._url = json.loads(self._process.stdout.readline())["url"].rstrip("/")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(self._url + path, data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return json.load(answer)

    def end(self, by: signal.Signals) -> None:
        self._process.send_signal(by)
        self._process.wait(120)


def wait(service: Service, job: str, until: Any) -> Any:
    while not until(row := service.call("GET", f"/v1/jobs/{job}")):
        time.sleep(WAIT_S)
    return row


def make(source: Path, target: Path, count: int) -> int:
    """So many photos of the people of ``source``, each another picture; how many people."""
    originals = sorted(source.rglob("*.jpg"))
    chance, people = random.Random(0), set()
    for number, path in enumerate(itertools.islice(itertools.cycle(originals), count)):
        folder = target / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        people.add(path.parent.name)
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        side = picture.size[0]
        left, top = (chance.randrange(side // 20 + 1) for _ in range(2))
        picture = picture.crop((left, top, side - left, picture.size[1] - top))
        if chance.random() < 0.5:
            picture = ImageOps.mirror(picture)
        picture = ImageEnhance.Brightness(picture).enhance(chance.uniform(0.8, 1.2))
        picture.save(folder / f"{path.stem}-{number}.jpg", quality=90)
    return len(people)


if __name__ == "__main__":
    main()
