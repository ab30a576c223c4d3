"""How long an alert takes, in real time: face in view → alert stored → a receiver has it.

    python benchmarks/watchlist_latency.py [--people 100]

People of lfw-dev's DevTest pass a camera of ten frames a second, two seconds each, one second
apart: the first photo of each is on a list at its default budget, the second passes. Where the
machine falls behind, frames are left out, as a camera's are. A receiver on this machine takes every
alert. From the first frame with the face, as the product tells it (``GET /v1/system``). Writes
``results/watchlist-latency-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from arcid import paths
from arcid.apps.telling import Deliverer, Webhook
from arcid.apps.watching import Watcher
from arcid.apps.watchlists import Terms, Watchlists, latency
from arcid.apps.watchlists.observer import duty
from arcid.bench.common import hardware_slug, write_csv
from arcid.events import Place
from arcid.gallery import Gallery, NewFace
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.types import Image
from arcid.video import Frame, Health

FPS, IN_VIEW_S, GAP_S = 10, 2.0, 1.0


class Walking:
    """A live camera before which people pass one after another; what is late is left out."""

    name, live = "walking", True

    def __init__(self, photos: list[Image]) -> None:
        self._photos = photos

    def frames(self, idle_s: float = 1.0) -> Iterator[Frame]:
        began, index = time.monotonic(), -1
        empty = np.zeros_like(self._photos[0])
        while True:
            due = max(index + 1, int((time.monotonic() - began) * FPS))
            index, ticks = due, began + due / FPS
            number, within = divmod(index / FPS, IN_VIEW_S + GAP_S)
            if number >= len(self._photos):
                return
            time.sleep(max(0.0, ticks - time.monotonic()))
            photo = self._photos[int(number)] if within < IN_VIEW_S else empty
            at = time.time() - (time.monotonic() - ticks)
            yield Frame(photo, at, ticks, index)

    def health(self) -> list[Health]:
        return []

    def close(self) -> None:
        """Nothing is open."""


def measured(pipeline: Pipeline, data: Path, most: int) -> list[dict[str, Any]]:
    """Both times of people who pass; see the module."""
    folders = [sorted(one.glob("*.jpg"))[:2] for one in sorted((data / "lfw-dev/images").iterdir())]
    pairs = [photos for photos in folders if len(photos) == 2][:most]
    folder = Path(tempfile.mkdtemp())
    with Gallery.open(folder / "gallery.db") as gallery, _receiver() as target:
        gallery.create_collection("listed")
        terms = Terms(
            purpose="a benchmark", legal_basis="research", owner="benchmark",
            expires_at=datetime.now(UTC) + timedelta(days=1),
        )  # fmt: skip
        book = Watchlists(gallery)
        own = book.create("listed", "listed", terms, actor="benchmark")
        for first, _ in pairs:
            face = pipeline.one_face(first, select="center")
            person, _ = gallery.enrol("listed", first.parent.name, [NewFace(face.embedding)])
            book.add(own.id, person.id, actor="benchmark")
        deliverer = Deliverer(gallery, [target])
        deliverer.start()
        watcher = Watcher(
            pipeline, [duty(gallery, Place("door", "door"), [target.name])], camera="door"
        )
        for _ in watcher.watch(Walking([load_image(second) for _, second in pairs])):
            pass
        time.sleep(2)
        deliverer.stop()
        taken = latency(gallery)
    shutil.rmtree(folder)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return [
        {"stage": stage, "people": len(pairs), "alerts": spread.count, "p50_ms": spread.p50_ms,
         "p95_ms": spread.p95_ms, "frames": watcher.counts.frames, "load": load}
        for stage, spread in (("stored", taken.stored), ("delivered", taken.delivered))
    ]  # fmt: skip


@contextmanager
def _receiver() -> Iterator[Webhook]:
    """A webhook of this machine that takes everything."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Nothing is said."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        yield Webhook("benchmark", url, "a secret of the benchmark")
        server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--people", type=int, default=100)
    asked = parser.parse_args()
    rows = measured(Pipeline.from_models(), paths.required_data_dir() / "data", asked.people)
    for row in rows:
        print(row)
    name = f"watchlist-latency-{hardware_slug()}.csv"
    write_csv(Path(__file__).parent / "results" / name, rows)


if __name__ == "__main__":
    main()
