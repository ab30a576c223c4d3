"""How imports of a collection are doing: progress, reasons; stopped, gone on with, ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from arcid.apps.importing import Left
from arcid.apps.jobs import Job, Jobs
from arcid.gallery import Collection
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.dialogs import confirm
from arcid.server.console.ui.widgets import (
    action,
    button,
    element,
    link_button,
    note,
    table_head,
    text,
)

SHOWN = 3  # imports
REASONS = 10


class Imports:
    """The newest imports of a collection, drawn anew where something changed."""

    place: ui.element

    def __init__(self, context: ConsoleContext, current: Collection) -> None:
        self._context, self._current = context, current
        self._jobs = Jobs(context.gallery)
        self._drawn: object = self

    async def refresh(self) -> None:
        found = await self._context.run(self._read)
        now = [(job.id, job.state, job.silent, job.done, job.refused) for job, _ in found]
        if now == self._drawn:
            return
        self._drawn = now
        self.place.clear()
        with self.place:
            if not found:
                text(S.IMPORT_NEVER, "soft", tag="p")
            for job, left in found:
                with element("div", "column import-job"):
                    self._show(job, left)

    def _read(self) -> list[tuple[Job, list[Left]]]:
        every = self._jobs.find(collections_=[self._current.id], limit=100)
        newest = [job for job in every if job.kind == "import"][:SHOWN]
        return [(job, list(self._jobs.refused(job.id, limit=REASONS))) for job in newest]

    def _show(self, job: Job, left: list[Left]) -> None:
        state = S.IMPORT_STATES["silent" if job.silent else job.state]
        words = S.IMPORT_PROGRESS.format(
            state=state, taken=job.done - job.refused, total=job.total, refused=job.refused
        )
        text(words, "person-name", tag="p", role="status")
        text(S.IMPORT_BY.format(when=S.moment(job.created_at)), "soft small", tag="p")
        if job.state in ("waiting", "running"):
            element("progress", "wide", max="1", value=f"{job.share:.3f}", aria_label=state)
        if job.problem:
            note(job.problem, "bad")
        if left:
            _reasons(job, left)
        with element("div", "row"):
            if job.origin == "service" and job.state in ("waiting", "running"):
                button(S.IMPORT_STOP, self._doing(Jobs.stop, job))
            if job.origin == "service" and job.state in ("stopped", "failed"):
                button(S.IMPORT_GO_ON, self._doing(Jobs.go_on, job), kind="primary")
            if job.state not in ("done", "cancelled"):
                button(S.IMPORT_CANCEL, self._ending(job), kind="quiet")
            if left:
                where = f"{ROOT}/refused.csv?job={job.id}"
                link = link_button(S.IMPORT_REPORT, where, icon="download", kind="quiet")
                link.props["download"] = ""

    def _doing(self, change: Callable[..., Any], job: Job) -> Callable[..., Awaitable[None]]:
        @action(self._context, "enrol")
        async def do() -> None:
            await self._context.run(change, self._jobs, job.id)
            self._context.services.jobs.wake()
            await self.refresh()

        return do

    def _ending(self, job: Job) -> Callable[..., Awaitable[None]]:
        end = self._doing(Jobs.cancel, job)

        @action(self._context, "enrol")
        async def do() -> None:
            if await confirm(S.IMPORT_CANCEL_TITLE, S.IMPORT_CANCEL_TEXT, S.IMPORT_CANCEL):
                await end()

        return do


def _reasons(job: Job, left: list[Left]) -> None:
    with element("details", "by-camera"):
        text(S.IMPORT_REASONS.format(n=job.refused), tag="summary")
        with element("div", "table-box"), element("table"):
            table_head(S.IMPORT_HEAD)
            with element("tbody"):
                for one in left:
                    with element("tr"):
                        text(one.label, tag="td")
                        text(one.message, tag="td")
        if job.refused > len(left):
            text(S.IMPORT_REASONS_MORE.format(n=len(left)), "soft small", tag="p")
