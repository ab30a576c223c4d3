"""Multipart bodies, kept in memory and bounded while they arrive.

The framework's own parser writes larger files to disk; photographs of people do not belong there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, get_origin

from fastapi import Request, Response, UploadFile
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser

from arcid.errors import ImageTooLarge, UsageError
from arcid.server.errors import HttpError
from arcid.server.lanes import Route
from arcid.server.settings import MIB, Settings

MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024


class UploadRoute(Route):
    """A route whose forms are parsed by ``UploadRequest``."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()
        single = [
            field.alias
            for field in self.dependant.body_params
            if get_origin(field.field_info.annotation) is not list
        ]

        async def handler(request: Request) -> Response:
            upload = UploadRequest(request.scope, request.receive)
            upload.single = single
            return await handle(upload)

        return handler


class UploadRequest(Request):
    """A request that insists on multipart and on the settings' limits."""

    single: Sequence[str] = ()  # fields that may be sent once

    def form(self, **_: Any) -> Any:
        return self._parse()

    async def _parse(self) -> FormData:
        if self._form is None:
            kind, options = parse_options_header(self.headers.get("content-type", ""))
            if kind != b"multipart/form-data" or b"boundary" not in options:
                raise HttpError(
                    415,
                    "unsupported_media_type",
                    "send the image as multipart/form-data, e.g. curl -F image=@photo.jpg",
                )
            settings: Settings = self.app.state.settings
            parser = _InMemoryParser(
                self.headers,
                self.stream(),
                max_files=settings.max_images,
                max_fields=MAX_FIELDS,
                max_part_size=MAX_FIELD_BYTES,
            )
            parser.max_file_bytes = settings.max_upload_bytes
            try:
                form = await parser.parse()
            except MultiPartException as error:
                raise HttpError(400, "bad_request", error.message) from None
            repeated = [name for name in self.single if len(form.getlist(name)) > 1]
            if repeated:
                count = len(form.getlist(repeated[0]))
                await form.close()
                raise HttpError(
                    422,
                    "repeated_field",
                    f"{repeated[0]} was sent {count} times and is taken once; leave the others "
                    "out, or send each in a request of its own",
                    {"field": repeated[0], "count": count},
                )
            self._form = form
        return self._form


class _InMemoryParser(MultiPartParser):
    spool_max_size = 2**40
    max_file_bytes = 0
    _file_bytes = 0

    def on_part_begin(self) -> None:
        self._file_bytes = 0
        super().on_part_begin()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is not None:
            self._file_bytes += end - start
            if self._file_bytes > self.max_file_bytes:
                raise HttpError.of(
                    ImageTooLarge(
                        f"an image may have at most {self.max_file_bytes / MIB:.1f} MiB",
                        max_bytes=self.max_file_bytes,
                    )
                )
        super().on_part_data(data, start, end)


async def read_images(files: list[UploadFile], settings: Settings) -> list[bytes]:
    """The bytes of every uploaded image, in order."""
    if len(files) > settings.max_images:
        raise UsageError(f"at most {settings.max_images} images a request, got {len(files)}")
    return [await file.read() for file in files]
