"""A throw-away gallery to look at: made-up names over photographs that are on this machine.

    cast = Cast.of(pipeline, folder)            who plays whom
    fill(gallery, pipeline, cast, home)             every application has something to show
    with Broadcast({"door": partial(walk, cast)}) as streams: ...   its camera goes on

All of it goes the way a camera, an operator or an applicant goes; no row is written past them.
"""

from __future__ import annotations

from arcid.apps.demo.broadcast import Broadcast, loop, walk
from arcid.apps.demo.cast import Cast, film, photographs
from arcid.apps.demo.filling import fill
from arcid.apps.demo.places import CAMERA, COLLECTION

__all__ = [
    "CAMERA",
    "COLLECTION",
    "Broadcast",
    "Cast",
    "fill",
    "film",
    "loop",
    "photographs",
    "walk",
]
