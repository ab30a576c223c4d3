"""Whether a place holds aligned crops: by the journal of ``arcid align``, else by their size."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from arcid.errors import DatasetInvalid
from arcid.geometry import TEMPLATE_SIZE
from arcid.train.config.recipe import SourceConfig
from arcid.train.data.crops import CROP_SIZE, Unusable, decode_crop
from arcid.train.data.sources import ImageSource, open_source

_LOOKED_AT = 64


def crops_in(place: Path) -> SourceConfig:
    """How training reads a folder, ``.tar``, ``.rec`` or ``.parquet`` of aligned crops.

    Crops that ``arcid align`` did not make are known by being 112 or 128 pixels square. Raises
    ``DatasetInvalid``, for whole photos and an unfinished ``arcid align`` with the command to run.
    """
    if place.is_dir():
        journal, report = place / ".journal.jsonl", place / "report.csv"
    else:
        journal, report = (
            place.with_name(place.name + end) for end in (".journal.jsonl", ".report.csv")
        )
    if (made := _made(journal)) is not None:
        if not report.is_file():
            raise DatasetInvalid(
                f"arcid align has not finished {place}; first run: "
                f"{_command(Path(made['folder']), place)}"
            )
        return SourceConfig(path=str(place), margin_px=int(made["margin"]))
    source = SourceConfig(path=str(place))
    other = _other_size(open_source(source))
    if other is not None:
        width, height = other
        crops = place.with_name(f"{place.resolve().name}-crops")
        raise DatasetInvalid(
            f"{place} holds whole photos ({width}×{height} pixels), fine-tuning takes aligned "
            f"crops; first run: {_command(place, crops)}. Crops of another size than "
            f"{TEMPLATE_SIZE} and {CROP_SIZE} pixels are named with their margin: "
            "data.sources=[{path: …, margin_px: …}]"
        )
    return source


def _made(journal: Path) -> dict[str, Any] | None:
    """What ``arcid align`` noted when it began; None where it did not make these."""
    try:
        with journal.open(encoding="utf-8") as file:
            made: dict[str, Any] = json.loads(file.readline())
        return made if {"folder", "margin"} <= set(made) else None
    except (OSError, ValueError, TypeError):
        return None


def _other_size(source: ImageSource) -> tuple[int, int] | None:
    """Width and height of a picture that is no crop by its size; None where those looked at are."""
    for index in range(0, len(source), max(1, len(source) // _LOOKED_AT)):
        try:
            height, width = decode_crop(source.read(index)).shape[:2]
        except (OSError, DatasetInvalid, Unusable):  # training counts them
            continue
        if height != width or height not in (TEMPLATE_SIZE, CROP_SIZE):
            return width, height
    return None


def _command(photos: Path, crops: Path) -> str:
    return shlex.join(["arcid", "align", str(photos), str(crops)])


__all__ = ["crops_in"]
