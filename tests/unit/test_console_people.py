"""What the console's pages of people ask of a calibration that supports little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.unit.test_decide import ruler

from arcid.gallery import Gallery, NewFace
from arcid.server.console.pages.people import alike_from, find_duplicates
from arcid.types import Embeddings


@pytest.mark.parametrize(("supported", "lowest"), [(1e-5, 0.4), (1e-3, 0.3), (1e-2, 0.2)])
def test_doubles_are_shown_at_a_rate_that_the_calibration_supports(
    tmp_path: Path, supported: float, lowest: float
) -> None:
    """A few people of one's own support no false match rate of 1 in 10,000."""
    calibration = ruler(supported)
    assert alike_from(calibration) == pytest.approx(lowest)
    rows = np.eye(3)
    rows[1] += rows[0] * 0.37  # cosine 0.35
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        staff = gallery.create_collection("staff")
        for name, row in zip(("Ann", "Anne", "Bea"), rows, strict=True):
            face = NewFace(Embeddings.normalised([row], calibration.contract_id))
            gallery.enrol("staff", name, [face])
        found = find_duplicates(gallery, staff, calibration)
    expected = [{"Ann", "Anne"}] if lowest < 0.35 else []
    assert [{pair.person.name, pair.match.name} for pair in found] == expected
