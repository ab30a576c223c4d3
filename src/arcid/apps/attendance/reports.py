"""What is reported of faces: arrivals, visitors, attacks, and the grounds of each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from arcid.apps.attendance.outcomes import Outcomes
from arcid.apps.attendance.policy import Policy
from arcid.apps.attendance.tracked import TrackState
from arcid.apps.watching import LivenessRule, Post
from arcid.apps.watching.grounds import decided_on, question
from arcid.errors import InputError
from arcid.events import Event, Place, Sightings
from arcid.gallery import Gallery
from arcid.types import Embeddings, Image


class Reports:
    """One camera's reports."""

    def __init__(
        self,
        post: Post,
        gallery: Gallery,
        collection: str,
        policy: Policy,
        outcomes: Outcomes,
        liveness: LivenessRule,
    ) -> None:
        self._post = post
        self._sightings = Sightings(gallery)
        self._collection = collection
        self._place = Place(policy.place or post.camera, post.camera)
        self._policy = policy
        self._outcomes = outcomes
        self._liveness = liveness
        calibration = post.pipeline.calibration
        self._alike = calibration.threshold_at_fmr(
            max(policy.visitor_fmr, calibration.smallest_supported_fmr)
        ).cosine

    def seen(self, state: TrackState, at: float, ticks: float) -> None:
        """A face of the frame of then: what is new about it."""
        outcome = self._outcomes.of(state)
        if state.face.ready and not state.spoof and self._liveness.judge(state.face).spoof:
            self._report_spoof(state)
        if outcome == "recognised" and state.match is not None:
            if state.arrived != state.match.person_id:
                state.arrived, state.touched = state.match.person_id, ticks
                self._report_person(state, state.match.person_id, state.face.track.first_at)
                if state.visitor:
                    self._take_back(state, "recognised later in the same track")
            if ticks - state.touched >= self._policy.touch_s:
                state.touched = ticks
                self._report_person(state, state.match.person_id, at)
        elif outcome in ("unknown", "review") and state.visitor not in (outcome, "review"):
            self._report_visitor(state)

    def gone(self, state: TrackState) -> None:
        """A face is gone: its last word."""
        nobody = state.match is None and state.decision is not None and not state.contested
        judged = self._liveness.judge(state.face)
        if judged.spoof and not state.spoof and state.face.seen_enough:
            self._report_spoof(state)
        if state.arrived is not None and state.match is not None and judged.accepted:
            self._report_person(state, state.match.person_id, state.face.track.last_at)
        elif state.visitor or (nobody and not state.spoof and self._is_visitor(state)):
            self._report_visitor(state)
        elif not state.face.looks:
            self._post.counts.low_quality += 1
        else:
            self._post.counts.unconfirmed += 1

    def _is_visitor(self, state: TrackState) -> bool:
        doubtful = state.decision is not None and state.decision.outcome == "review"
        enough = state.face.seen_enough
        return enough and (doubtful or state.face.evident())

    def depart(self, at: float) -> None:
        """Whoever was not seen for as long as the cooldown has left."""
        before = _time(at) - timedelta(seconds=self._policy.cooldown_s)
        self._post.put(
            lambda: self._sightings.depart(
                self._collection, self._place.name, before,
                f"not seen for {self._policy.cooldown_s:g} s", targets=self._policy.targets,
            ),
            once="depart",
        )  # fmt: skip

    def ended(self, first_at: float, last_at: float) -> None:
        """The source has come to its end: whoever is there was last seen when last seen."""
        began, ended = _time(first_at), _time(last_at)
        self._post.put(
            lambda: self._sightings.depart(
                self._collection, self._place.name, ended, "the source ended",
                cause="source_ended", since=began, targets=self._policy.targets,
            )
        )  # fmt: skip

    def shift(self, by_s: float) -> None:
        """The camera's clock was set back: its stays are moved along."""

        def moved() -> list[Event]:
            self._sightings.shift(self._collection, self._place.camera, by_s)
            return []

        self._post.put(moved)

    def _report_person(self, state: TrackState, person: str, at: float) -> None:
        grounds = self._grounds(state)
        vector, crop = self._kept(state)
        self._post.put(
            lambda: self._sightings.person(
                self._collection, self._place, person, _time(at),
                cooldown_s=self._policy.cooldown_s, grounds=grounds, vector=vector, crop=crop,
                targets=self._policy.targets,
            ),
            once=None if at == state.face.track.first_at else ("touch", person),
        )  # fmt: skip

    def _report_visitor(self, state: TrackState) -> None:
        """Somebody unknown, or somebody a human is to decide on."""
        asked = question(state.decision, state.candidates) or state.question
        if asked is not None and state.visitor == "unknown":
            self._take_back(state, "left to a human later in the same track")
        state.visitor, state.question = "unknown" if asked is None else "review", asked
        grounds, (vector, crop) = self._grounds(state), self._kept(state)
        track, until = state.face.track, state.face.track.last_at

        def written(events: list[Event]) -> None:
            state.visitor_id = events[0].id if events else state.visitor_id

        self._post.put(
            lambda: self._sightings.visitor(
                self._collection, self._place, _time(track.first_at), _time(until), track.mark,
                cooldown_s=self._policy.cooldown_s, alike=self._alike, grounds=grounds,
                vector=vector, crop=crop, targets=self._policy.targets, question=asked,
            ),
            written,
        )  # fmt: skip

    def _report_spoof(self, state: TrackState) -> None:
        state.spoof, track = True, state.face.track
        person = None if state.match is None else state.match.person_id
        grounds, (vector, crop) = self._grounds(state), self._kept(state)
        self._post.put(
            lambda: self._sightings.spoof(
                self._collection, self._place, _time(track.first_at), track.mark,
                person_id=person, cooldown_s=self._policy.cooldown_s, grounds=grounds,
                vector=vector, crop=crop, targets=self._policy.targets,
            )
        )  # fmt: skip

    def _take_back(self, state: TrackState, why: str) -> None:
        """What was reported of a visitor is known better now."""
        self._post.put(
            lambda: (
                []
                if state.visitor_id is None
                else self._sightings.supersede(
                    self._collection, state.visitor_id, why, targets=self._policy.targets
                )
            )
        )

    def _kept(self, state: TrackState) -> tuple[Embeddings | None, Image | None]:
        if self._policy.keep == "nothing":
            return None, None
        return state.face.embedding, state.face.crop if self._policy.keep == "crop" else None

    def _grounds(self, state: TrackState) -> dict[str, Any]:
        """Why it was decided so, for whoever asks later."""
        return {
            **decided_on(
                self._post.pipeline, state.decision, state.candidates, source=self._post.source,
                liveness=self._liveness.grounds(state.face),
            ),
            "cooldown_s": self._policy.cooldown_s,
            "track": state.face.grounds(),
        }  # fmt: skip


def _time(at: float) -> datetime:
    """Seconds since 1970 to the microsecond, the same for the same float. Raises ``InputError``."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(at * 1e6))
    except (OverflowError, ValueError):
        raise InputError(
            "the source tells a time that no calendar has; say with --start when it began"
        ) from None
