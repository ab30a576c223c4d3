"""The service for assistants, by the Model Context Protocol: what they may ask, and with leave, do.

Every tool is a call of the REST service through ``arcid.client``: the API key decides what is
allowed, and the audit says who looked. Tools that write are offered only where that was asked for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

import arcid.client.models as m
from arcid.client import OMIT, AsyncClient
from arcid.errors import ArcidError, ImageUnreadable

INSTRUCTIONS = """\
arcid recognises faces in collections of enrolled people. Its decisions are made at a stated error
rate: outcome is match, no_match or review, and review means that a human has to decide. Never call
somebody recognised whose outcome is not match, and say the error rate with it. Faces and names are
personal data: ask for no more than the task needs."""

Collection = Annotated[str, Field(description="Name of a collection.")]
PersonId = Annotated[str, Field(description="Id of a person.")]
Remark = Annotated[str, Field(description="Why, in a few words; kept with it.")]
Limit = Annotated[int, Field(ge=1, le=100, description="Most rows.")]
After = Annotated[str | None, Field(description="`next` of the page before.")]


class Photograph(BaseModel):
    """A photo: one of the two."""

    path: str | None = Field(
        None, description="Of a file, below a folder that this server was given for photos."
    )
    base64: str | None = Field(None, description="The bytes of a JPEG, PNG or WebP file.")


@dataclass(frozen=True)
class Desk:
    """The tools. Over HTTP each caller shows a key of their own, and ``key`` is not used."""

    url: str
    key: str | None = field(default=None, repr=False)
    folders: Sequence[Path] = ()
    options: dict[str, Any] = field(default_factory=dict, repr=False)  # for the client

    @asynccontextmanager
    async def _service(self, ctx: Context) -> AsyncIterator[AsyncClient]:
        headers = ctx.headers
        key = self.key if headers is None else _bearer(headers.get("authorization", ""))
        try:
            async with AsyncClient(self.url, key=key, **self.options) as service:
                yield service
        except ArcidError as error:
            raise ToolError(str(error)) from error

    def _photo(self, given: Photograph) -> Path | bytes:
        if (given.path is None) == (given.base64 is None):
            raise ImageUnreadable("give either the path or the base64 of a photo")
        if given.base64 is not None:
            try:
                return base64.b64decode("".join(given.base64.split()), validate=True)
            except binascii.Error as error:
                raise ImageUnreadable("that is no base64") from error
        path = Path(str(given.path)).expanduser().resolve()
        if not any(path.is_relative_to(folder.resolve()) for folder in self.folders):
            allowed = ", ".join(map(str, self.folders)) or "none: start it with --photos FOLDER"
            raise ImageUnreadable(f"photos are read below these folders only: {allowed}")
        return path

    async def list_collections(self, ctx: Context, after: After = None) -> m.Collections:
        """Collections of people, and how many people and faces each has."""
        async with self._service(ctx) as service:
            return await service.list_collections(after=after)

    async def search_photo(
        self,
        ctx: Context,
        collection: Collection,
        photo: Photograph,
        fpir: Annotated[
            float, Field(gt=0, lt=1, description="Share of strangers who may be taken for one.")
        ] = 0.01,
        candidates: Annotated[int, Field(ge=1, le=20, description="Per face.")] = 3,
    ) -> m.SearchOut:
        """Who of a collection is in a photo: each face, its decision and the nearest people."""
        async with self._service(ctx) as service:
            return await service.search_photo(
                collection, self._photo(photo), fpir=fpir, k=candidates
            )

    async def verify_photos(
        self,
        ctx: Context,
        photo_a: Photograph,
        photo_b: Photograph,
        fmr: Annotated[
            float, Field(gt=0, lt=1, description="Share of pairs of two people taken for one.")
        ] = 1e-4,
    ) -> m.Compared:
        """Do two photos show one person?"""
        async with self._service(ctx) as service:
            return await service.compare(self._photo(photo_a), self._photo(photo_b), fmr=fmr)

    async def who_is_present(self, ctx: Context, collection: Collection) -> m.PresentOut:
        """Who is present now, where and since when, by the attendance book."""
        async with self._service(ctx) as service:
            return await service.list_present(collection)

    async def day_sheet(
        self,
        ctx: Context,
        collection: Collection,
        day: Annotated[date, Field(description="As 2026-03-02.")],
        zone: Annotated[str | None, Field(description="Time zone, as Europe/Berlin.")] = None,
    ) -> m.DayOut:
        """Who was there on a day, from when to when."""
        async with self._service(ctx) as service:
            return await service.day_sheet(collection, day, zone=zone)

    async def list_events(
        self,
        ctx: Context,
        collection: Collection,
        since: Annotated[datetime | None, Field(description="ISO 8601 with a zone.")] = None,
        until: Annotated[datetime | None, Field(description="ISO 8601 with a zone.")] = None,
        limit: Limit = 20,
        after: After = None,
    ) -> m.Events:
        """What cameras and people wrote down, newest first."""
        async with self._service(ctx) as service:
            return await service.list_events(
                collection, since=since, until=until, limit=limit, after=after
            )

    async def explain_event(
        self, ctx: Context, collection: Collection, event_id: str
    ) -> m.Explained:
        """Why an event says what it says: score, threshold, error rate, corrections."""
        async with self._service(ctx) as service:
            return await service.explain_event(collection, event_id)

    async def list_reviews(
        self,
        ctx: Context,
        collection: Collection,
        state: Literal["open", "yes", "no", "withdrawn"] = "open",
        limit: Limit = 20,
        after: After = None,
    ) -> m.ReviewsOut:
        """Doubtful faces that wait for a human's word, or had one."""
        async with self._service(ctx) as service:
            return await service.list_reviews(collection, state=[state], limit=limit, after=after)

    async def enrol_photo(
        self,
        ctx: Context,
        collection: Collection,
        name: Annotated[str, Field(description="Of the person; made where nobody has it.")],
        photo: Photograph,
        consent: Annotated[
            str | None, Field(description="Version of the text that the person agreed to.")
        ] = None,
    ) -> m.Enrolled:
        """Enrol the face that a photo is of, under a name. Ask the user before."""
        async with self._service(ctx) as service:
            return await service.enrol(collection, name, self._photo(photo), consent=consent)

    async def answer_review(
        self,
        ctx: Context,
        collection: Collection,
        review_id: str,
        answer: Annotated[
            Literal["yes", "no", "not_person"],
            Field(description="yes: it is person_id; not_person: it is not; no: nobody known."),
        ],
        person_id: Annotated[str | None, Field(description="For yes and not_person.")] = None,
        note: Remark = "",
    ) -> m.ReviewOut:
        """Write down what the user said to a doubtful face. It can be taken back."""
        async with self._service(ctx) as service:
            return await service.answer_review(
                collection, review_id, answer, person_id=person_id or OMIT, note=note
            )

    async def undo_review(
        self, ctx: Context, collection: Collection, review_id: str, note: Remark = ""
    ) -> m.ReviewOut:
        """Take the last answer to a doubtful face back."""
        async with self._service(ctx) as service:
            return await service.undo_review(collection, review_id, note=note)

    async def not_this_person(
        self, ctx: Context, collection: Collection, event_id: str, note: Remark = ""
    ) -> m.Corrected:
        """Write down that an event names the wrong person. It can be taken back."""
        async with self._service(ctx) as service:
            return await service.not_this_person(collection, event_id, note=note)

    @property
    def reading(self) -> list[Callable[..., Any]]:
        """Tools that change nothing."""
        return [
            self.list_collections,
            self.search_photo,
            self.verify_photos,
            self.who_is_present,
            self.day_sheet,
            self.list_events,
            self.explain_event,
            self.list_reviews,
        ]

    @property
    def writing(self) -> list[Callable[..., Any]]:
        """Tools that write; none deletes."""
        return [self.enrol_photo, self.answer_review, self.undo_review, self.not_this_person]


def make_server(desk: Desk, *, writes: bool = False) -> MCPServer:
    """The server with its tools, those that write only where ``writes``."""
    server = MCPServer("arcid", instructions=INSTRUCTIONS, log_level="WARNING")
    for tool in desk.reading:
        server.add_tool(tool, annotations=ToolAnnotations(read_only_hint=True))
    for tool in desk.writing if writes else ():
        server.add_tool(
            tool, annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False)
        )
    return server


def _bearer(header: str) -> str | None:
    scheme, _, key = header.partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


__all__ = ["Desk", "Photograph", "make_server"]
