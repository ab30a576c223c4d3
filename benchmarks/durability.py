"""What it costs that no acknowledged write goes unmissed, and that what is deleted is erased.

python benchmarks/durability.py [--faces 600] [--folder DIR]

Enrols made-up vectors, deletes people, closes: medians in ms, and of an enrolment the part that the
mark beside the database takes. The folder decides what a sync costs; default: a temporary one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from arcid.gallery import Gallery, NewFace
from arcid.gallery.mark import Mark
from arcid.types import Embeddings

CONTRACT = "0" * 64


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=600)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    marked: list[float] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        gallery = Gallery.open(Path(folder) / "gallery.db")
        gallery.create_collection("staff")
        plain = Mark.acknowledge
        Mark.acknowledge = timed(plain, marked)  # type: ignore[method-assign]
        enrolled: list[float] = []
        enrol = timed(gallery.enrol, enrolled)
        for i in range(options.faces):
            vector = np.random.default_rng(i).normal(size=(1, 128))
            face = NewFace(Embeddings.normalised(vector, CONTRACT), f"photo-{i}")
            enrol("staff", f"Person {i % 40}", [face])
        Mark.acknowledge = plain  # type: ignore[method-assign]
        deleted: list[float] = []
        delete = timed(gallery.delete_person, deleted)
        for person in gallery.people("staff")[:20]:
            delete("staff", person.id)
        closed: list[float] = []
        timed(gallery.close, closed)()
    for what, times in (
        ("enrol", enrolled), ("of which the mark", marked), ("delete a person", deleted),
        ("close, written anew", closed),
    ):  # fmt: skip
        print(f"{what}: {1000 * float(np.median(times)):.2f} ms ({len(times)} times)")


def timed(call: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    def run(*args: Any, **values: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args, **values)
        finally:
            times.append(time.perf_counter() - began)

    return run


if __name__ == "__main__":
    main()
