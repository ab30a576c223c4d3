"""IJB-S (Kalka et al., BTAS 2018): people in surveillance video against stills and other video.

protocols/cs6_metadata.csv                          subject,file,… with videos/N.mp4 and img/N.jpg
protocols/cs6_surveillance_to_NAME_probe.csv        a header, then videos/N.mp4 a line
protocols/galleries/cs6_surveillance_to_NAME_g1.csv template,subject,file (and …_g2)
crops/SUBJECT/videos_N_FRAME.jpg, img_N.jpg         the faces, cut out by the set's ground truth

The crops are made by whoever has the set, in the layout that the first published evaluations used.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from arcid.errors import DatasetInvalid, UsageError
from arcid.evaluate.readers._csv import numbered_rows
from arcid.evaluate.readers._pairs import PairList
from arcid.evaluate.sources import Photo
from arcid.image import is_photo

#: Protocol → (list of probes, lists of the gallery), of surveillance video.
PROTOCOLS = {
    "single": ("single-booking", "single"),
    "booking": ("single-booking", "booking"),
    "surveillance": ("surveillance", "surveillance"),
}
Rows = list[list[str]]


def read_ijbs(
    root: Path,
    protocol: Literal["single", "booking", "surveillance"] = "single",
    *,
    max_frames: int | None = None,
) -> PairList:
    """Every probe (a subject in a video) against every template of both galleries, 1:1.

    A unit is a probe's frames or a template's photos; its vector is the mean of theirs. Subjects
    without a crop are left out, as are pairs of a video with itself. ``max_frames``: evenly spaced
    ones of each video. Raises ``DatasetInvalid``.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"IJB-S protocol {protocol!r} is unknown; use {', '.join(PROTOCOLS)}")
    probes_of, gallery_of = PROTOCOLS[protocol]
    folder = root / "protocols"
    wanted = {r[0] for r in _rows(folder / f"cs6_surveillance_to_{probes_of}_probe.csv", 1)}
    seen = _rows(folder / "cs6_metadata.csv", 2)
    probes = sorted({(r[0], r[1]) for r in seen if r[1].startswith("videos") and r[1] in wanted})
    templates: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for part in ("g1", "g2"):
        path = folder / "galleries" / f"cs6_surveillance_to_{gallery_of}_{part}.csv"
        for template, subject, file in (r[:3] for r in _rows(path, 3)):
            templates[part, template, subject].add(file)
    crops = _Crops(root / "crops", max_frames)
    units: list[tuple[int, ...]] = []
    names: list[str] = []
    people: list[str] = []
    sources: list[frozenset[str]] = []

    def add(name: str, subject: str, files: set[str]) -> bool:
        rows = [row for file in sorted(files) for row in crops.rows(subject, file)]
        if rows:
            units.append(tuple(rows))
            names.append(name)
            people.append(subject)
            sources.append(frozenset(files))
        return bool(rows)

    near = sum(add(f"{file} {subject}", subject, {file}) for subject, file in probes)
    for (part, template, subject), files in sorted(templates.items()):
        add(f"{part} {template} {subject}", subject, files)
    listed = [
        (a, b)
        for a in range(near)
        for b in range(near, len(units))
        if not sources[a] <= sources[b] or people[a] != people[b]
    ]
    first, second = np.array(listed, np.int64).reshape(-1, 2).T
    owners = np.array(people)
    return PairList(
        f"ijbs-{protocol}",
        tuple(crops.photos),
        tuple(units),
        tuple(names),
        first,
        second,
        owners[first] == owners[second],
        None,
        tuple(people),
    )


class _Crops:
    """Photos of ``crops/``, each once."""

    def __init__(self, root: Path, limit: int | None) -> None:
        if not root.is_dir():
            raise DatasetInvalid(
                "there is no folder crops/: cut the faces out by the set's ground truth first, as "
                "crops/SUBJECT/videos_N_FRAME.jpg and img_N.jpg"
            )
        self.photos: list[Photo] = []
        self._rows: dict[tuple[str, str], list[int]] = {}
        self._root, self._limit = root, limit

    def rows(self, subject: str, file: str) -> list[int]:
        """Of a subject in a video or still, as ``videos/N.mp4`` or ``img/N.jpg``."""
        key = (subject, file)
        if key not in self._rows:
            start = len(self.photos)
            for path in self._files(subject, PurePosixPath(file)):
                self.photos.append(Photo(path.relative_to(self._root).as_posix(), path))
            self._rows[key] = list(range(start, len(self.photos)))
        return self._rows[key]

    def _files(self, subject: str, file: PurePosixPath) -> list[Path]:
        folder = self._root / subject
        if not folder.resolve().is_relative_to(self._root.resolve()):
            raise DatasetInvalid(f"the subject {subject!r} leads out of crops/")
        if not folder.is_dir():
            return []
        stem = f"{file.parent.name}_{file.stem}"
        found = [
            path
            for path in folder.iterdir()
            if is_photo(path, folder) and (path.stem == stem or path.stem.startswith(f"{stem}_"))
        ]
        found.sort(key=lambda path: (len(path.stem), path.stem))  # by the number of the frame
        if self._limit is not None and len(found) > self._limit:
            chosen = np.linspace(0, len(found) - 1, self._limit).round().astype(int)
            found = [found[i] for i in chosen]
        return found


def _rows(path: Path, columns: int) -> Rows:
    """Below the header. Raises ``DatasetInvalid``."""
    rows = numbered_rows(path)
    for number, row in rows[1:]:
        if len(row) < columns:
            raise DatasetInvalid(f"{path.name} line {number}: {columns} columns are needed")
    if len(rows) < 2:
        raise DatasetInvalid(f"{path.name} lists nothing")
    return [[field.strip() for field in row] for _, row in rows[1:]]
