"""Candidates, how many templates were searched, and a calibration → a decision, here alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from arcid import decide
from arcid.calibration import Calibration
from arcid.errors import CalibrationMissing
from arcid.results import Face, Faces, Identified, PersonVerification, Verification
from arcid.types import Decision, Embeddings, Match

if TYPE_CHECKING:
    from arcid.gallery import Aggregate, Gallery

Refusal = Callable[[Match, Embeddings], bool]
NOBODY_ELSE = "no faces of this model to compare: the person has none, or nobody else does"


class Identifier:
    """Decides about vectors of one model: by its calibration alone, none of its networks.

    These methods and those of ``Pipeline``, which adds the networks, are all that decide.
    """

    def __init__(self, contract_id: str, calibration: Calibration | None) -> None:
        if calibration is not None:
            calibration.check_contract(contract_id)
        self.contract_id = contract_id
        self._calibration = calibration

    @property
    def calibration(self) -> Calibration:
        """What the scores mean. Raises ``CalibrationMissing``."""
        if self._calibration is None:
            raise CalibrationMissing(
                "this pipeline was built without a calibration; hand one in: "
                "Pipeline(detector, embedder, calibration=Calibration.load(path))"
            )
        return self._calibration

    def verify_faces(
        self,
        a: Face,
        b: Face,
        *,
        fmr: float = decide.DEFAULT_FMR,
        allow_extrapolation: bool = False,
    ) -> Verification:
        """Are two faces one person, at a target false match rate?"""
        cosine = float(a.embedding.cosine(b.embedding)[0, 0])
        decision = decide.verify(
            cosine, self.calibration, fmr=fmr, allow_extrapolation=allow_extrapolation
        )
        return Verification(decision, a, b)

    def verify_each(
        self,
        a: Face,
        faces: Faces,
        *,
        fmr: float = decide.DEFAULT_FMR,
        allow_extrapolation: bool = False,
    ) -> list[Verification]:
        """Is a face one of those of a photo? One answer a face, the nearest first.

        The rate is that of one comparison: among n faces of others about n times as many match.
        """
        found = [
            self.verify_faces(a, b, fmr=fmr, allow_extrapolation=allow_extrapolation) for b in faces
        ]
        return sorted(found, key=lambda one: -(one.decision.cosine or -1.0))

    def verify_cosine(self, cosine: float, *, fmr: float = decide.DEFAULT_FMR) -> Decision:
        """Whether two faces of that cosine are one person, at a target false match rate."""
        return decide.verify(cosine, self.calibration, fmr=fmr)

    def verify_person_face(
        self,
        face: Face,
        gallery: Gallery,
        collection: str,
        person_id: str,
        *,
        fmr: float = decide.DEFAULT_FMR,
        allow_extrapolation: bool = False,
    ) -> PersonVerification:
        """Is a face this enrolled person, at a target false match rate?

        Raises ``PersonNotFound``, and ``FaceNotFound`` where the person has no face of this model.
        """
        found = self.verify_person_embedding(
            face.embedding, gallery, collection, person_id, fmr=fmr,
            allow_extrapolation=allow_extrapolation,
        )  # fmt: skip
        return replace(found, face=face)

    def verify_person_embedding(
        self,
        probe: Embeddings,
        gallery: Gallery,
        collection: str,
        person_id: str,
        *,
        fmr: float = decide.DEFAULT_FMR,
        allow_extrapolation: bool = False,
    ) -> PersonVerification:
        """As ``verify_person_face`` for one vector."""
        found = gallery.compare(collection, person_id, probe)
        decision = decide.verify_templates(
            found.cosines.tolist(), self.calibration, fmr=fmr,
            allow_extrapolation=allow_extrapolation,
        )  # fmt: skip
        return PersonVerification(decision, None, self._explained(found.nearest))

    def identify_embeddings(
        self,
        probes: Embeddings,
        gallery: Gallery,
        collection: str,
        *,
        fpir: float = decide.DEFAULT_FPIR,
        k: int = 5,
        aggregate: Aggregate = "max",
        unsupported: decide.Unsupported = "review",
        photos: Sequence[int] = (),
        where: Mapping[str, Any] | None = None,
        refuse: Refusal | None = None,
    ) -> list[Identified]:
        """Whose vectors are these? One answer a probe.

        ``photos``: how many of them, in order, are the faces of each photo; no two of one are given
        one person. ``where``: metadata; only people who have it, exactly, are searched, and the
        decision counts their templates alone. ``refuse`` says of a candidate and its probe whether
        it is known not to be them; such candidates are left out.
        """
        hits = gallery.search(
            collection, probes, k=k, aggregate=aggregate, photos=photos, where=where
        )
        answers = []
        for i, found in enumerate(hits):
            kept = [m for m in found if refuse is None or not refuse(m, probes[i])]
            decision = self.decide(
                kept, hits.gallery_size, fpir=fpir, unsupported=unsupported,
                index_miss_rate=hits.index_miss_rate,
            )  # fmt: skip
            answers.append(Identified([self._explained(m) for m in kept], decision))
        return answers

    def identify_person(
        self,
        person_id: str,
        gallery: Gallery,
        collection: str,
        *,
        fpir: float = decide.DEFAULT_FPIR,
        k: int = 5,
        unsupported: decide.Unsupported = "review",
    ) -> Identified:
        """Who else is this enrolled person? Finds people who are enrolled twice.

        Every pair of one of their templates and one of another's counts as a comparison.
        """
        (found,) = hits = gallery.search_person(collection, person_id, self.contract_id, k=k)
        decision = self.decide(
            found, hits.gallery_size, fpir=fpir, unsupported=unsupported, unit="comparison",
            index_miss_rate=hits.index_miss_rate,
        )  # fmt: skip
        if not found:
            decision = replace(decision, reason=NOBODY_ELSE)
        return Identified([self._explained(m) for m in found], decision)

    def decide(
        self,
        candidates: Sequence[Match],
        gallery_size: int,
        *,
        fpir: float = decide.DEFAULT_FPIR,
        unsupported: decide.Unsupported = "review",
        unit: str = "template",
        index_miss_rate: float | None = 0.0,
    ) -> Decision:
        """Whether the first of a search's candidates is the person looked for."""
        best = candidates[0] if candidates else None
        return decide.identify(
            None if best is None else best.cosine,
            self.calibration,
            gallery_size,
            fpir=fpir,
            unsupported=unsupported,
            given_away=best is not None and best.given_to is not None,
            unit=unit,
            index_miss_rate=index_miss_rate,
        )

    def duplicate(self, cosine: float, gallery_size: int) -> Decision | None:
        """Whether a search among so many templates would take a face for its nearest person, as
        ``Gallery.enrol`` asks before a second name; None without a calibration."""
        try:
            calibration = self.calibration
        except CalibrationMissing:
            return None
        return decide.identify(cosine, calibration, gallery_size, unsupported="extrapolate")

    def _explained(self, match: Match) -> Match:
        """With what its cosine means."""
        calibration = self.calibration
        return replace(
            match,
            probability=calibration.probability(match.cosine),
            fmr=calibration.stated_fmr(match.cosine),
        )
