"""What the console's pages of people ask of a calibration that supports little."""

from __future__ import annotations

import pytest
from tests.unit.test_decide import ruler

from arcid.server.console.pages.people import alike_from


@pytest.mark.parametrize(("supported", "lowest"), [(1e-5, 0.4), (1e-3, 0.3), (1e-2, 0.2)])
def test_who_looks_alike_is_shown_at_a_rate_that_the_calibration_supports(
    supported: float, lowest: float
) -> None:
    """A few people of one's own support no false match rate of 1 in 10,000."""
    assert alike_from(ruler(supported)) == pytest.approx(lowest)
