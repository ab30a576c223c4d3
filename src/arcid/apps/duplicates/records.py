"""What a search for duplicates hands out: plain frozen values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from arcid.decide import counted_pairs
from arcid.types import instant

Kind = Literal["all", "between", "since"]
State = Literal["waiting", "running", "stopped", "done", "failed"]
Verdict = Literal["same", "different", "lookalike", "unsure"]
PairState = Literal["open", "same", "different", "lookalike", "unsure", "photo"]
VERDICTS: tuple[Verdict, ...] = ("same", "different", "lookalike", "unsure")
PAIR_STATES: tuple[PairState, ...] = ("open", *VERDICTS, "photo")
UNANSWERED = ("open", "photo")
APART = ("different", "lookalike", "photo")  # these two are never one person
SILENT_AFTER = timedelta(minutes=2)  # a run without a block for so long was cut off


@dataclass(frozen=True, slots=True)
class Run:
    """A comparison of everybody with everybody, or as far as it has come."""

    id: str
    collection: str
    other: str | None  # the other collection, where two are compared
    kind: Kind
    state: State
    contract_id: str
    calibration_id: str
    false_pairs: float  # expected at most, as asked for
    comparisons: int  # pairs of two different people's templates
    target_fmr: float
    cosine_threshold: float
    false_low: int | None  # 95 % of runs like it find so many false pairs; None: of old runs
    false_high: int | None
    extrapolated: bool
    combined: bool  # the user's people and the packaged calibration stand behind it
    templates: int
    blocks: int
    done: int
    pairs: int  # found so far
    open: int  # of them, waiting for an answer
    actor: str
    holder: str
    started_at: datetime  # UTC
    beat_at: datetime  # UTC; its last block
    ended_at: datetime | None  # UTC
    worked_s: float
    problem: str | None

    @property
    def share(self) -> float:
        """How much of it is done, 0-1."""
        return self.done / self.blocks if self.blocks else 1.0

    @property
    def silent(self) -> bool:
        """It runs, but nothing was heard of it: whoever ran it was cut off."""
        return self.state == "running" and datetime.now(UTC) - self.beat_at > SILENT_AFTER

    @property
    def promise(self) -> str:
        """What its threshold means, in words."""
        how = between = ""
        if self.extrapolated:
            how = ", extrapolated beyond the measured data"
        elif self.combined:
            how = ", of your people and the packaged calibration combined"
        if self.false_high is not None:
            most = f"{self.false_low:,} to {self.false_high:,}" if self.false_high else "none"
            between = (
                f"; {most} in 95 of 100 such runs, where the photos are like those of the "
                "calibration"
            )
        asked = counted_pairs(self.false_pairs)
        return (
            f"at most {asked} expected in {self.comparisons:,} comparisons of different people's "
            f"templates{between}: a false match rate of {self.target_fmr:.1e}{how}, cosine "
            f"{self.cosine_threshold:.3f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return asdict(self) | {
            "started_at": instant(self.started_at),
            "beat_at": instant(self.beat_at),
            "ended_at": None if self.ended_at is None else instant(self.ended_at),
            "share": self.share,
            "silent": self.silent,
            "promise": self.promise,
        }


@dataclass(frozen=True, slots=True)
class Side:
    """One person of a pair, with the template that is nearest to the other's."""

    person_id: str
    name: str
    collection: str
    face_id: str
    faces: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people who may be one."""

    id: str
    run_id: str  # the run that found it last
    a: Side
    b: Side
    cosine: float  # of their two nearest templates
    probability: float
    fmr: float
    templates: int  # pairs of their templates that reach the run's threshold
    state: PairState
    same_photo: bool  # one photo was enrolled under both names
    found_at: datetime  # UTC
    answer_id: str | None  # the answer that stands

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return asdict(self) | {"found_at": instant(self.found_at)}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a human said about two people."""

    id: str
    verdict: Verdict
    a_id: str
    a_name: str | None  # None: not there any more
    b_id: str
    b_name: str | None
    cosine: float
    actor: str
    note: str
    at: datetime  # UTC
    merge_id: str | None  # of "same": they were merged
    undone_at: datetime | None
    undone_by: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        undone = None if self.undone_at is None else instant(self.undone_at)
        return asdict(self) | {"at": instant(self.at), "undone_at": undone}


@dataclass(frozen=True, slots=True)
class Group:
    """People who may all be one."""

    people: tuple[Side, ...]  # by name
    pairs: tuple[str, ...]  # ids of the pairs that join them, most probable first
    refused: tuple[str, ...]  # pairs that would join it with somebody who is said not to be one
    cosine: float  # of the weakest pair that was needed

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of an answer that was taken back."""

    answer: Answer
    pair_id: str | None  # the pair as it stands again; None: one of the two is not there any more
    missing_faces: int = 0  # of an undone merge: deleted or given away since

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return {
            "answer": self.answer.to_dict(),
            "pair_id": self.pair_id,
            "missing_faces": self.missing_faces,
        }
