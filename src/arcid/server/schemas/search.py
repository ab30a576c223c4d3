"""Who is it? What is asked and what is answered."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from arcid.decide import DEFAULT_FMR, DEFAULT_FPIR, Unsupported
from arcid.gallery import Aggregate
from arcid.server.schemas.base import (
    MAX_VECTORS,
    ContractId,
    ErrorBody,
    Id,
    In,
    Out,
    Rate,
    Vector,
    Where,
)
from arcid.server.schemas.photos import DecisionOut, FaceOut


class Candidate(Out):
    person_id: str
    name: str
    external_id: str | None
    metadata: dict[str, Any]
    cosine: float
    probability: float | None = Field(
        description="That both faces are one person, at equal prior odds."
    )
    fmr: float | None = Field(description="As of a decision.")
    face_id: str = Field(description="The person's face nearest to the probe.")
    faces: int = Field(description="How many faces of the person were compared.")
    given_to: int | None = Field(
        default=None,
        description="The face of this photo, counted from 0, that this nearest person was given to "
        "instead; such a candidate stands last and is never the match.",
    )


class Identified(Out):
    candidates: list[Candidate] = Field(description="Best first.")
    decision: DecisionOut = Field(description="On the first candidate.")


class IdentifiedFace(Identified):
    face: FaceOut


class SearchOut(Out):
    collection: str
    contract_id: str
    faces: list[IdentifiedFace]


class VectorSearchOut(Identified):
    collection: str
    contract_id: str


class PersonSearchOut(Identified):
    collection: str
    contract_id: str


class VectorSearchIn(In):
    vector: Vector
    contract_id: ContractId
    k: int = Field(default=5, ge=1, le=100)
    fpir: Rate = DEFAULT_FPIR
    aggregate: Aggregate = "max"
    unsupported: Unsupported = "review"
    where: Where | None = None


class PersonSearchIn(In):
    person_id: Id
    k: int = Field(default=5, ge=1, le=100)
    fpir: Rate = DEFAULT_FPIR
    unsupported: Unsupported = "review"


class PersonVerified(DecisionOut):
    face: FaceOut | None = Field(description="null: a vector was handed in.")
    person: Candidate = Field(description="The person, with the face nearest to the probe.")


class SearchedImage(Out):
    """Who is in one image, or why nobody could be looked for."""

    image: int = Field(description="Its place in the request, from 0.")
    faces: list[IdentifiedFace] | None
    error: ErrorBody | None


class SearchedImages(Out):
    collection: str
    contract_id: str
    results: list[SearchedImage] = Field(description="One an image, in the order of the request.")


class SearchedVector(Out):
    """Whose one vector is, or why that cannot be told."""

    vector: int = Field(description="Its place in the request, from 0.")
    candidates: list[Candidate] | None = Field(description="Best first.")
    decision: DecisionOut | None = Field(description="On the first candidate.")
    error: ErrorBody | None


class SearchedVectors(Out):
    collection: str
    contract_id: str
    results: list[SearchedVector] = Field(description="One a vector, in the order of the request.")


class VectorsSearchIn(In):
    vectors: list[Vector] = Field(min_length=1, max_length=MAX_VECTORS)
    contract_id: ContractId
    k: int = Field(default=5, ge=1, le=100)
    fpir: Rate = DEFAULT_FPIR
    aggregate: Aggregate = "max"
    unsupported: Unsupported = "review"
    where: Where | None = None


class VerifyVectorIn(In):
    vector: Vector
    contract_id: ContractId
    fmr: Rate = Field(DEFAULT_FMR, description="Target false match rate.")
    extrapolate: bool = Field(
        False, description="Allow rates beyond what the calibration's data supports."
    )
