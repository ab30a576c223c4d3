"""One side of a pair: the face nearest to the other's, the name, how many faces there are."""

from __future__ import annotations

from urllib.parse import quote

from arcid.apps.duplicates import Side
from arcid.errors import NotFound
from arcid.gallery import Collection, Gallery
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.ui.widgets import avatar, data_url, element, face, text


def figure(current: Collection, side: Side, picture: str | None) -> None:
    name = side.name
    if side.collection != current.name:
        name = S.DUPLICATES_IN.format(name=side.name, collection=side.collection)
    with element("figure", "review-face"):
        if picture is None:
            avatar(side.name)
        else:
            face(picture, S.FACE_OF.format(name=side.name))
        with element("figcaption"):
            href = f"{ROOT}/people/{side.person_id}?collection={quote(side.collection)}"
            text(name, "person-name", tag="a", href=href)
            text(S.count(side.faces, S.ONE_FACE, S.MANY_FACES), "soft small", tag="p")


def picture_of(gallery: Gallery, side: Side) -> str | None:
    """The nearest template, else any kept face of theirs."""
    try:
        known = [f.id for f in gallery.faces(side.collection, side.person_id) if f.has_crop]
        for face_id in sorted(known, key=lambda one: one != side.face_id):
            crop = gallery.face_crop(side.collection, face_id)
            if crop is not None:
                return data_url(crop)
    except NotFound:
        return None
    return None
