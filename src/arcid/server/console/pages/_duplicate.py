"""Ask before a face is enrolled that is somebody else already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from arcid.errors import PossibleDuplicate
from arcid.gallery import Collection, Decide, Person
from arcid.server.console import strings as S
from arcid.server.console.auth.roles import Permission
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages.people import portrait, thumbnail
from arcid.server.console.ui.dialogs import answer, dialog, dialog_buttons
from arcid.server.console.ui.widgets import data_url, element, face, text
from arcid.types import Image


async def add_to_namesake(
    context: ConsoleContext, collection: Collection, name: str, picture: Image
) -> bool:
    """Whether a face may be enrolled under a name: asked where somebody has it already."""
    known = await context.run(context.gallery.find_person, collection.name, name)
    if known is None:
        return True
    kept = await context.run(thumbnail, context.gallery, collection, known)
    with dialog(S.NAMESAKE_TITLE.format(name=known.name)) as made:
        _both(collection, picture, known, kept)
        text(S.NAMESAKE_TEXT, tag="p")
        dialog_buttons(made, S.NAMESAKE_GO.format(name=known.name), lambda: True)
    return bool(await answer(made))


def _both(collection: Collection, picture: Image | None, known: Person, kept: str | None) -> None:
    with element("div", "pair-faces"):
        if picture is not None:
            face(data_url(picture), S.TWICE_NEW)
        portrait(collection, known.name, kept, S.FACE_OF.format(name=known.name))


async def enrol_asking(
    context: ConsoleContext,
    permission: Permission,
    collection: Collection,
    pictures: Sequence[Image | None],
    enrol: Callable[[Decide | None], Person],
) -> Person | None:
    """What ``enrol`` makes; None where it would enrol somebody twice and that is not wanted.

    ``pictures``: the aligned faces, one or one for each that is enrolled.
    """
    try:
        return await context.run(enrol, context.services.pipeline.duplicate)
    except PossibleDuplicate as doubt:
        picture = pictures[min(doubt.details.get("image", 0), len(pictures) - 1)]
        if not await _accepted(context, collection, picture, doubt):
            return None
    await context.allow(permission)
    return await context.run(enrol, None)


async def _accepted(
    context: ConsoleContext, collection: Collection, picture: Image | None, doubt: PossibleDuplicate
) -> bool:
    about = doubt.details
    known = await context.run(context.gallery.person, collection.name, about["person_id"])
    kept = about["face_id"] if collection.keep_crops else None
    with dialog(S.TWICE_TITLE.format(name=known.name)) as made:
        _both(collection, picture, known, kept)
        text(_why(context, known.name, about["cosine"]), tag="p")
        dialog_buttons(made, S.TWICE_GO, lambda: True, kind="danger")
    return bool(await answer(made))


def _why(context: ConsoleContext, name: str, cosine: float | None) -> str:
    calibration = context.services.calibration()
    if cosine is None or calibration is None:
        return S.TWICE_SAME_PHOTO.format(name=name)
    likely = S.percent(calibration.probability(cosine))
    return S.TWICE_TEXT.format(name=name, probability=likely)
