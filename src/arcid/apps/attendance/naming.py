"""Whose face each track is: searched, decided, and given out so that no two tracks share a name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arcid.apps.attendance.policy import Policy
from arcid.apps.attendance.tracked import TrackState
from arcid.apps.watching import Post
from arcid.errors import ArcidError, PersonNotFound
from arcid.events import Blocks, Events
from arcid.gallery import Gallery
from arcid.types import Decision, Embeddings, Hits, Match

CANDIDATES = 5
REFRESH_S = 2.0  # how often changes of the gallery are noticed


class Naming:
    """Names the faces in ``states``, by their number."""

    def __init__(
        self,
        post: Post,
        gallery: Gallery,
        collection: str,
        policy: Policy,
        states: dict[int, TrackState],
    ) -> None:
        self._post = post
        self._gallery = gallery
        self._collection = collection
        self._policy = policy
        self._states = states
        self._pipeline = post.pipeline
        self._contract_id = post.pipeline.embedder.contract_id
        self._stale: set[int] = set()  # faces to be decided on again
        self._blocked = Blocks()
        self._change = -1
        self._rates: dict[int, float] = {}
        self._refreshed = -np.inf

    def looked_at(self, number: int) -> None:
        """A face was looked at anew: it is decided on again."""
        self._stale.add(number)

    def gone(self, number: int) -> None:
        """A face is gone."""
        self._stale.discard(number)

    def refresh(self, ticks: float, visible: Sequence[TrackState]) -> None:
        """Notice people enrolled, deleted or blocked meanwhile, and decide on everybody again."""
        if ticks - self._refreshed < REFRESH_S:
            return
        self._refreshed = ticks
        try:
            change = self._gallery.last_change()
            blocked = Blocks(Events(self._gallery).blocked(self._collection, self._contract_id))
        except ArcidError as error:
            self._post.trouble(error)
            return
        if change != self._change or len(blocked) != len(self._blocked):
            self._change, self._blocked = change, blocked
            self._stale |= {state.face.number for state in visible}
            self._drop_deleted()

    def decide(self, visible: Sequence[TrackState]) -> None:
        """Decide on those looked at anew, the most alike first."""
        fresh = [s for s in visible if s.face.number in self._stale]
        probes = [s.face.embedding for s in fresh]
        known = [(s, e) for s, e in zip(fresh, probes, strict=True) if e is not None]
        if not known:
            return
        batch = Embeddings(np.concatenate([e.vectors for _, e in known]), self._contract_id)
        try:
            found = self._gallery.search(self._collection, batch, k=CANDIDATES)
        except ArcidError as error:
            self._post.trouble(error)
            return  # they stay stale, the next frame tries again
        self._stale -= {state.face.number for state, _ in known}
        for (state, probe), candidates in zip(known, found, strict=True):
            state.candidates = [m for m in candidates if not self._blocked.refuse(m, probe)]
            own = state.match
            if own is not None:
                again = [m for m in state.candidates if m.person_id == own.person_id]
                state.match = again[0] if again else own  # far down the list, or blocked
                if self._blocked.refuse(state.match, probe):
                    state.unname()
        order = sorted((state for state, _ in known), key=lambda state: -_best(state))
        for state in order:
            self._name(state, visible, found)

    def rate(self, size: int) -> float:
        """The false positive identification rate decided at in a gallery of so many templates."""
        if size not in self._rates:
            self._rates[size] = self._policy.rate(self._pipeline.calibration, size)
        return self._rates[size]

    def _drop_deleted(self) -> None:
        for state in self._states.values():
            if state.match is not None:
                try:
                    self._gallery.person(self._collection, state.match.person_id)
                except PersonNotFound:
                    state.unname()

    def _name(self, state: TrackState, visible: Sequence[TrackState], hits: Hits) -> None:
        """Give a face the best name that is free; a name held is lost only to far more."""
        state.contested = False
        first: Decision | None = None
        for match in state.candidates:
            decision = self._decide([match], hits)
            first = first or decision
            if decision.outcome != "match":
                break
            held = state.match
            needed = self._policy.switch_ratio
            if (
                held is not None
                and held.person_id != match.person_id
                and self._post.odds(match.cosine) < needed * self._post.odds(held.cosine)
            ):
                break
            rival = _holder(match.person_id, state, visible)
            if rival is not None:
                other = -1.0 if rival.match is None else rival.match.cosine
                if self._post.odds(match.cosine) < needed * self._post.odds(other):
                    if match.cosine > other:
                        state.contested = True
                        break
                    continue
                rival.match, rival.arrived = None, None
                self._stale.add(rival.face.number)
            state.match, state.decision = match, decision
            return
        if state.match is None or state.decision is None:
            state.decision = first or self._decide([], hits)

    def _decide(self, candidates: list[Match], hits: Hits) -> Decision:
        size = hits.gallery_size
        return self._pipeline.decide(
            candidates, size, fpir=self.rate(size), unsupported=self._policy.unsupported,
            index_miss_rate=hits.index_miss_rate,
        )  # fmt: skip


def _best(state: TrackState) -> float:
    return state.candidates[0].cosine if state.candidates else -1.0


def _holder(person_id: str, but: TrackState, visible: Sequence[TrackState]) -> TrackState | None:
    for other in visible:
        if other is not but and other.match is not None and other.match.person_id == person_id:
            return other
    return None
