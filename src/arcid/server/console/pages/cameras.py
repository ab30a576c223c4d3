"""Cameras of the service: add, change, switch off, and how they are doing. Admins only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from arcid.cameras.book import MODES, SEALED_ELSEWHERE, Camera
from arcid.cameras.runner import Status
from arcid.errors import UsageError
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._collections import chosen, first_collection
from arcid.server.console.ui.dialogs import confirm, dialog, open_dialog
from arcid.server.console.ui.fresh import quietly
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    Tone,
    action,
    button,
    card,
    chip,
    element,
    empty,
    facts,
    note,
    say,
    text,
)

TONES: dict[str, Tone] = {"live": "good", "trouble": "bad", "starting": "info"}
REFRESH_S = 2.0
Show = Callable[[], Awaitable[None]]


async def cameras(context: ConsoleContext) -> None:
    """All cameras and a form."""
    current, known = await chosen(context, None)
    with frame(context, S.CAMERAS, "/cameras", lead=S.CAMERAS_LEAD):
        if current is None:
            first_collection(context)
            return
        names = [collection.name for collection in known]
        with element("div", "toolbar"):
            element("span", "grow")
            button(
                S.CAMERA_ADD,
                action(context, "cameras")(lambda: _form(context, None, names, show)),
                icon="add",
                kind="primary",
            )
        board = element("div", "visitor-grid")

        async def show() -> None:
            found = await context.run(context.cameras.book.all)
            board.clear()
            with board:
                if not found:
                    with card(cls="span"):
                        empty("cameras", S.CAMERA_NONE, S.CAMERA_NONE_TEXT)
                for camera in found:
                    _camera(context, camera, names, show)

        await show()


def _camera(context: ConsoleContext, camera: Camera, names: list[str], show: Show) -> None:
    with card(cls="visitor"):
        text(camera.name, tag="h2")
        state = element("div", aria_live="polite")
        rows = [
            (S.CAMERA_SOURCE, S.CAMERA_SEALED_SHORT if camera.sealed else camera.shown),
            (S.COLLECTION, _collection(camera, names)),
            (S.CAMERA_LIVENESS, S.CAMERA_LIVENESS_NAMES[camera.liveness]),
            (S.CAMERA_ATTENDANCE, S.YES if camera.attendance else S.NO),
        ]
        facts(rows)

        async def refresh() -> None:
            state.clear()
            with state:
                _state(context.cameras.status(camera.id))

        @action(context, "cameras")
        async def delete() -> None:
            title = S.CAMERA_DELETE_TITLE.format(name=camera.name)
            if not await confirm(title, S.CAMERA_DELETE_TEXT, S.CAMERA_DELETE):
                return
            await context.allow("cameras")
            await context.run(context.cameras.delete, camera.id)
            say(S.CAMERA_DELETED.format(name=camera.name))
            await show()

        with element("div", "row end"):
            button(
                S.EDIT,
                action(context, "cameras")(lambda: _form(context, camera, names, show)),
                icon="edit",
            )
            button(S.CAMERA_DELETE, delete, icon="trash", kind="danger")
        ui.timer(REFRESH_S, quietly(context, "cameras")(refresh))


def _state(status: Status) -> None:
    with element("div", "row tight"):
        chip(S.CAMERA_STATES[status.state], TONES.get(status.state, "plain"))
        if status.state == "live":
            chip(S.CAMERA_RATE.format(n=status.frames_per_s))
            if status.size is not None:
                chip(S.CAMERA_SIZE.format(width=status.size[0], height=status.size[1]))
    if status.problem:
        note(status.problem, "bad", role="alert")
    for entry in status.lately[-3:]:
        text(entry.detail, "soft small", tag="p")


def _collection(camera: Camera, names: list[str]) -> str:
    if camera.collection in names:
        return camera.collection
    return S.CAMERA_COLLECTION_DELETED.format(name=camera.collection)


async def _form(
    context: ConsoleContext, camera: Camera | None, names: list[str], show: Show
) -> None:
    if camera is not None:
        camera = await context.run(context.cameras.book.get, camera.id)
    with dialog(S.CAMERA_EDIT if camera else S.CAMERA_ADD) as made:
        name = ui.input(S.CAMERA_NAME, value=camera.name if camera else "")
        kept_source = camera.shown if camera else ""
        source = ui.input(S.CAMERA_SOURCE, value=kept_source)
        text(S.CAMERA_SOURCE_HINT, "soft small", tag="p")
        if camera is not None and camera.sealed:
            note(SEALED_ELSEWHERE, "warn", role="alert")
        elif camera is not None and camera.source != camera.shown:
            text(S.CAMERA_SOURCE_KEPT, "soft small", tag="p")
        kept = camera.collection if camera else names[0]
        if kept not in names:
            note(S.CAMERA_COLLECTION_GONE.format(name=kept), "warn", role="alert")
        collection = ui.select(names, value=kept if kept in names else None, label=S.COLLECTION)
        place = ui.input(S.CAMERA_PLACE, value=camera.place if camera else "")
        text(S.CAMERA_PLACE_HINT, "soft small", tag="p")
        liveness = ui.select(
            {mode: S.CAMERA_LIVENESS_NAMES[mode] for mode in MODES},
            value=camera.liveness if camera else "off",
            label=S.CAMERA_LIVENESS,
        )
        text(S.CAMERA_LIVENESS_TEXT, "soft small", tag="p")
        attendance = ui.checkbox(S.CAMERA_ATTENDANCE, value=camera.attendance if camera else True)
        text(S.CAMERA_ATTENDANCE_TEXT, "soft small", tag="p")
        enabled = ui.checkbox(S.CAMERA_ENABLED, value=camera.enabled if camera else True)
        for field in (name, source, collection, place, liveness):
            field.props("outlined dense options-dense").classes("wide")

        @action(context, "cameras")
        async def save() -> None:
            if not collection.value:
                raise UsageError(S.CAMERA_COLLECTION_MISSING)
            typed = (source.value or "").strip()
            values = {
                "name": name.value or "",
                "source": None if camera is not None and typed == kept_source else typed,
                "collection": collection.value,
                "place": place.value or "",
                "liveness": liveness.value or "off",
                "enabled": bool(enabled.value),
                "attendance": bool(attendance.value),
            }
            if camera is None:
                saved = await context.run(context.cameras.add, **values)
            else:  # what is left as it was may be another by now
                new = {key: value for key, value in values.items() if value != getattr(camera, key)}
                saved = await context.run(context.cameras.change, camera.id, **new)
            say(S.CAMERA_SAVED.format(name=saved.name))
            made.close()
            await show()

        with element("div", "dialog-buttons"):
            button(S.CANCEL, made.close, kind="quiet")
            button(S.SAVE, save, kind="primary")
    open_dialog(made)
