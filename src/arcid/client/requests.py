"""A call of a generated method → a request, as it is sent as often as it takes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from os import PathLike
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from arcid.client.photos import Photo, uploads
from arcid.errors import ConfigError, InputError

CHUNK = 1 << 20
#: A path, or the bytes themselves.
File = str | PathLike[str] | bytes


class Omit(Enum):
    """The type of ``OMIT``."""

    OMIT = "left out"


#: A value that is left out of a body, so that what is stored stays; None is sent, as null.
OMIT: Final = Omit.OMIT


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One request as it is sent, as often as it takes."""

    method: str
    path: str
    repeatable: bool
    parts: Mapping[str, Any]
    file: Path | None = None  # whose content is the body, read as it is sent

    def sent(self, read: Callable[[Path], Any]) -> dict[str, Any]:
        """For httpx, once: ``read`` opens the file anew."""
        body = {} if self.file is None else {"content": read(self.file)}
        return {**self.parts, **body}


def segment(value: str | date) -> str:
    """A value as one step of a path; whatever it holds, it names no other route.

    Servers and proxies read ``%2F`` as a slash, and some a backslash as well; no name or id of the
    service holds either. Raises ``ConfigError``.
    """
    text = str(value)
    if text in ("", ".", "..") or "/" in text or "\\" in text:
        raise ConfigError(f"{text!r} cannot stand in the path of a request")
    return quote(text, safe="")


def request(
    method: str,
    path: str,
    *,
    repeatable: bool,
    query: Mapping[str, Any] | None = None,
    headers: Mapping[str, str | None] | None = None,
    once: str | None = None,
    body: Mapping[str, Any] | None = None,
    form: Mapping[str, Any] | None = None,
    photos: Mapping[str, Photo | Sequence[Photo] | None] | None = None,
    content: File | None = None,
) -> Request:
    """``once``: the ``Idempotency-Key``, which makes it repeatable; empty: a new one.

    ``content`` is the body as it is. Raises ``ImageUnreadable`` for a photo and ``InputError`` for
    a file that cannot be read, ``ConfigError`` for what no header holds.
    """
    sent = {name: value for name, value in (headers or {}).items() if value is not None}
    if once is not None:
        sent["Idempotency-Key"] = once or uuid.uuid4().hex
    for name, value in sent.items():
        if not re.fullmatch(r"[\x21-\x7e]*", value):
            raise ConfigError(f"{name} is ASCII without spaces")
    parts: dict[str, Any] = {"params": _texts(query), "headers": sent}
    if body is not None:
        parts["json"] = {k: _plain(v) for k, v in body.items() if v is not OMIT}
    file = None
    if isinstance(content, bytes):
        parts["content"] = content
    elif content is not None:
        file = Path(content)
        sent["Content-Length"] = str(_size(file))
    if photos is not None:
        parts["data"] = _texts(form)
        parts["files"] = [
            (field, upload)
            for field, given in photos.items()
            if given is not None
            for upload in uploads(given)
        ]
    return Request(method, path, repeatable or once is not None, parts, file)


def chunks(path: Path) -> Iterator[bytes]:
    """A file, piece by piece."""
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


async def chunks_apart(path: Path) -> AsyncIterator[bytes]:
    """The same, read in a thread."""
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, CHUNK):
            yield piece


def _size(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def _texts(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Query or form: what is None is left out, lists are repeated."""
    return {
        name: [_text(item) for item in value] if isinstance(value, (list, tuple)) else _text(value)
        for name, value in (values or {}).items()
        if value is not None
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return json.dumps(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _plain(value: Any) -> Any:
    """JSON; of a model only what was set."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return to_jsonable_python(value)
