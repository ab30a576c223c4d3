"""How likely a stranger opens a door: what is asked, among whom, and what stands behind it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from arcid.apps.access import Door
from arcid.apps.access.chance import chance
from arcid.apps.access.local import Admitted, LocalCopy, admitted
from arcid.apps.access.rules import Pass, Site
from arcid.calibration import Calibration
from arcid.models import weights

DOOR = Door("d", "Front", "staff")


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return weights.packaged_calibration(weights.resolve_default("recognition"))


def those(count: int) -> Admitted:
    return Admitted(frozenset(map(str, range(count))), count)


def test_more_people_and_a_smaller_chance_ask_for_a_higher_cosine(
    calibration: Calibration,
) -> None:
    found = [chance(replace(DOOR, fpir=rate), those(n), calibration)
             for n, rate in ((50, 1e-2), (50, 1e-5), (500, 1e-5))]  # fmt: skip
    cosines = [one.cosine_threshold or 0.0 for one in found if one is not None]
    assert 0 < cosines[0] < cosines[1] < cosines[2]
    loose, strict, _ = found
    assert loose is not None and loose.support == "measured" and loose.supported_fpir == 1e-2
    assert strict is not None and strict.support == "extrapolated"
    assert strict.supported_fpir is not None and 1e-5 < strict.supported_fpir < 1e-2
    assert "at most 1 in 100,000 strangers opens this door: 50 people may pass" in strict.words
    assert "extrapolated" in strict.words and "extrapolated" not in loose.words


def test_nobody_is_let_in_where_the_calibration_ends(calibration: Calibration) -> None:
    found = chance(replace(DOOR, fpir=1e-9), those(5000), calibration)
    assert found is not None and (found.support, found.cosine_threshold) == ("out_of_reach", None)
    assert found.words.startswith("nobody is let in")
    assert chance(DOOR, those(1), None) is None


def test_only_templates_of_those_who_may_pass_the_door_count() -> None:
    copy = LocalCopy(("f1", "f2", "f3"), ("ada", "ada", "ben"), {}, np.eye(3, dtype=np.float32))
    site = Site(
        {"d": DOOR, "b": replace(DOOR, id="b", name="Back")},
        {("d", "ada"): (Pass("Staff"),), ("b", "ada"): (Pass("Staff"),),
         ("b", "ben"): (Pass("Guests"),)},
    )  # fmt: skip
    found = admitted(site, {"staff": copy})
    assert (found["d"].people, found["d"].templates) == ({"ada"}, 2)
    assert found["b"].templates == 3
    assert admitted(site, {})["b"].templates == 0
