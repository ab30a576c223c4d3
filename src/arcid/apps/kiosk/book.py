"""What a kiosk writes: who checked in, whom a human is asked about, who tried to deceive it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from arcid.apps.attendance import Policy
from arcid.apps.kiosk.looks import same_face
from arcid.apps.watching.grounds import decided_on, question
from arcid.errors import ArcidError
from arcid.events import Place, Sightings
from arcid.gallery import Collection, Gallery
from arcid.liveness import FaceChallenge
from arcid.pipeline import Pipeline
from arcid.results import Identification
from arcid.types import Embeddings
from arcid.video import Frame

log = logging.getLogger(__name__)
DEPART_EVERY_S = 5.0


@dataclass(slots=True)
class Try:
    """One person's, from the first look to the answer."""

    vectors: list[Embeddings] = field(default_factory=list)
    found: Identification | None = None
    challenge: FaceChallenge | None = None
    embedded_at: float = 0.0  # ticks
    strange: int = 0  # looks at another face, in a row
    checked: int = -1  # the step before which the face was last found to be the same

    def pooled(self) -> Embeddings:
        total = np.sum([v.vectors for v in self.vectors], axis=0)
        return Embeddings.normalised(total, self.vectors[0].contract_id)


class Book:
    """Events of one kiosk, as any other camera writes them."""

    def __init__(
        self, pipeline: Pipeline, gallery: Gallery, collection: Collection, place: Place
    ) -> None:
        self._pipeline, self._sightings = pipeline, Sightings(gallery)
        self._collection, self._place = collection, place
        self._cooldown_s = Policy().cooldown_s
        self._departed = -np.inf  # when departures were last looked for, seconds since 1970

    def arrived(self, run: Try, found: Identification, at: datetime) -> None:
        """Who passed is there."""
        self._sightings.person(
            self._collection.name,
            self._place,
            found.candidates[0].person_id,
            at,
            cooldown_s=self._cooldown_s,
            grounds=self._grounds(run, found, "passed"),
            vector=run.pooled(),
        )

    def asked(self, run: Try, found: Identification, frame: Frame) -> None:
        """Left to a human: put in the review queue, once while it is the same face."""
        at = datetime.fromtimestamp(frame.at, UTC)
        self._sightings.visitor(
            self._collection.name,
            self._place,
            at,
            at,
            self._key(frame),
            cooldown_s=self._cooldown_s,
            alike=same_face(self._pipeline),
            grounds=self._grounds(run, found, "not asked"),
            vector=run.pooled(),
            crop=found.face.crop if self._collection.keep_crops else None,
            question=question(found.decision, found.candidates),
        )

    def attacked(self, run: Try, found: Identification, frame: Frame, why: str) -> None:
        """Somebody showed a picture, or took another's place."""
        self._sightings.spoof(
            self._collection.name,
            self._place,
            datetime.fromtimestamp(frame.at, UTC),
            self._key(frame),
            person_id=found.candidates[0].person_id,
            cooldown_s=self._cooldown_s,
            grounds=self._grounds(run, found, why),
            vector=run.pooled(),
        )

    def depart(self, at: float) -> None:
        """Whoever was not seen for the cooldown has left, as for any other camera."""
        if abs(at - self._departed) < DEPART_EVERY_S:
            return
        self._departed = at
        try:
            self._sightings.depart(
                self._collection.name,
                self._place.name,
                datetime.fromtimestamp(at, UTC) - timedelta(seconds=self._cooldown_s),
                f"not seen for {self._cooldown_s:g} s",
            )
        except ArcidError as error:
            log.warning("departures were not written", extra={"code": error.code})

    def _key(self, frame: Frame) -> str:
        return f"{self._place.camera}:{int(frame.at)}"

    def _grounds(self, run: Try, found: Identification, challenge: str) -> dict[str, Any]:
        live = None
        if run.challenge is not None:
            live = {
                "check": "challenge",
                "policy": "require",
                "actions": list(run.challenge.actions),
                "answer": challenge,
            }
        return {
            **decided_on(
                self._pipeline, found.decision, found.candidates,
                source=self._place.camera, liveness=live,
            ),
            "cooldown_s": self._cooldown_s,
            "looks": len(run.vectors),
            "decided_at": time.time(),
        }  # fmt: skip
