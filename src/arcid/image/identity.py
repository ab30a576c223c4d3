"""Which photo a face comes from."""

from __future__ import annotations

import hashlib

import numpy as np

from arcid.errors import UsageError
from arcid.types import Image


def photo_id(image: Image) -> str:
    """sha256 over shape and pixels: tells whether two faces come from one photo."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


class PhotoId:
    """A ``photo_id`` that is computed when it is first asked for; then the picture is let go."""

    __slots__ = ("_image", "_known")

    def __init__(self, image: Image | None = None, known: str | None = None) -> None:
        self._image, self._known = image, known

    @property
    def value(self) -> str:
        """Raises ``UsageError`` where the picture was let go unasked."""
        image = self._image  # before the other one: threads that ask at once see either
        if self._known is None:
            if image is None:
                raise UsageError(
                    "the photo was let go before its photo_id was asked for; say photo_ids=True "
                    "where a batch is made, or keep_photo=True where one photo is prepared"
                )
            self._known = photo_id(image)
            self._image = None
        return self._known

    def __repr__(self) -> str:
        return f"PhotoId({self._known[:8] + '…' if self._known else 'not computed'})"
