"""Pairs as files: what there is to download, and the answer."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from arcid.apps.duplicates import VIEW, Duplicates, export
from arcid.apps.duplicates.export import MEDIA
from arcid.errors import ArcidError
from arcid.gallery import Collection
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.widgets import card, element, link_button
from arcid.server.errors import HttpError


def exports_card(current: Collection) -> None:
    with card(S.DUPLICATES_EXPORT), element("div", "row"):
        for kind in MEDIA:
            where = f"{ROOT}/pairs?collection={quote(current.name)}&kind={kind}"
            link = link_button(kind.upper(), where, icon="download")
            link.props["download"] = ""
            link.props["aria-label"] = S.EXPORT_NAME.format(kind=kind.upper())


async def exported(request: Request, context: ConsoleContext) -> Response:
    """Every pair with its state, as a file."""
    kind, name = request.query_params.get("kind", "csv"), request.query_params.get("collection", "")
    if kind not in MEDIA:
        raise HttpError(422, "usage_error", f"export as {', '.join(MEDIA)}")

    def written() -> str:
        book = Duplicates(context.gallery)
        pairs = list(book.every(name))
        context.looked(VIEW, "duplicates:export", name)
        book.disclosed(name, pairs, kind)
        return export.WRITERS[kind](pairs)

    try:
        body = await context.run(written)
    except ArcidError as error:
        raise HttpError.of(error) from None
    headers = {"Content-Disposition": f'attachment; filename="duplicates.{kind}"'}
    return Response(body, media_type=MEDIA[kind], headers=headers)
