"""What the operations are asked; pydantic refuses what the service model would."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

COLLECTION = r"^[a-zA-Z0-9_.\-]+$"
NAMED = r"^[a-zA-Z0-9_.\-:]+$"
MANY, SOME, FEW = 4096, 500, 100  # faces, users, faces of a user
NewCollection = Annotated[str, StringConstraints(pattern=COLLECTION, max_length=200)]
NewUser = Annotated[str, StringConstraints(pattern=NAMED, max_length=128)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]  # also of another door's
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Quality = Literal["NONE", "AUTO", "LOW", "MEDIUM", "HIGH"]
Ids = Annotated[list[str], Field(min_length=1, max_length=MANY)]
FewIds = Annotated[list[str], Field(min_length=1, max_length=FEW)]
Faces = Annotated[int, Field(ge=1, le=MANY)]
Users = Annotated[int, Field(ge=1, le=SOME)]
Results = Annotated[int, Field(ge=0, le=MANY)]


class Body(BaseModel):
    """Members that change nothing here are let through."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class Picture(Body):
    Bytes: str | None = Field(None, repr=False)  # base64
    S3Object: dict[str, Any] | None = None


class InCollection(Body):
    CollectionId: Name


class CreateCollection(InCollection):
    CollectionId: NewCollection
    Tags: Annotated[dict[str, str], Field(max_length=200)] = Field(default_factory=dict)


class ListCollections(Body):
    MaxResults: Results = 1000
    NextToken: str | None = None


class DetectFaces(Body):
    Image: Picture


class CompareFaces(Body):
    SourceImage: Picture
    TargetImage: Picture
    SimilarityThreshold: Percent = 80.0
    QualityFilter: Quality = "NONE"


class IndexFaces(InCollection):
    Image: Picture
    ExternalImageId: Annotated[str | None, StringConstraints(pattern=NAMED, max_length=255)] = None
    MaxFaces: Annotated[int, Field(ge=1)] = FEW
    QualityFilter: Quality = "AUTO"


class ListFaces(InCollection):
    MaxResults: Results = 1000
    NextToken: str | None = None
    UserId: Name | None = None
    FaceIds: Ids | None = None


class DeleteFaces(InCollection):
    FaceIds: Ids


class InUser(InCollection):
    UserId: Name


class CreateUser(InUser):
    UserId: NewUser


class ListUsers(InCollection):
    MaxResults: Users = 100
    NextToken: str | None = None


class AssociateFaces(InUser):
    FaceIds: FewIds
    UserMatchThreshold: Percent = 75.0


class DisassociateFaces(InUser):
    FaceIds: FewIds


class SearchFaces(InCollection):
    FaceId: str
    MaxFaces: Faces = FEW
    FaceMatchThreshold: Percent = 80.0


class SearchFacesByImage(InCollection):
    Image: Picture
    MaxFaces: Faces = FEW
    FaceMatchThreshold: Percent = 80.0
    QualityFilter: Quality = "NONE"


class SearchUsers(InCollection):
    UserId: Name | None = None
    FaceId: str | None = None
    MaxUsers: Users = FEW
    UserMatchThreshold: Percent = 80.0


class SearchUsersByImage(InCollection):
    Image: Picture
    MaxUsers: Users = FEW
    UserMatchThreshold: Percent = 80.0
    QualityFilter: Quality = "NONE"
