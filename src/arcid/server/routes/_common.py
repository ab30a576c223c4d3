"""What several groups of routes share: documented errors and form fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import File, Form, Header, Query, Response, UploadFile
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BeforeValidator, TypeAdapter, ValidationError

from arcid.gallery import NewConsent
from arcid.gallery.database import HELD_UP
from arcid.gallery.paging import MAX_CURSOR
from arcid.protection import Policies
from arcid.server.deps import Services
from arcid.server.describing import ERROR
from arcid.server.errors import HttpError
from arcid.server.schemas import ErasureOut, Where
from arcid.types import Selection

_MEANING = {
    400: "The image is damaged or no image, or the body cannot be parsed.",
    401: "An API key is needed, or it is wrong.",
    403: "The API key may not do this; without keys: only this machine's own programs may call.",
    404: "No such collection, person, face or camera.",
    409: "In conflict with what the gallery holds.",
    413: "Too many bytes or pixels.",
    415: "Neither multipart/form-data nor JSON.",
    422: "A value is wrong, or the photo cannot be used for this.",
    429: "The queue is full; try again after Retry-After seconds.",
    501: "A package for this is not installed.",
    503: "The gallery is busy or its database away, or a model or calibration is missing.",
    507: "The disk is full; nothing was changed.",
}
_ALWAYS = (401, 403, 422)
UPLOAD = (400, 413, 415, 429)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for the errors of a route, all of one shape: a reference to what
    ``describe`` adds, since of a model the framework would build a validator each time."""
    return {
        status: {"description": _MEANING[status], "content": ERROR}
        for status in sorted({*statuses, *_ALWAYS})
    }


ERASED: dict[int | str, dict[str, Any]] = {
    202: {"model": ErasureOut, "description": "Deleted, but its bytes are not gone yet."}
}


def erased(running: Services, receipt: str | None = None) -> Response:
    """204, or 202 while something holds the bytes of what was deleted; ``receipt`` in a header."""
    held = running.gallery.unscrubbed()
    headers = {} if receipt is None else {"Arcid-Receipt": receipt}
    if HELD_UP not in held:
        return Response(status_code=204, headers=headers)
    return JSONResponse(ErasureOut(message=HELD_UP).model_dump(), 202, headers)


_WHERE: TypeAdapter[Where] = TypeAdapter(Where)
Limit = Annotated[int, Query(ge=1, le=1000, description="Rows of a page.")]
After = Annotated[
    str | None,
    Query(max_length=MAX_CURSOR, description="`next` of the page before; outlives deletions."),
]
Image = Annotated[UploadFile, File(description="JPEG, PNG, WebP, BMP, GIF or TIFF.")]
Images = Annotated[list[UploadFile], File(description="One or several images, one face each.")]
Aligned = Annotated[
    bool, Form(description="The image is an aligned, square crop already: detection is left out.")
]
Marked = Annotated[
    bool,
    Form(
        description="Tell 68 points of every face, too. Needs ARCID_LANDMARKS (`model_not_found`)."
    ),
]
Select = Annotated[
    Selection,
    Form(
        description="Which faces: prominent is the face that the photo is of, by size and nearness "
        "to the middle, and refuses where several may be meant."
    ),
]
AllowDuplicate = Annotated[
    bool, Form(description="Enrol faces that are somebody else of the collection already.")
]
Partial = Annotated[
    bool, Form(description="Enrol the images that can be; `results` say why the others are not.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same request with the same key is done once; kept for 24 hours.",
    ),
]
Agreed = Annotated[
    str | None,
    Form(
        max_length=200,
        description="The person agreed: the version of the text they agreed to. Demanded where "
        "the collection's policy says so.",
    ),
]
AgreedEvidence = Annotated[
    str, Form(max_length=1000, description="Where that can be seen, as the number of a form.")
]
AgreedBy = Annotated[str, Form(max_length=200, description="Or who agreed for them, as a parent.")]
AgreedAt = Annotated[AwareDatetime | None, Form(description="When; left out: now.")]
RequireQuality = Annotated[
    bool, Form(description="Refuse faces that are blurred, dark, small or turned away.")
]


def where_of(value: Any) -> Any:
    """A filter, from a form or an address as the text of a JSON object."""
    if value is None or not isinstance(value, str):
        return value
    try:
        return _WHERE.validate_json(value)
    except ValidationError as error:
        problems = [
            {"where": ".".join(map(str, ("where", *one["loc"]))), "problem": one["msg"]}
            for one in error.errors(include_input=False, include_context=False)
        ]
        first = problems[0]
        raise HttpError(
            422,
            "validation_error",
            f"{first['where']}: {first['problem']}",
            {"problems": problems},
        ) from None


WhereForm = Annotated[
    Where | None,
    BeforeValidator(where_of),
    Form(description="Only people whose metadata has these values, exactly: a JSON object."),
]


def consent_of(
    text: str | None, evidence: str, by: str, at: datetime | None, what: str = ""
) -> NewConsent | None:
    """What a request says about a consent."""
    return None if text is None else NewConsent(text, evidence, by, what, at)


def require_crops(running: Services, collection: str) -> None:
    """Raise ``HttpError`` 403 where pictures of a collection's faces are not for API keys."""
    if not Policies(running.gallery).shows_crops(collection, "key"):
        raise HttpError(
            403, "crops_hidden", "the policy of this collection shows API keys no pictures of faces"
        )
