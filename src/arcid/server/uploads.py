"""Bodies with photos, as multipart or as JSON; kept in memory and bounded while they arrive.

The framework's own parser writes larger files to disk; photographs of people do not belong there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, get_origin

from fastapi import Request, Response, UploadFile, params
from fastapi.concurrency import run_in_threadpool
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser

from arcid.errors import UsageError
from arcid.server.errors import HttpError
from arcid.server.fetching import too_large
from arcid.server.json_images import MAX_TEXT, Known, parse
from arcid.server.lanes import Lane, Route
from arcid.server.middleware import HOLD, HOLDS_PICTURES
from arcid.server.settings import Settings

MAX_FIELDS = 32


class UploadRoute(Route):
    """A route whose forms are parsed by ``UploadRequest``."""

    most_text = MAX_TEXT

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()
        fields = self.dependant.body_params
        known = [Known(f.alias, isinstance(f.field_info, params.File)) for f in fields]
        single = [f.alias for f in fields if get_origin(f.field_info.annotation) is not list]

        async def handler(request: Request) -> Response:
            upload = UploadRequest(request.scope, request.receive)
            upload.known, upload.single = known, single
            upload.most_text = self.most_text
            return await handle(upload)

        return handler


class UploadRequest(Request):
    """A request that insists on multipart or JSON, and on the settings' limits."""

    known: Sequence[Known] = ()  # what the route takes
    single: Sequence[str] = ()  # of these, what may be sent once
    most_text = MAX_TEXT  # bytes of a field of a form that is no picture

    def form(self, **_: Any) -> Any:
        return self._parse()

    async def _parse(self) -> FormData:
        if self._form is None:
            kind, options = parse_options_header(self.headers.get("content-type", ""))
            if kind == b"application/json":
                form = await self._of_json()
            elif kind == b"multipart/form-data" and b"boundary" in options:
                form = await self._of_parts()
            else:
                raise HttpError(
                    415,
                    "unsupported_media_type",
                    "send the image as multipart/form-data, e.g. curl -F image=@photo.jpg, or as "
                    "base64 in application/json",
                )
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

    async def _of_json(self) -> FormData:
        state = self.scope["state"]
        state[HOLDS_PICTURES] = True  # the limit of an upload, not that of other JSON
        body, settings = await self.body(), self.app.state.settings
        del self._body  # it is not needed any more, and large
        if not settings.image_hosts:
            return await run_in_threadpool(parse, body, self.known, settings)
        fetching: Lane = self.app.state.services.fetching
        form = await fetching.run(parse, body, self.known, settings)
        for _, value in form.multi_items():
            state[HOLD](value.size if isinstance(value, UploadFile) else 0)
        return form

    async def _of_parts(self) -> FormData:
        settings: Settings = self.app.state.settings
        parser = _InMemoryParser(
            self.headers,
            self.stream(),
            max_files=settings.max_images,
            max_fields=MAX_FIELDS,
            max_part_size=self.most_text,
        )
        parser.max_file_bytes = settings.max_upload_bytes
        try:
            return await parser.parse()
        except MultiPartException as error:
            raise HttpError(400, "bad_request", error.message) from None


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
                raise HttpError.of(too_large(self.max_file_bytes))
        super().on_part_data(data, start, end)


async def read_images(files: list[UploadFile], settings: Settings) -> list[bytes]:
    """The bytes of every uploaded image, in order."""
    if len(files) > settings.max_images:
        raise UsageError(f"at most {settings.max_images} images a request, got {len(files)}")
    return [await file.read() for file in files]
