"""The picture of somebody enrolled, where their collection keeps pictures."""

from __future__ import annotations

from arcid.errors import FaceNotFound, PersonNotFound
from arcid.gallery import Collection, Gallery
from arcid.types import Image


def enrolled_face(
    gallery: Gallery, collection: Collection, person_id: str, nearest: str | None
) -> Image | None:
    """(S,S,3) uint8 RGB: of the face ``nearest`` to one that is asked about, else of any."""
    if not collection.keep_crops:
        return None
    try:
        faces = [f.id for f in gallery.faces(collection.name, person_id)]
        for face_id in sorted(faces, key=lambda known: known != nearest):
            crop = gallery.face_crop(collection.name, face_id)
            if crop is not None:
                return crop
    except (PersonNotFound, FaceNotFound):
        return None
    return None
