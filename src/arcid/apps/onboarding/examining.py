"""Everything that is looked at once the face is there: checks, from which ``judging`` decides."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date

import numpy as np

from arcid.apps.onboarding import calibrating, judging, kept, mrz, store
from arcid.apps.onboarding.captures import Capture
from arcid.apps.onboarding.prints import distance
from arcid.apps.onboarding.records import Check, Rules
from arcid.apps.watching.liveness import Liveness
from arcid.calibration import Calibration
from arcid.errors import CalibrationMissing, ContractMismatch
from arcid.gallery import Gallery
from arcid.gallery.schema import Row
from arcid.pipeline import Pipeline
from arcid.types import Embeddings


class Examiner:
    """Document against face, liveness, replay, who is enrolled already, the zone. Thread-safe."""

    def __init__(
        self,
        gallery: Gallery,
        pipeline: Pipeline,
        liveness: Liveness | None,
        calibration: Calibration | None,
    ) -> None:
        self._gallery, self._pipeline, self._liveness = gallery, pipeline, liveness
        with suppress(CalibrationMissing):
            calibration = calibration or calibrating.find(pipeline.contract_id)
        self._calibration = calibration

    def checks(self, row: Row, document: Row, capture: Capture, made: bytes) -> list[Check]:
        """``made``: the print of the face."""
        rules = Rules.of(json.loads(row["rules"]))
        vector = np.frombuffer(document["vector"], "<f4")[None].astype(np.float32)
        portrait = Embeddings(vector, document["contract"])
        cosine = float(portrait.cosine(capture.face.embedding)[0, 0])
        zone = None if row["zone"] is None else mrz.Zone.of(json.loads(row["zone"]))
        born = None if row["birth_date"] is None else date.fromisoformat(row["birth_date"])
        with self._gallery.database.read() as connection:
            collection = store.collection_of(connection, row)
            nearest = kept.nearest_print(connection, row, made)
        return [
            judging.match(cosine, self._calibration, rules),
            judging.identical(distance(bytes(document["print"]), made)),
            judging.replay(nearest),
            *judging.liveness(self._shown(capture), rules),
            self._duplicate(collection["name"], capture.face.embedding),
            *judging.papers(zone, row["name"], born, date.today()),
        ]

    def _shown(self, capture: Capture) -> judging.Shown:
        check = self._liveness
        if check is None:
            return judging.Shown(capture.actions)
        score = float(check.scores(capture.image, capture.detections)[0])
        return judging.Shown(capture.actions, score, check.threshold, check.name)

    def _duplicate(self, collection: str, face: Embeddings) -> Check:
        try:
            (found,) = self._pipeline.identify_embeddings(
                face, self._gallery, collection, k=1, unsupported="extrapolate"
            )
        except (CalibrationMissing, ContractMismatch) as error:
            return Check("duplicate_unknown", "review", error.message)
        return judging.duplicate(found)
