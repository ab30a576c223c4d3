"""Collections, people and their enrolled faces."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from arcid.server.schemas.base import CollectionName, ExternalId, Id, In, Metadata, Next, Out
from arcid.server.schemas.photos import Box


class CollectionIn(In):
    name: CollectionName = Field(examples=["staff"])
    keep_crops: bool = Field(
        False, description="Keep aligned crops, so that a new model can re-embed the faces."
    )
    metadata: Metadata | None = None


class CollectionPatch(In):
    """What is left out stays."""

    name: CollectionName | None = None
    keep_crops: bool | None = Field(
        default=None, description="false erases the crops stored so far."
    )
    metadata: Metadata | None = None


class CollectionOut(Out):
    id: str
    name: str
    keep_crops: bool
    metadata: dict[str, Any]
    created_at: datetime
    people: int
    faces: int


class Collections(Out):
    collections: list[CollectionOut] = Field(description="By name.")
    next: Next


class ContractOut(Out):
    """How far a collection has come with one model."""

    contract_id: str
    model_name: str
    faces: int
    people: int
    missing_people: int = Field(description="People with faces, but none of this model.")
    current: bool = Field(description="Whether it is the model that runs here.")


class Contracts(Out):
    contracts: list[ContractOut]


class PersonPut(In):
    name: str = Field(min_length=1, max_length=200, examples=["Ada Example"])
    metadata: Metadata | None = Field(None, description="Left out: what was there stays.")


class PersonIn(In):
    name: str = Field(min_length=1, max_length=200, examples=["Ada Example"])
    external_id: ExternalId | None = None
    metadata: Metadata | None = None


class PersonPatch(In):
    """What is left out stays."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    external_id: ExternalId | None = Field(None, description="An empty one takes it away.")
    metadata: Metadata | None = None


class PersonOut(Out):
    id: str
    collection: str
    name: str
    external_id: str | None
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    faces: int


class People(Out):
    people: list[PersonOut] = Field(description="By name.")
    next: Next


class MergeIn(In):
    other_id: Id = Field(description="Whose faces move over; this person is removed.")


class SplitIn(In):
    face_ids: list[Id] = Field(min_length=1, max_length=1000)
    name: str = Field(min_length=1, max_length=200, description="Of the new person.")
    metadata: Metadata | None = None


class MoveIn(In):
    person_id: Id


class StoredFaceOut(Out):
    id: str
    person_id: str
    photo_id: str | None = Field(description="Faces with one photo_id come from one photo.")
    contract_id: str = Field(description="The first of `contract_ids`.")
    contract_ids: list[str] = Field(description="Models that have embedded it.")
    box: Box | None
    score: float | None
    quality: dict[str, float]
    source: str
    created_at: datetime
    has_crop: bool
    provenance: dict[str, Any] = Field(description="Model, detector and runtime that made it.")


class FacesPage(Out):
    faces: list[StoredFaceOut]
    next: Next
