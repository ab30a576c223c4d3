"""Where somebody starts: their first page, and one that shows something."""

from __future__ import annotations

from urllib.parse import quote

from arcid.apps.attendance import Attendance
from arcid.server.console.context import ConsoleContext
from arcid.server.console.registry import PAGES


async def home_of(context: ConsoleContext) -> str:
    """A path inside the console."""
    own = [page.path for page in PAGES if page.group and context.may(page.permission)]
    if own[:1] != ["/live"] or context.may("capture"):
        return own[0] if own else "/nothing"
    known = sorted(await context.run(context.gallery.collections), key=lambda one: -one.people)
    names = {one.name for one in known}
    for camera in await context.run(context.cameras.book.all):
        if camera.enabled and camera.collection in names:
            return f"/live?collection={quote(camera.collection)}"
    if not context.may("attendance"):
        return own[1] if len(own) > 1 else own[0]
    for one in known:
        if await context.run(Attendance(context.gallery, one.name).events, limit=1):
            return f"/attendance?collection={quote(one.name)}"
    return f"/people?collection={quote(known[0].name)}" if known else "/people"
