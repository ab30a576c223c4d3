"""Whose face each track is: searched, decided, and given out so that no two tracks share a name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arcid.apps.attendance.policy import RATES, Policy
from arcid.apps.attendance.tracked import TrackState
from arcid.errors import ArcidError, PersonNotFound, RateUnsupported
from arcid.events import Blocks, Events
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline
from arcid.track import Track
from arcid.types import Decision, Embeddings, Match

CANDIDATES = 5
REFRESH_S = 2.0  # how often changes of the gallery are noticed
ODDS = 1e6  # calibrated likelihood ratios are not believed beyond


class Naming:
    """Names the tracks in ``states``. ``trouble`` hears what the gallery refuses."""

    def __init__(
        self,
        pipeline: Pipeline,
        gallery: Gallery,
        collection: str,
        policy: Policy,
        states: dict[int, TrackState],
        trouble: Callable[[ArcidError], None],
    ) -> None:
        self._gallery = gallery
        self._collection = collection
        self._policy = policy
        self._states = states
        self._trouble = trouble
        self._contract_id = pipeline.embedder.contract_id
        self._pipeline = pipeline
        self._calibration = pipeline.calibration
        self._stale: set[int] = set()  # tracks to be decided on again
        self._blocked = Blocks()
        self._change = -1
        self._rates: dict[int, float] = {}
        self._refreshed = -np.inf

    def looked_at(self, number: int) -> None:
        """A track was looked at anew: it is decided on again."""
        self._stale.add(number)

    def gone(self, number: int) -> None:
        """A track has ended."""
        self._stale.discard(number)

    def refresh(self, ticks: float, tracks: list[Track]) -> None:
        """Notice people enrolled, deleted or blocked meanwhile, and decide on everybody again."""
        if ticks - self._refreshed < REFRESH_S:
            return
        self._refreshed = ticks
        try:
            change = self._gallery.last_change()
            blocked = Blocks(Events(self._gallery).blocked(self._collection, self._contract_id))
        except ArcidError as error:
            self._trouble(error)
            return
        if change != self._change or len(blocked) != len(self._blocked):
            self._change, self._blocked = change, blocked
            self._stale |= {track.number for track in tracks if track.number}
            self._drop_deleted()

    def decide(self, visible: list[Track]) -> None:
        """Decide on those looked at anew, the most alike first."""
        fresh = [t for t in visible if t.number in self._stale]
        probes = [t.pool.embedding for t in fresh]
        known = [(t, e) for t, e in zip(fresh, probes, strict=True) if e is not None]
        if not known:
            return
        batch = Embeddings(np.concatenate([e.vectors for _, e in known]), self._contract_id)
        try:
            found = self._gallery.search(self._collection, batch, k=CANDIDATES)
        except ArcidError as error:
            self._trouble(error)
            return  # they stay stale, the next frame tries again
        self._stale -= {t.number for t, _ in known}
        for (track, probe), candidates in zip(known, found, strict=True):
            state = self._states[track.number]
            state.candidates = [m for m in candidates if not self._blocked.refuse(m, probe)]
            own = state.match
            if own is not None:
                again = [m for m in state.candidates if m.person_id == own.person_id]
                state.match = again[0] if again else own  # far down the list, or blocked
                if self._blocked.refuse(state.match, probe):
                    state.unname()
        order = sorted(known, key=lambda pair: -self._best(pair[0]))
        for track, _ in order:
            self._name(track, visible, found.gallery_size)

    def rate(self, size: int) -> float:
        """The false positive identification rate decided at in a gallery of so many templates."""
        if self._policy.fpir is not None:
            return self._policy.fpir
        if size not in self._rates:
            for rate in RATES:
                try:
                    self._calibration.threshold_at_fpir(rate, max(size, 1))
                except RateUnsupported:
                    continue
                break
            self._rates[size] = rate
        return self._rates[size]

    def odds(self, cosine: float) -> float:
        """How many times likelier one person than two, within what is believed."""
        ratio = self._calibration.likelihood_ratio(cosine)
        return min(max(ratio, 1 / ODDS), ODDS)

    def _drop_deleted(self) -> None:
        for state in self._states.values():
            if state.match is not None:
                try:
                    self._gallery.person(self._collection, state.match.person_id)
                except PersonNotFound:
                    state.unname()

    def _best(self, track: Track) -> float:
        candidates = self._states[track.number].candidates
        return candidates[0].cosine if candidates else -1.0

    def _name(self, track: Track, visible: list[Track], size: int) -> None:
        """Give a track the best name that is free; a name held is lost only to far more."""
        state = self._states[track.number]
        state.contested = False
        first: Decision | None = None
        for match in state.candidates:
            decision = self._decide([match], size)
            first = first or decision
            if decision.outcome != "match":
                break
            held = state.match
            needed = self._policy.switch_ratio
            if (
                held is not None
                and held.person_id != match.person_id
                and self.odds(match.cosine) < needed * self.odds(held.cosine)
            ):
                break
            rival = self._holder(match.person_id, track, visible)
            if rival is not None:
                claim = self._states[rival.number].match
                other = -1.0 if claim is None else claim.cosine
                if self.odds(match.cosine) < needed * self.odds(other):
                    if match.cosine > other:
                        state.contested = True
                        break
                    continue
                loser = self._states[rival.number]
                loser.match, loser.arrived = None, None
                self._stale.add(rival.number)
            state.match, state.decision = match, decision
            return
        if state.match is None or state.decision is None:
            state.decision = first or self._decide([], size)

    def _holder(self, person_id: str, track: Track, visible: list[Track]) -> Track | None:
        for other in visible:
            match = self._states[other.number].match
            if other is not track and match is not None and match.person_id == person_id:
                return other
        return None

    def _decide(self, candidates: list[Match], size: int) -> Decision:
        return self._pipeline.decide(
            candidates, size, fpir=self.rate(size), unsupported=self._policy.unsupported
        )
