"""The Python client of the REST service: ``Client``, and ``AsyncClient`` for asyncio.

    with Client("https://faces.example", key="…") as arcid:
        arcid.enrol("staff", "Ada Example", ["ada1.jpg", "ada2.jpg"])
        for face in arcid.search_photo("staff", "group.jpg").faces: ...

A method for each operation of the service, by its name there. What the service refuses is raised as
the library raises it (``arcid.errors.NoFaceFound``…), and as ``ServiceError`` too. Loading it loads
httpx and pydantic, and neither NumPy nor a model.
"""

from __future__ import annotations

from arcid.client import models
from arcid.client.asynchronous import AsyncClient
from arcid.client.errors import (
    Conflict,
    Refused,
    ServiceError,
    ServiceFailed,
    TooMany,
    Unauthorised,
    UnexpectedAnswer,
    Unreachable,
)
from arcid.client.photos import Photo
from arcid.client.requests import OMIT, File, Omit
from arcid.client.retrying import Retries
from arcid.client.sending import Erased
from arcid.client.sync import Client

__all__ = [
    "OMIT",
    "AsyncClient",
    "Client",
    "Conflict",
    "Erased",
    "File",
    "Omit",
    "Photo",
    "Refused",
    "Retries",
    "ServiceError",
    "ServiceFailed",
    "TooMany",
    "Unauthorised",
    "UnexpectedAnswer",
    "Unreachable",
    "models",
]
