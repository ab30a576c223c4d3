"""People who identify themselves by a document and their face."""

from __future__ import annotations

import cv2
import numpy as np

from arcid.apps.demo.cast import Cast
from arcid.apps.demo.places import COLLECTION
from arcid.apps.onboarding.applicant import Agreed, Applicant
from arcid.apps.onboarding.cases import Cases
from arcid.apps.onboarding.records import Rules
from arcid.gallery import Gallery
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.types import Image

CARD = (540, 856)  # height, width: an identity card at ten pixels a millimetre
PICTURE = Rules(live=False, passive="off")  # a picture is enough, and nothing checks that it lives
CONSENT = Agreed("demo", "I agree that my document and my face are compared.")


def identify(gallery: Gallery, pipeline: Pipeline, cast: Cast) -> None:
    """With a drawn card and a selfie: one accepted, one who is somebody else, one left to a human
    since the face is enrolled already; and one who only began."""
    cases, applicant, known = Cases(gallery), Applicant(gallery, pipeline), cast.staff[1]
    tries = [(cast.applicant, cast.applicant), (cast.applicant, cast.barred), (known, known)]
    for number, (claimed, shown) in enumerate(tries, 1001):
        _, token = cases.start(COLLECTION, reference=f"A-{number}", rules=PICTURE)
        applicant.consent(token, CONSENT, name=claimed.name)
        applicant.document(token, card(load_image(claimed.enrolled[0])))
        any(applicant.selfie(token, _near(head)).taken for head in shown.heads)
    cases.start(COLLECTION, reference="A-1004")


def _near(head: Image) -> Image:
    """As near as a selfie is taken."""
    return np.asarray(cv2.resize(head, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)


def card(portrait: Image) -> Image:
    """(540,856,3) uint8 RGB: a card nobody would take for a real one, with the portrait on it."""
    page = np.full((*CARD, 3), (214, 224, 232), np.uint8)
    height = 330
    width = min(round(portrait.shape[1] * height / portrait.shape[0]), 340)
    page[110 : 110 + height, 40 : 40 + width] = cv2.resize(portrait, (width, height))
    for row, text in enumerate(("DEMO CARD", "NOT A DOCUMENT", "A-1001")):
        at = (400, 150 + 90 * row)
        cv2.putText(page, text, at, cv2.FONT_HERSHEY_SIMPLEX, 1.1, (40, 40, 60), 2)
    return page
