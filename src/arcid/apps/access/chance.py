"""How likely a stranger's passage opens a door, as it is set up now.

A face is searched among everybody in the door's collection; it opens the door where its nearest
person may pass and the cosine reaches the threshold at ``fpir`` for the templates of those who may.
A stranger does that at most as often as a search of those templates alone errs. What else a passage
needs (looks that agree, a living face, the hours) lowers it further and is not counted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from arcid.apps.access.doors import Doors
from arcid.apps.access.local import Admitted, LocalCopy, admitted
from arcid.apps.access.rules import Door
from arcid.calibration import Calibration, fpir_for_fmr
from arcid.errors import RateUnsupported
from arcid.gallery import Gallery
from arcid.types import counted

Support = Literal["measured", "extrapolated", "out_of_reach"]


@dataclass(frozen=True, slots=True)
class Chance:
    """What a door's error rate comes to."""

    target_fpir: float  # as the door asks
    people: int  # who may pass
    templates: int  # of theirs
    support: Support  # out of reach: nobody is let in
    cosine_threshold: float | None
    supported_fpir: float | None  # the least that the calibration's own data stand for there
    missed: float | None  # share of comparisons of one person's two photos below the threshold

    @property
    def words(self) -> str:
        people = "1 person" if self.people == 1 else f"{self.people:,} people"
        those = f"{people} may pass ({counted(self.templates, 'enrolled face')})"
        if not self.people:
            return "nobody may pass yet"
        if self.supported_fpir is None:
            return (
                f"nobody is let in: {those}, and the calibration reaches no chance as low as "
                f"{_one_in(self.target_fpir)} that a stranger opens this door; ask for a larger "
                "fpir, or calibrate on more people"
            )
        said = f"at most {_one_in(self.target_fpir)} strangers opens this door: {those}"
        if self.support == "extrapolated":
            said += f"; extrapolated, what was measured stands for {_one_in(self.supported_fpir)}"
        return said

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def chance(door: Door, those: Admitted, calibration: Calibration | None) -> Chance | None:
    """Of a door that ``those`` may pass; None without a calibration: nobody is let in."""
    if calibration is None:
        return None
    size, people = max(those.templates, 1), len(those.people)
    try:
        found = calibration.threshold_at_fpir(door.fpir, size, allow_extrapolation=True)
    except RateUnsupported:
        return Chance(door.fpir, people, those.templates, "out_of_reach", None, None, None)
    supported = fpir_for_fmr(calibration.stated_fmr(found.cosine), size)
    return Chance(
        door.fpir, people, those.templates, "extrapolated" if found.extrapolated else "measured",
        found.cosine, max(supported, door.fpir), calibration.fnmr(found.cosine),
    )  # fmt: skip


def chance_of(gallery: Gallery, door: Door, calibration: Calibration | None) -> Chance | None:
    """``chance`` of a door as the gallery stands now. Raises ``GalleryError`` kinds."""
    if calibration is None:
        return None
    site = Doors(gallery).site()[0]
    persons = {person for _, person in site.passes}
    copy = LocalCopy.read(gallery, door.collection, persons, calibration.contract_id)
    return chance(door, admitted(site, {door.collection: copy})[door.id], calibration)


def _one_in(rate: float) -> str:
    return f"1 in {float(f'{1 / rate:.2g}'):,.0f}"


__all__ = ["Chance", "chance", "chance_of"]
