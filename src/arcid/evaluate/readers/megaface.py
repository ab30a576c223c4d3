"""MegaFace: probe and distractor lists, noise lists of the refined set, feature files."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.evaluate.readers._pairs import read_lines
from arcid.types import FloatArray


@dataclass(frozen=True, eq=False)
class MegafaceLists:
    """Which photos are probes (with their people) and which are distractors."""

    probes: tuple[str, ...]  # paths as the lists write them
    people: tuple[str, ...]  # of each probe
    distractors: tuple[str, ...]
    noisy_probes: int  # left out by the noise list
    noisy_distractors: int


def read_megaface(
    probes: Path,
    distractors: Path,
    *,
    probe_noises: Path | None = None,
    distractor_noises: Path | None = None,
) -> MegafaceLists:
    """Lists as plain text (a path a line) or the devkit's JSON (``path`` and ``id``).

    A probe's person is its JSON ``id`` or its folder. With the noise lists of the refined set
    (``#`` comments; distractors as ``…<tab>path``) the photos named there are left out.
    """
    paths, ids = _list(probes)
    people = ids or [Path(p).parent.name for p in paths]
    far, _ = _list(distractors)
    bad_probes = _noises(probe_noises) if probe_noises else frozenset()
    bad_far = _noises(distractor_noises) if distractor_noises else frozenset()
    keep = [i for i, p in enumerate(paths) if Path(p).name not in bad_probes]
    kept = tuple(p for p in far if "/".join(Path(p).parts[-3:]) not in bad_far)
    if len({people[i] for i in keep}) < 1 or not kept:
        raise DatasetInvalid("nothing is left of the probe or the distractor list")
    return MegafaceLists(
        tuple(paths[i] for i in keep),
        tuple(people[i] for i in keep),
        kept,
        len(paths) - len(keep),
        len(far) - len(kept),
    )


def _list(path: Path) -> tuple[list[str], list[str] | None]:
    try:
        with path.open("rb") as file:
            starts = file.read(1)
    except OSError as error:
        raise DatasetInvalid(f"{path.name} cannot be opened: {error.strerror}") from None
    if starts != b"{":
        found = [line for _, line in read_lines(path)]
        if not found:
            raise DatasetInvalid(f"{path.name} is empty")
        return found, None
    try:
        data: Any = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DatasetInvalid(f"{path.name} is not JSON: {error}") from None
    paths, ids = data.get("path"), data.get("id")
    if not isinstance(paths, list) or not all(isinstance(p, str) for p in paths) or not paths:
        raise DatasetInvalid(f"{path.name} needs a list of paths under 'path'")
    if ids is not None and (not isinstance(ids, list) or len(ids) != len(paths)):
        raise DatasetInvalid(f"{path.name}: 'id' needs one entry for each of {len(paths)} paths")
    return paths, None if ids is None else [str(i) for i in ids]


def _noises(path: Path) -> frozenset[str]:
    return frozenset(
        line.split("\t")[-1].strip() for _, line in read_lines(path) if not line.startswith("#")
    )


def read_matio(path: Path) -> FloatArray:
    """One feature of the devkit: four int32 (rows, columns, row size or step, type 5) and floats.

    (D,) float32 out. Raises ``DatasetInvalid`` on another type or a file cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetInvalid(f"{path.name} cannot be opened: {error.strerror}") from None
    if len(data) < 16:
        raise DatasetInvalid(f"{path.name} is cut short at byte {len(data)}: no header")
    rows, columns, _, kind = struct.unpack("<4i", data[:16])
    count = rows * columns
    if kind != 5 or rows < 1 or columns < 1 or len(data) != 16 + 4 * count:
        raise DatasetInvalid(
            f"{path.name} is not a float feature: {rows}×{columns} of type {kind} in "
            f"{len(data)} bytes"
        )
    return np.frombuffer(data, "<f4", count, 16).astype(np.float32)
