"""What sealing costs: enrolment, search, and the first search, which reads every vector.

python benchmarks/protection.py [--faces 100000] [--dim 512] [--pairs 60 | --starts 5] [--folder D]

Two galleries of the same made-up people, one sealed and one as before, are asked by turns in one
process; medians in ms, and the median of the ratios of pairs. ``--starts``: instead, how long it
takes from opening the sealed gallery to the first answer, with the sealed file of its index and,
once, without it; and what writing that file takes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from arcid.gallery import Gallery, NewFace, schema
from arcid.gallery.seals import row_seal
from arcid.gallery.store import collections, journal, vectors
from arcid.gallery.store import people as people_store
from arcid.types import Embeddings

CONTRACT = "0" * 64
FACES_EACH = 5
BLOCK = 1000  # people written at once


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--starts", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        os.environ["ARCID_HOME"] = str(Path(folder) / "home")
        if options.starts:
            starts(Path(folder) / "sealed", options.faces, options.dim, options.starts)
            return
        sealed, clear = (
            opened(Path(folder) / name, name == "sealed") for name in ("sealed", "clear")
        )
        for gallery in (sealed, clear):
            fill(gallery, options.faces, options.dim)
            began = time.perf_counter()
            gallery.search("staff", probe(0, options.dim), k=5)
            print(
                f"first search of {options.faces} faces, "
                f"{'sealed' if gallery is sealed else 'clear'}: {time.perf_counter() - began:.2f} s"
            )
        compare("search", sealed, clear, options.pairs,
                lambda g, i: g.search("staff", probe(i, options.dim), k=5))  # fmt: skip
        for gallery in (sealed, clear):
            gallery.create_collection("new")
        compare("enrol", sealed, clear, options.pairs, lambda g, i: enrol(g, i, options.dim))
        for gallery in (sealed, clear):
            gallery.close()


def starts(folder: Path, count: int, dim: int, turns: int) -> None:
    """Whole times in seconds; the files lie in the system's cache."""
    with opened(folder, True) as gallery:
        fill(gallery, count, dim)
    index = folder / "gallery.db-index"
    without = started(folder, dim, keep=True)
    (file,) = index.iterdir()
    times = [started(folder, dim) for _ in range(turns)]
    print(
        f"{count} faces of {dim}: first answer {np.median(times):.2f} s after opening "
        f"({min(times):.2f} to {max(times):.2f}, {turns} starts), without the file "
        f"{without:.2f} s; the file {file.stat().st_size / 2**20:.0f} MiB"
    )


def started(folder: Path, dim: int, *, keep: bool = False) -> float:
    began = time.perf_counter()
    with Gallery.open(folder / "gallery.db") as gallery:
        gallery.search("staff", probe(0, dim), k=5)
        took = time.perf_counter() - began
        began = time.perf_counter()
    if keep:
        print(f"writing the file, once the index was built: {time.perf_counter() - began:.2f} s")
    return took


def opened(folder: Path, protect: bool) -> Gallery:
    folder.mkdir()
    gallery = Gallery.open(folder / "gallery.db")
    if not protect:
        with gallery.database.write() as connection:
            connection.execute(schema.gallery.update().values(protected=0))
        Path(gallery.database.vault.store.url).unlink()
    gallery.create_collection("staff")
    return gallery


def fill(gallery: Gallery, count: int, dim: int) -> None:
    for start in range(0, count // FACES_EACH, BLOCK):
        with journal.writing(gallery.database) as log:
            own = collections.find(log.connection, "staff")
            made_by = vectors.ensure_contract(log, CONTRACT, dim, "made up")
            owners, rows = [], []
            for number in range(start, min(start + BLOCK, count // FACES_EACH)):
                person = people_store.add(log, own, f"Person {number}", None)
                for photo in range(FACES_EACH):
                    values = {
                        "uid": uuid.uuid4().hex, "collection_id": own["id"],
                        "person_id": person["id"], "photo_id": None, "box": None, "score": None,
                        "quality": "{}", "source": "", "provenance": "{}", "created_at": log.now,
                    }  # fmt: skip
                    values["seal"] = row_seal("faces", values)
                    owners.append((log.insert(schema.faces, values)["id"], person))
                    rows.append(probe(number, dim, 1 + photo).vectors[0])
            vectors.store(log, own, made_by, owners, Embeddings(np.stack(rows), CONTRACT))


def enrol(gallery: Gallery, person: int, dim: int) -> None:
    gallery.enrol("new", f"Person {person}", [NewFace(probe(person, dim))])


def probe(person: int, dim: int, photo: int = 0) -> Embeddings:
    """(1,dim) unit norm: one photo of one made-up person."""
    face = np.random.default_rng(person).normal(size=(1, dim))
    noise = np.random.default_rng((person, photo)).normal(size=(1, dim))
    return Embeddings.normalised(face + 0.6 * noise, CONTRACT)


def compare(
    what: str, sealed: Gallery, clear: Gallery, pairs: int, act: Callable[[Gallery, int], Any]
) -> None:
    times: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(pairs):
        for mine in (turn % 2 == 0, turn % 2 == 1):
            began = time.perf_counter()
            act(sealed if mine else clear, turn)
            times[mine].append((time.perf_counter() - began) * 1000)
    own, other = np.array(times[True]), np.array(times[False])
    print(
        f"{what}: sealed {np.median(own):.2f} ms, clear {np.median(other):.2f} ms; "
        f"ratio {np.median(own) / np.median(other):.3f}, of pairs {np.median(own / other):.3f}"
    )


if __name__ == "__main__":
    main()
