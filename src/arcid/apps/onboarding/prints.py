"""Is this the same picture again? A print of an aligned crop, and how far two prints are apart.

A print is 256 signs of horizontal differences (dHash; N. Krawetz, 2013) of a crop of 17×16 grey
cells. It survives JPEG, scaling and printing, and tells no face from another by itself: it is kept
to recognise a picture, not a person. Where the limits come from: docs/concepts/onboarding.md.
"""

from __future__ import annotations

import numpy as np

from arcid.types import Image

SIDE = 16
BITS = SIDE * SIDE


def picture_print(crop: Image) -> bytes:
    """(S,S,3) uint8 RGB aligned crop in; 32 bytes out."""
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes()


def distance(a: bytes, b: bytes) -> int:
    """Signs that differ, of 256: 0 is the same picture, strangers are about 90 apart."""
    return int.bit_count(int.from_bytes(a) ^ int.from_bytes(b))
