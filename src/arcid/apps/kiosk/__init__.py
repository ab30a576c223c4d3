"""A check-in kiosk: one face at a time is recognised, turns its head where asked, and is let in.

    kiosk = Kiosk(pipeline, gallery, gallery.collection("staff"), "Front door")
    for frame, look in kiosk.watch(source):       look.state says what to show
        ...

Who was recognised is checked in at the end of a passed challenge, or at once where none is asked
for. Everything is written as for any other camera. One thread.
"""

from arcid.apps.kiosk.kiosk import (
    ANSWER_S,
    CHALLENGE,
    EMBED_EVERY_S,
    LOOKS,
    STRAIGHT_DEG,
    STRANGE,
    Kiosk,
)
from arcid.apps.kiosk.looks import ANSWERS, FAILURES, Failure, Look, State, alike, meant

__all__ = [
    "ANSWERS",
    "ANSWER_S",
    "CHALLENGE",
    "EMBED_EVERY_S",
    "FAILURES",
    "LOOKS",
    "STRAIGHT_DEG",
    "STRANGE",
    "Failure",
    "Kiosk",
    "Look",
    "State",
    "alike",
    "meant",
]  # fmt: skip
