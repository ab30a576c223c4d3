"""YouTube Faces (Wolf, Hassner & Maoz, CVPR 2011): pairs of videos, frames in folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.evaluate.readers._pairs import PairList, integer, read_lines
from arcid.evaluate.sources import Photo
from arcid.image import is_photo


def read_ytf(splits: Path, frames: Path, *, max_frames: int | None = None) -> PairList:
    """``splits.txt`` (``split, person/video, person/video, similarity, same``) and frame folders.

    ``frames`` holds ``person/video/*.jpg`` (``frame_images_DB`` or ``aligned_images_DB``).
    ``max_frames``: evenly spaced frames taken of each video, all by default. A unit is a video; its
    vector is the mean of its frames'.
    """
    photos: list[Photo] = []
    units: dict[str, int] = {}
    members: list[tuple[int, ...]] = []
    first, second, same, folds = [], [], [], []
    for number, line in read_lines(splits):
        where = f"{splits.name} line {number}"
        fields = [f.strip() for f in line.split(",")]
        if number == 1 and not fields[0].isdigit():
            continue  # the header
        if len(fields) != 5 or fields[4] not in ("0", "1"):
            raise DatasetInvalid(
                f"{where}: expected 'split, person/video, person/video, similarity, 0|1', "
                f"got {line!r}"
            )
        rows = []
        for video in fields[1:3]:
            if video not in units:
                units[video] = len(members)
                found = _frames(frames, video, where, max_frames)
                members.append(tuple(range(len(photos), len(photos) + len(found))))
                photos += [Photo(p.relative_to(frames).as_posix(), p) for p in found]
            rows.append(units[video])
        first.append(rows[0])
        second.append(rows[1])
        same.append(fields[4] == "1")
        folds.append(integer(fields[0], where, minimum=1) - 1)
    names = tuple(units)
    return PairList(
        "ytf",
        tuple(photos),
        tuple(members),
        names,
        np.array(first, np.int64),
        np.array(second, np.int64),
        np.array(same, bool),
        np.array(folds, np.int64),
        tuple(n.rpartition("/")[0] for n in names),
    )


def _frames(root: Path, video: str, where: str, limit: int | None) -> list[Path]:
    folder = root / video
    if not folder.resolve().is_relative_to(root.resolve()):
        raise DatasetInvalid(f"{where}: {video!r} leads out of the frame folder")
    files = sorted((p for p in folder.glob("*") if is_photo(p, folder)), key=_frame_number)
    if not files:
        raise DatasetInvalid(f"{where} names the video {video!r}, which has no frames")
    if limit is not None and len(files) > limit:
        files = [files[i] for i in np.linspace(0, len(files) - 1, limit).round().astype(int)]
    return files


def _frame_number(path: Path) -> tuple[list[int], str]:
    return [int(part) for part in path.stem.replace("_", ".").split(".") if part.isdigit()], str(
        path
    )
