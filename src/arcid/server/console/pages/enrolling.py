"""Add a person by photos, or by this device's camera."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from nicegui import ui
from nicegui.element import Element

from arcid.apps.enrol import new_face
from arcid.decide import DEFAULT_FPIR
from arcid.errors import UsageError
from arcid.gallery import Collection, Decide, NewConsent, Person
from arcid.results import Face
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.live.feeds import PushFeed
from arcid.server.console.live.watching import Guide
from arcid.server.console.pages._collections import chosen, first_collection
from arcid.server.console.pages._consent import consent_fields
from arcid.server.console.pages._duplicate import add_to_namesake, enrol_asking
from arcid.server.console.pages._tray import Candidate, Tray
from arcid.server.console.ui.camera_view import CameraView
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    element,
    enable,
    link_button,
    note,
    say,
    text,
)


async def new_person(
    context: ConsoleContext, collection: str | None = None, name: str = ""
) -> None:
    """Name and photos in; an enrolled person out."""
    current, _ = await chosen(context, collection)
    with frame(context, S.ADD_PERSON, "/people", lead=S.ADD_LEAD):
        if current is None:
            first_collection(context)
            return
        with element("div", "toolbar"):
            link_button(S.PEOPLE, f"{ROOT}/people", icon="back", kind="quiet")
        with card(cls="narrow"):
            field_ = ui.input(S.ADD_NAME, value=name[:200]).props("outlined maxlength=200")
            field_.classes("wide")
            tray = Tray(context, current)
            _by_camera(context, tray)
            tray.build()
            agreed = await consent_fields(context, current)
            alike = element("div")

            @action(context, "enrol")
            async def enrol() -> None:
                wanted = " ".join((field_.value or "").split())
                if not wanted:
                    raise UsageError(S.ADD_NAME_MISSING)
                consent, faces = agreed(), tray.chosen
                if faces:
                    picture = faces[0].face.crop
                    if not await add_to_namesake(context, current, wanted, picture):
                        return
                    await context.allow("enrol")
                person = await enrol_faces(context, current, faces, name=wanted, consent=consent)
                if person is None:
                    return
                total = S.count(person.faces, S.ONE_FACE, S.MANY_FACES)
                say(S.ADD_DONE.format(name=person.name, faces=total))
                ui.navigate.to(f"/people/{person.id}?collection={quote(current.name)}")

            with element("div", "row end"):
                link_button(S.CANCEL, f"{ROOT}/people", kind="quiet")
                go = button(S.ADD_BUTTON, enrol, kind="primary")

            async def changed() -> None:
                enable(go, bool(tray.chosen))
                alike.clear()
                if tray.chosen:
                    await _who_is_it(context, current, tray.chosen[-1].face, alike)

            tray.on_change = lambda: ui.timer(0, action(context, "enrol")(changed), once=True)
            enable(go, False)


def _by_camera(context: ConsoleContext, tray: Tray) -> None:
    """Guided pictures of this device's camera, as an alternative to photos."""
    with element("details", "by-camera"):
        text(S.BY_CAMERA, tag="summary")
        arrived: list[tuple[str, Face]] = []
        guide = Guide(context.services, lambda pose, found: arrived.append((pose, found)))

        @action(context, "enrol")
        async def taken(_: Any) -> None:
            while arrived:
                pose, found = arrived.pop(0)
                tray.take(found, S.POSE_FILE.format(pose=S.POSE_NAMES[pose]))

        feed = PushFeed(S.BY_CAMERA, "enrol", guide.work)
        CameraView(context, feed, S.BY_CAMERA, mirrored=True, on_event=taken)


async def enrol_faces(
    context: ConsoleContext,
    collection: Collection,
    chosen_faces: list[Candidate],
    *,
    name: str = "",
    person_id: str = "",
    source: str = "",
    consent: NewConsent | None = None,
) -> Person | None:
    """Faces into the gallery, under a new name or for a known person; all or none.

    None: one is somebody else already, and was not enrolled twice.
    """
    if not chosen_faces:
        raise UsageError(S.ADD_FACES_MISSING)
    origin = context.services.pipeline.provenance
    faces = [new_face(one.face, source or one.file, origin) for one in chosen_faces]
    gallery = context.gallery

    def enrol(decide: Decide | None) -> Person:
        if person_id:
            gallery.add_faces(collection.name, person_id, faces, decide=decide)
            return gallery.person(collection.name, person_id)
        return gallery.enrol(collection.name, name, faces, decide=decide, consent=consent)[0]

    pictures = [one.face.crop for one in chosen_faces]
    return await enrol_asking(context, "enrol", collection, pictures, enrol)


async def _who_is_it(
    context: ConsoleContext, collection: Collection, probe: Face, where: Element
) -> None:
    """Say early that somebody may be enrolled twice."""
    if context.services.calibration() is None or collection.faces == 0:
        return
    (found,) = await context.run(
        partial(
            context.services.pipeline.identify_embeddings,
            probe.embedding,
            context.gallery,
            collection.name,
            k=1,
            unsupported="extrapolate",
        )
    )
    context.searched(collection.name, [found], DEFAULT_FPIR)
    if found.decision.matched:
        likely = S.percent(found.decision.probability or 0.0)
        with where:
            note(S.ADD_ALIKE.format(name=found.candidates[0].name, probability=likely), "warn")
