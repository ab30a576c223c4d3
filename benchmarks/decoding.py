"""What decoding uploads in processes of their own costs: photos a second of the service's queue.

    python benchmarks/decoding.py [PAIRS]

The same photos (deepface-pairs of ARCID_DATA) go through two queues by turns, one that decodes in
its own threads and one with ``decode_apart``; each pair gives a ratio, the median counts.
"""

from __future__ import annotations

import statistics
import sys
import time

from arcid import paths
from arcid.pipeline import Pipeline
from arcid.server.batching import Batcher
from arcid.server.metrics import Metrics
from arcid.server.settings import Settings

AT_ONCE = 8


def seconds(batcher: Batcher, photos: list[bytes]) -> float:
    """For all of them, so many at a time."""
    began = time.perf_counter()
    for first in range(0, len(photos), AT_ONCE):
        for answer in batcher.submit(photos[first : first + AT_ONCE]):
            answer.result()
    return time.perf_counter() - began


def main(pairs: int = 15) -> int:
    folder = paths.required_data_dir() / "data" / "deepface-pairs"
    photos = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))[:24]]
    pipeline = Pipeline.from_models()
    queues = {
        apart: Batcher(pipeline, Settings.load(decode_apart=apart), Metrics())
        for apart in (False, True)
    }
    took: dict[bool, list[float]] = {False: [], True: []}
    for batcher in queues.values():
        seconds(batcher, photos)
    for turn in range(pairs):
        for apart in (False, True) if turn % 2 else (True, False):
            took[apart].append(seconds(queues[apart], photos))
    for apart, times in took.items():
        name = "apart" if apart else "in threads"
        print(f"{name}: {len(photos) / statistics.median(times):.1f} photos/s")
    ratios = [apart / here for apart, here in zip(took[True], took[False], strict=True)]
    print(f"time apart / in threads: median {statistics.median(ratios):.2f} of {pairs} pairs, "
          f"{min(ratios):.2f} to {max(ratios):.2f}")  # fmt: skip
    for batcher in queues.values():
        batcher.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
