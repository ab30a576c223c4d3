"""What a camera does with a liveness answer: off, flag or require.

policy = LivenessPolicy("flag", cameras={"door": "require"})
policy.judge("door", score=0.2, threshold=0.5).outcome   # "refused"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from arcid.errors import UsageError

Mode = Literal["off", "flag", "require"]
Outcome = Literal["not_checked", "live", "flagged", "refused"]
MODES: tuple[Mode, ...] = ("off", "flag", "require")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows for one face; ``accepted`` faces may be recognised."""

    outcome: Outcome
    reason: str
    score: float | None = None
    threshold: float | None = None

    @property
    def accepted(self) -> bool:
        return self.outcome != "refused"

    @property
    def spoof(self) -> bool:
        """An attack is suspected, whether the camera let the face through or not. A face that
        could not be checked is no suspicion."""
        return self.outcome in ("flagged", "refused") and self.score is not None

    def to_dict(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "score": None if self.score is None else round(self.score, 4),
            "threshold": self.threshold,
        }


@dataclass(frozen=True, slots=True)
class LivenessPolicy:
    """``default`` for every camera but those named in ``cameras``."""

    default: Mode = "off"
    cameras: Mapping[str, Mode] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for where, mode in {"default": self.default, **self.cameras}.items():
            if mode not in MODES:
                raise UsageError(
                    f"liveness policy {mode!r} of {where} is unknown; use {', '.join(MODES)}"
                )

    def mode(self, camera: str) -> Mode:
        return self.cameras.get(camera, self.default)

    def needed(self, camera: str) -> bool:
        """Whether the camera's faces have to be looked at at all."""
        return self.mode(camera) != "off"

    def judge(self, camera: str, score: float | None, threshold: float) -> Judgement:
        """``score`` 0–1, higher is live; None where the face could not be checked.

        Where liveness is required, a face that could not be checked is refused: no answer is not
        a good answer.
        """
        mode = self.mode(camera)
        if mode == "off":
            return Judgement("not_checked", "liveness is off for this camera")
        if score is None:
            outcome: Outcome = "refused" if mode == "require" else "flagged"
            return Judgement(
                outcome, "liveness could not be measured on this face", None, threshold
            )
        if score >= threshold:
            reason = f"liveness score {score:.2f} reaches the threshold {threshold:.2f}"
            return Judgement("live", reason, score, threshold)
        reason = f"liveness score {score:.2f} is below the threshold {threshold:.2f}"
        return Judgement("refused" if mode == "require" else "flagged", reason, score, threshold)
