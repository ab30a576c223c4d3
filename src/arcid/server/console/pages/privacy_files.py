"""Receipts of erasures, and all that is held of a person, as files."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from arcid import paths
from arcid.errors import ArcidError
from arcid.protection import Receipts, exported
from arcid.server.console.context import ConsoleContext
from arcid.server.errors import HttpError


async def receipt(request: Request, context: ConsoleContext) -> Response:
    """A signed receipt."""
    receipt_id = request.url.path.rsplit("/", 1)[-1]
    try:
        data = await context.run(Receipts(context.gallery, paths.home_dir()).file, receipt_id)
    except ArcidError as error:
        raise HttpError.of(error) from None
    return _file(data, f"receipt-{receipt_id[:12]}.json", "application/json")


async def person(request: Request, context: ConsoleContext) -> Response:
    """A person's zip, for themselves."""
    asked = request.query_params
    collection, person_id = asked.get("collection", ""), asked.get("person", "")
    try:
        data = await context.run(exported, context.gallery, collection, person_id)
    except ArcidError as error:
        raise HttpError.of(error) from None
    return _file(data, f"person-{person_id[:12]}.zip", "application/zip")


def _file(data: bytes, name: str, kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type=kind, headers=headers)
