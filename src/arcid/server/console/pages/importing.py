"""Many people at once: an archive, a folder or a list in; a job with progress and reasons out."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from nicegui import ui
from nicegui.element import Element
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from arcid import files
from arcid.apps.importing import Listing, Source
from arcid.apps.importing.report import COLUMNS
from arcid.apps.jobs import Jobs, Options, begin_import, consent_spec, open_source, preview
from arcid.errors import ArcidError, by_reason, in_words
from arcid.gallery import Collection, NewConsent
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._collections import chosen, first_collection, selector
from arcid.server.console.pages._consent import demanded
from arcid.server.console.pages._imports import Imports
from arcid.server.console.ui.file_drop import FileDrop
from arcid.server.console.ui.fresh import quietly
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    element,
    link_button,
    note,
    say,
    set_text,
    text,
)
from arcid.server.errors import HttpError

REFRESH_S = 1.0
ZIP, CSV = ".zip,application/zip", ".csv,text/csv"


@dataclass(slots=True)
class _Asked:
    """What was uploaded for the import that is being put together."""

    upload: str = ""
    name: str = ""
    list_upload: str = ""


async def bulk_import(context: ConsoleContext, collection: str | None = None) -> None:
    """Choose, look at what would come along, begin; below, how imports are doing."""
    current, known = await chosen(context, collection)
    with frame(context, S.IMPORT, "/people", lead=S.IMPORT_LEAD):
        if current is None:
            first_collection(context)
            return
        with element("div", "toolbar"):
            where = f"{ROOT}/people?collection={quote(current.name)}"
            link_button(S.PEOPLE, where, icon="back", kind="quiet")
            selector("/people/import", current, known)
        imports = Imports(context, current)
        with card(S.IMPORT_SOURCE):
            await _Form(context, current, imports).build()
        with card(S.IMPORT_JOBS):
            imports.place = element("div", "column")
        await imports.refresh()
        ui.timer(REFRESH_S, quietly(context, "enrol")(imports.refresh))


class _Form:
    """Files, options, and what would come along."""

    def __init__(self, context: ConsoleContext, current: Collection, imports: Imports) -> None:
        self._context, self._current, self._imports = context, current, imports
        self._asked = _Asked()

    async def build(self) -> None:
        most = self._context.services.settings.max_archive_bytes
        with element("div", "import-drops"):
            FileDrop(
                S.IMPORT_ZIP, S.IMPORT_ZIP_HINT, self._archive, icon="photo", accept=ZIP,
                max_bytes=most,
            )  # fmt: skip
            FileDrop(
                S.IMPORT_FOLDER, S.IMPORT_FOLDER_HINT, self._archive, icon="collections",
                folder=True, max_bytes=most,
            )  # fmt: skip
            FileDrop(
                S.IMPORT_LIST, S.IMPORT_LIST_HINT, self._list, icon="audit", accept=CSV,
                max_bytes=most,
            )  # fmt: skip
        self._listed = text("", "soft small", tag="p")
        self._quality = ui.checkbox(S.IMPORT_QUALITY, value=True)
        self._consent = await demanded(self._context, self._current, S.IMPORT_CONSENT)
        self._found: Element = element("div", "column", aria_live="polite")

    async def _archive(self, upload: str, name: str) -> None:
        self._asked.upload, self._asked.name = upload, name
        await self._look()

    async def _list(self, upload: str, name: str) -> None:
        self._asked.list_upload = upload
        set_text(self._listed, S.IMPORT_LISTED.format(name=name))
        if self._asked.upload:
            await self._look()

    async def _look(self) -> None:
        self._found.clear()

        @action(self._context, "enrol")
        async def look() -> None:
            try:
                found = await self._context.run(self._preview)
            except ArcidError as error:
                with self._found:
                    note(error.message, "bad")
                return
            with self._found:
                self._show(found)

        await look()

    def _show(self, found: Listing) -> None:
        photos = S.count(len(found.items), S.ONE_PHOTO, S.MANY_PHOTOS)
        people = S.count(found.people, S.ONE_PERSON, S.MANY_PEOPLE)
        words = S.IMPORT_FOUND.format(name=self._asked.name, photos=photos, people=people)
        text(words if found.items else S.IMPORT_NOTHING, "person-name", tag="p")
        if found.left:
            reasons = in_words(by_reason(one.code for one in found.left))
            text(S.IMPORT_LEFT.format(n=len(found.left), reasons=reasons), "soft", tag="p")
        if found.items:
            with element("div", "row end"):
                begin = action(self._context, "enrol")(self._begin)
                button(S.IMPORT_BEGIN, begin, kind="primary", icon="add")

    async def _begin(self) -> None:
        await self._context.run(self._begun)
        self._context.services.jobs.wake()
        self._asked = _Asked()
        self._found.clear()
        set_text(self._listed, "")
        say(S.IMPORT_BEGUN)
        await self._imports.refresh()

    def _preview(self) -> Listing:
        source = self._source()
        try:
            return preview(self._context.gallery, self._current.name, source)
        finally:
            source.close()

    def _begun(self) -> None:
        source = self._source()
        try:
            options = Options(require_quality=bool(self._quality.value))
            begin_import(self._context.gallery, self._current.name, source, options)
        finally:
            source.close()

    def _source(self) -> Source:
        jobs = self._context.services.jobs
        given: NewConsent | None = self._consent()
        spec = {
            "kind": "zip", "upload": self._asked.upload, "folder": "", "aligned": False,
            "list_upload": self._asked.list_upload or None, "consent": consent_spec(given),
        }  # fmt: skip
        return open_source(spec, jobs.uploads, jobs.allowed)


async def upload(request: Request, context: ConsoleContext) -> Response:
    """A file for an import, as the body itself."""
    if request.method != "POST":
        raise HttpError(405, "method_not_allowed", "send the file with POST")
    jobs = context.services.jobs
    try:
        used = await context.run(jobs.pending)
        found, size = await jobs.uploads.receive(
            request.stream(), max_bytes=context.services.settings.max_archive_bytes, used=used
        )
    except ArcidError as error:
        raise HttpError.of(error) from None
    return JSONResponse({"id": found, "bytes": size}, 201)


async def refused(request: Request, context: ConsoleContext) -> Response:
    """Every item that an import refused, and why, as CSV."""
    job_id = request.query_params.get("job", "")
    try:
        job = await context.run(Jobs(context.gallery).get, job_id)
        left = await context.run(lambda: list(Jobs(context.gallery).every_refused(job_id)))
    except ArcidError as error:
        raise HttpError.of(error) from None
    context.looked("job.report", f"job:{job.id}", job.collection)
    body = files.csv_text(COLUMNS, [tuple(one.to_dict().values()) for one in left])
    headers = {"Content-Disposition": 'attachment; filename="refused.csv"'}
    return Response(body, media_type="text/csv; charset=utf-8", headers=headers)
