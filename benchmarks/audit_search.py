"""What writing every search into the audit costs, beside the search, in one run.

    python benchmarks/audit_search.py [--people 10000] [--searches 4000]

Random unit vectors, enrolled in a SQLite file, searched one by one as ``POST …/search/embedding``
does: in turns of 100, with the row (noted, and written by another thread every second, as the
service does) and without. Then one row in a transaction of its own, as ``arcid search`` writes it.
Writes ``results/audit-search-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from arcid.bench.common import hardware_slug, write_csv
from arcid.events import Audit
from arcid.gallery import Gallery, NewFace
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import faces as _faces
from arcid.gallery.store import people as _people
from arcid.models import weights
from arcid.pipeline import Identifier
from arcid.server.looks import EVERY_S, Looks
from arcid.types import Embeddings

TURN, ROWS = 100, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=4_000)
    asked = parser.parse_args()
    bundle = weights.resolve("arcid-face-s")
    contract, dim = bundle.manifest.contract_id, 256
    who = Identifier(contract, weights.find_calibration(bundle))
    rows = np.random.default_rng(0).standard_normal((asked.people, dim))
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "g.db") as gallery:
        gallery.create_collection("all")
        with _collections.writing(gallery.database, "all") as (log, own):
            for number, row in enumerate(rows):
                person = _people.add(log, own, f"{number}", None)
                vector = Embeddings.normalised(row[None], contract)
                _faces.add(log, own, person, [NewFace(vector)])
        looks = Looks()

        def write() -> None:
            while not stop.wait(EVERY_S):
                looks.write(gallery)

        writer = threading.Thread(target=write)
        writer.start()
        took: dict[bool, list[float]] = {True: [], False: []}
        for number in range(asked.searches):
            noted = number // TURN % 2 == 1
            probe = Embeddings.normalised(rows[[number % len(rows)]], contract)
            began = time.perf_counter()
            (found,) = who.identify_embeddings(probe, gallery, "all", unsupported="extrapolate")
            if noted:
                looks.searched("vector", "all", [found], 0.01)
            took[noted].append(time.perf_counter() - began)
        stop.set()
        writer.join()
        looks.write(gallery)
        assert len(Audit(gallery).find(verb="search", limit=None)) == len(took[True])
        began = time.perf_counter()
        for _ in range(ROWS):
            Audit(gallery).record(verb="search.photo", subject="collection:all", actor="os:0")
        own_row_ms = 1000 * (time.perf_counter() - began) / ROWS
        assert Audit(gallery).verify().problem is None
    without, with_ = (1000 * float(np.mean(took[noted])) for noted in (False, True))
    row = {
        "people": asked.people, "searches": asked.searches, "search_ms": round(without, 4),
        "with_row_ms": round(with_, 4), "ratio": round(with_ / without, 3),
        "p95_ratio": round(
            float(np.percentile(took[True], 95) / np.percentile(took[False], 95)), 3
        ),
        "row_alone_ms": round(own_row_ms, 3),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }  # fmt: skip
    print(row)
    path = Path(__file__).parent / "results" / f"audit-search-{hardware_slug()}.csv"
    write_csv(path, [row])


if __name__ == "__main__":
    main()
