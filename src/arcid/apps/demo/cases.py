"""People who identify themselves by a document and their face."""

from __future__ import annotations

from datetime import date

import cv2
import numpy as np

from arcid.apps.demo.cast import Cast
from arcid.apps.demo.documents import specimen, zone_of
from arcid.apps.demo.places import COLLECTION
from arcid.apps.onboarding import zones
from arcid.apps.onboarding.applicant import Agreed, Applicant
from arcid.apps.onboarding.cases import Cases
from arcid.apps.onboarding.records import Rules
from arcid.gallery import Gallery
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.types import Image

PICTURE = Rules(live=False, passive="off")  # a picture is enough, and nothing checks that it lives
BORN, EXPIRES = date(1984, 2, 29), date(2049, 12, 31)
CONSENT = Agreed("demo", "I agree that my document and my face are compared.")


def identify(gallery: Gallery, pipeline: Pipeline, cast: Cast) -> None:
    """With a specimen of a document and a selfie: one accepted, one who is somebody else, one left
    to a human since the face is enrolled already; and one who only began."""
    cases, known = Cases(gallery), cast.staff[1]
    applicant = Applicant(gallery, pipeline, zones=zones.load())
    tries = [(cast.applicant, cast.applicant), (cast.applicant, cast.barred), (known, known)]
    for number, (claimed, shown) in enumerate(tries, 1001):
        _, token = cases.start(COLLECTION, reference=f"A-{number}", rules=PICTURE)
        applicant.consent(token, CONSENT, name=claimed.name, birth_date=BORN)
        zone = zone_of("TD2", claimed.name, f"A{number}", BORN, EXPIRES)
        page = specimen("TD2", load_image(claimed.enrolled[0]), zone)
        applicant.document(token, page, zone=zone)
        any(applicant.selfie(token, _near(head)).taken for head in shown.heads)
    cases.start(COLLECTION, reference="A-1004")


def _near(head: Image) -> Image:
    """As near as a selfie is taken."""
    return np.asarray(cv2.resize(head, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
