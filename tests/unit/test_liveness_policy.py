"""off, flag and require, per camera."""

from __future__ import annotations

import pytest

from arcid.errors import UsageError
from arcid.liveness import LivenessPolicy

POLICY = LivenessPolicy("flag", {"door": "require", "hall": "off"})


@pytest.mark.parametrize(
    ("camera", "score", "outcome", "accepted", "spoof"),
    [
        ("hall", 0.01, "not_checked", True, False),
        ("hall", None, "not_checked", True, False),
        ("yard", 0.51, "live", True, False),
        ("yard", 0.5, "live", True, False),
        ("yard", 0.49, "flagged", True, True),
        ("yard", None, "flagged", True, False),
        ("door", 0.9, "live", True, False),
        ("door", 0.49, "refused", False, True),
        ("door", None, "refused", False, False),
    ],
)
def test_what_each_mode_makes_of_a_score(
    camera: str, score: float | None, outcome: str, accepted: bool, spoof: bool
) -> None:
    judged = POLICY.judge(camera, score, 0.5)
    assert (judged.outcome, judged.accepted, judged.spoof) == (outcome, accepted, spoof)
    assert judged.reason
    assert judged.to_dict()["outcome"] == outcome


def test_only_cameras_that_use_it_need_the_networks() -> None:
    assert not POLICY.needed("hall")
    assert POLICY.needed("door") and POLICY.needed("a camera nobody named")
    assert not LivenessPolicy().needed("door")


def test_an_unknown_mode_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"'maybe' of door .*off, flag, require"):
        LivenessPolicy("off", {"door": "maybe"})  # type: ignore[dict-item]
