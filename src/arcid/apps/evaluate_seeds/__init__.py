"""The published figures of ArcFace, and ours on every one of their sets that is here.

A set lies in a folder of its own below one folder (``SETS`` names them). What others published is
quoted with whose it is; ours is measured now, with the model asked for. Sets that are tests stay
tests: nothing is chosen by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcid.apps.evaluate_photos import Run
from arcid.apps.evaluate_seeds.published import PUBLISHED, Published
from arcid.apps.evaluate_seeds.sets import SETS, Bench, How, measure_bin
from arcid.errors import DatasetInvalid, InputError
from arcid.evaluate.metrics import Rate


@dataclass(frozen=True, slots=True)
class Row:
    """One number of one set: ours, where the set is here, beside what was published."""

    name: str
    metric: str
    ours: Rate | None
    published: tuple[Published, ...] = ()
    note: str = ""  # why ours is missing, or what it rests on

    def to_dict(self) -> dict[str, Any]:
        return {
            "set": self.name,
            "metric": self.metric,
            "ours": None if self.ours is None else self.ours.to_dict(),
            "published": [
                {"value": p.value, "whose": p.whose, "note": p.note} for p in self.published
            ],
            "note": self.note,
        }


def present(root: Path) -> list[str]:
    """Names of the sets whose folder is here. Raises ``DatasetInvalid`` where none is."""
    found = [name for name in SETS if (root / name).is_dir()]
    if not found:
        raise DatasetInvalid(
            f"{root.name or root} holds none of the sets; each lies in a folder of its own: "
            f"{', '.join(SETS)}"
        )
    return found


def evaluate_seeds(root: Path, how: How, begin: Callable[[How, object], Run]) -> list[Row]:
    """Measure every set that is here; ``begin`` starts one measurement.

    A set that cannot be read or measured is a row that says why; the others go on. Raises
    ``DatasetInvalid`` where no set is here, and ``ModelError`` kinds.
    """
    here = {name: root / name for name in present(root)}
    folder = here.pop("bin", None)
    places = [(name, SETS[name], place) for name, place in here.items()]
    if folder is not None:
        places += [(file.name, measure_bin, file) for file in sorted(folder.glob("*.bin"))]
    bench = Bench(how, begin)
    rows: list[Row] = []
    for name, measure, place in places:
        try:
            found = measure(bench, place)
        except InputError as error:
            rows.append(Row(name, "", None, note=error.message))
            continue
        rows += [
            Row(of, metric, rate, PUBLISHED.get((of, metric), ())) for of, metric, rate in found
        ]
    told = {(row.name, row.metric) for row in rows}
    rows += [
        Row(of, metric, None, published, "not here" if of not in here else "not measured so")
        for (of, metric), published in PUBLISHED.items()
        if (of, metric) not in told
    ]
    return rows


__all__ = ["PUBLISHED", "SETS", "Published", "Row", "evaluate_seeds", "present"]
