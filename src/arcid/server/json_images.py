"""Photos inside JSON: the same fields as of a form, each picture as base64 or as an address."""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from fastapi import UploadFile
from pydantic import Field, ValidationError, model_validator
from starlette.datastructures import FormData

from arcid.errors import ArcidError, ImageUnreadable
from arcid.server.errors import HttpError
from arcid.server.fetching import Fetching, too_large
from arcid.server.schemas import In
from arcid.server.settings import MIB, Settings

_HEAD = re.compile(r"data:[\w/+.-]*;base64,", re.ASCII)
MAX_TEXT = 64 * 1024  # bytes of a field that is no picture, as of a form's


class ImageIn(In):
    """A picture with a name, or where it is: one of `data` and `url`."""

    data: str | None = Field(
        None,
        description="JPEG, PNG, WebP, BMP, GIF or TIFF as base64, also as a data: URL.",
        json_schema_extra={"contentEncoding": "base64"},
    )
    url: str | None = Field(
        None,
        max_length=8192,
        description="An https address; its host has to be one of ARCID_IMAGE_HOSTS.",
    )
    name: str = Field("", max_length=200, description="Kept as the source of an enrolled face.")

    @model_validator(mode="after")
    def _one(self) -> ImageIn:
        if (self.data is None) == (self.url is None):
            raise ValueError("give either data or url")
        return self


class Known(NamedTuple):
    """A field that a route takes."""

    name: str
    picture: bool


class _InMemory(io.BytesIO):
    _rolled = False  # as a spooled file says that it is not on disk


def parse(body: bytes, known: Sequence[Known], settings: Settings) -> FormData:
    """What a form with these fields would hold; ``null`` counts as left out.

    Takes as long as its pictures take to be fetched: not for an event loop. Raises ``HttpError``,
    also in place of ``ImageUnreadable``, ``ImageTooLarge`` and what ``Fetching`` raises.
    """
    given = _object(body)
    names = {field.name: field for field in known}
    unknown = [name for name in given if name not in names]
    if unknown:
        raise _wrong((f"body.{name}"[:200], "Extra inputs are not permitted") for name in unknown)
    items: list[tuple[str, Any]] = []
    pictures: list[tuple[str, ImageIn]] = []
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            if names[name].picture:
                pictures.append((name, _image(name, one)))
                continue
            if isinstance(one, str) and len(one) > MAX_TEXT:
                raise HttpError(400, "bad_request", f"{name} is longer than {MAX_TEXT // 1024} KiB")
            items.append((name, one))
    if len(pictures) > settings.max_images:
        most = f"Maximum number of files is {settings.max_images}."
        raise HttpError(400, "bad_request", f"Too many files. {most}")
    return FormData([*items, *_files(pictures, settings)])


def _files(
    pictures: Sequence[tuple[str, ImageIn]], settings: Settings
) -> Iterator[tuple[str, UploadFile]]:
    fetching = Fetching(settings)
    places: list[Any] = []
    for index, (_, image) in enumerate(pictures):
        with _about(index, len(pictures)):
            places.append(None if image.url is None else fetching.place(image.url))
    for index, ((name, image), place) in enumerate(zip(pictures, places, strict=True)):
        with _about(index, len(pictures)):
            if place is None:
                data = _decoded(image.data or "", settings.max_upload_bytes)
            else:
                data = fetching.get(place)
        yield name, UploadFile(_InMemory(data), size=len(data), filename=image.name)


@contextmanager
def _about(index: int, count: int) -> Iterator[None]:
    """An error says which of several pictures it is about."""
    try:
        yield
    except ArcidError as error:
        if count > 1:
            error.details["image"] = index
        raise HttpError.of(error) from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise HttpError(400, "bad_request", "the body is no JSON") from None
    if not isinstance(given, dict):
        raise _wrong([("body", "Input should be an object")])
    return given


def _image(name: str, value: Any) -> ImageIn:
    try:
        return ImageIn.model_validate({"data": value} if isinstance(value, str) else value)
    except ValidationError as error:
        raise _wrong(
            (".".join(map(str, ("body", name, *one["loc"]))), one["msg"])
            for one in error.errors(include_input=False, include_context=False)
        ) from None


def _decoded(text: str, most: int) -> bytes:
    start = found.end() if (found := _HEAD.match(text)) else 0
    if (len(text) - start) // 4 * 3 > most + MIB:  # line breaks aside
        raise too_large(most)
    try:
        data = base64.b64decode("".join(text[start:].split()), validate=True)
    except (binascii.Error, ValueError):
        raise ImageUnreadable("the image is no base64; send the bytes of its file so") from None
    if len(data) > most:
        raise too_large(most)
    return data


def _wrong(problems: Iterable[tuple[str, str]]) -> HttpError:
    found = [{"where": where, "problem": problem} for where, problem in problems]
    message = f"{found[0]['where']}: {found[0]['problem']}"
    return HttpError(422, "validation_error", message, {"problems": found})
