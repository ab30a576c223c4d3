"""Photos of one person on their way into the gallery, each looked at before any is enrolled."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nicegui import ui
from nicegui.element import Element

from arcid.errors import ArcidError
from arcid.gallery import Collection
from arcid.results import Face, Faces
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.picking import face_choice
from arcid.server.console.ui.widgets import (
    PhotoDrop,
    action,
    button,
    chip,
    data_url,
    element,
    face,
    text,
)


@dataclass(slots=True)
class Candidate:
    """A photo on its way into the gallery."""

    face: Face
    file: str
    use: bool


@dataclass(slots=True)
class Tray:
    """The photos of one person, looked at one by one before any is enrolled."""

    context: ConsoleContext
    collection: Collection
    on_change: Any = None
    found: list[Candidate] = field(default_factory=list)
    board: Element | None = None

    def build(self) -> None:
        """The drop zone and, below it, what became of each photo."""
        settings = self.context.services.settings
        PhotoDrop(S.ADD_PHOTOS, self.add, max_bytes=settings.max_upload_bytes, multiple=True)
        self.board = element("div", "tray", aria_live="polite")

    async def add(self, photo_id: str, file: str) -> None:
        """A photo arrived: find its face, say whether it can be used."""

        @action(self.context, "enrol")
        async def look() -> None:
            photo = self.context.photo(photo_id)
            try:
                found = await self.context.one_face(photo, photo_ids=True)
            except ArcidError as error:
                self._refused(file, error.message)
                return
            if isinstance(found, Faces):
                self._ask(found, file)
            else:
                self.take(found, file)

        await look()

    def _ask(self, found: Faces, file: str) -> None:
        """Which of several faces it is."""
        if self.board is None:
            return
        with self.board, element("div", "tray-item") as item, element("div", "tray-lines"):
            text(file, "file-name")

            async def choose(one: Face) -> None:
                item.delete()
                self.take(one, file)

            face_choice(found, file, choose)
            button(S.ADD_REMOVE, item.delete, kind="quiet", icon="cross")

    def take(self, found: Face, file: str) -> None:
        """Show a face that was found, with the reasons against it."""
        reasons = found.quality.reasons if found.quality else ()
        candidate = Candidate(found, file, use=not reasons)
        self.found.append(candidate)
        if self.board is None:
            return
        with self.board, element("div", "tray-item") as item:
            face(data_url(found.crop), S.FACE_FROM.format(file=file))
            with element("div", "tray-lines"):
                text(file, "file-name")
                if not reasons:
                    chip(S.ADD_OK, "good")
                else:
                    chip(S.ADD_POOR, "warn")
                    for reason in reasons:
                        text(reason.message, "reason", tag="p")
                    ui.checkbox(
                        S.ADD_USE_ANYWAY,
                        on_change=lambda event: self._use(candidate, bool(event.value)),
                    ).props("dense")
                button(
                    S.ADD_REMOVE, partial(self._remove, candidate, item), kind="quiet", icon="cross"
                )
        self._changed()

    @property
    def chosen(self) -> list[Candidate]:
        return [candidate for candidate in self.found if candidate.use]

    def _refused(self, file: str, message: str) -> None:
        if self.board is None:
            return
        with self.board, element("div", "tray-item") as item, element("div", "tray-lines"):
            text(file, "file-name")
            chip(S.ADD_POOR, "bad")
            text(message, "reason", tag="p")
            button(S.ADD_REMOVE, item.delete, kind="quiet", icon="cross")

    def _use(self, candidate: Candidate, use: bool) -> None:
        candidate.use = use
        self._changed()

    def _remove(self, candidate: Candidate, item: Element) -> None:
        self.found.remove(candidate)
        self._changed()
        item.delete()

    def _changed(self) -> None:
        if self.on_change is not None and self.board is not None:
            with self.board:
                self.on_change()
