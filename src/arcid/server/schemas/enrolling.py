"""Faces into a collection, and what became of them."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from arcid.gallery import NewConsent
from arcid.server.schemas.base import (
    MAX_VECTORS,
    ContractId,
    ErrorBody,
    ExternalId,
    In,
    Out,
    Vector,
)
from arcid.server.schemas.people import PersonOut, StoredFaceOut
from arcid.server.schemas.photos import FaceOut


class ConsentGiven(In):
    """That the person agreed; demanded where the collection's policy says so."""

    text: str = Field(max_length=200, description="The version of the text they agreed to.")
    evidence: str = Field(
        "", max_length=1000, description="Where that can be seen, as the number of a form."
    )
    by: str = Field(
        "themselves", max_length=200, description="Or who agreed for them, as a parent."
    )
    at: AwareDatetime | None = Field(None, description="When; left out: now.")


class VectorsIn(In):
    vectors: list[Vector] = Field(
        min_length=1, max_length=MAX_VECTORS, description="One face each, all of one person."
    )
    contract_id: ContractId
    source: str = Field("", max_length=200, description="A note of yours, kept with the faces.")
    allow_duplicate: bool = Field(
        False, description="Enrol faces that are somebody else of the collection already."
    )
    partial: bool = Field(
        False, description="Enrol those that can be; `results` say why the others are not."
    )
    consent: ConsentGiven | None = None

    def agreed(self) -> NewConsent | None:
        given = self.consent
        if given is None:
            return None
        return NewConsent(given.text, given.evidence, given.by, at=given.at)


class EnrolVectorsIn(VectorsIn):
    name: str = Field(min_length=1, max_length=200, description="Of the person.")
    external_id: ExternalId | None = Field(
        None, description="They go to whoever has it; who is not there yet is made with both."
    )


class ImageResult(Out):
    """What became of one image or vector: a face, or an error."""

    image: int = Field(description="Its place in the request, from 0.")
    face_id: str | None
    error: ErrorBody | None


class Enrolled(Out):
    person: PersonOut
    faces: list[StoredFaceOut]
    results: list[ImageResult] = Field(description="One an image, in the order of the request.")


class EnrolledFace(Out):
    """What became of one face of a photo: a person of its own, or an error."""

    face: FaceOut
    person: PersonOut | None
    face_id: str | None
    error: ErrorBody | None


class EnrolledEach(Out):
    faces: list[EnrolledFace] = Field(description="Those of the photo, best score first.")
