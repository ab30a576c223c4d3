"""How often the machine-readable zone is read in a picture; writes results/mrz-<hardware>.csv.

    python benchmarks/mrz.py

Specimens are drawn with the portrait of somebody of lfw-dev and a zone in OCR-B: made-up names and
numbers, a third each of passports (TD3), sheets (TD2) and the backs of cards (TD1). As documents
are, they are printed cleanly, printed and scanned anew, or grey; photographed at 8 or 12 pixels a
millimetre, turned, slanted, blurred and compressed; and read as onboarding reads them. A zone is
read when its check digits are right: ``right`` is alike in everything, ``name`` in everything but a
name, which no digit guards, ``wrong`` in a number or a date. No document of a real person is used.
"""

from __future__ import annotations

import argparse
import string
import sys
import time
from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path

import cv2
import numpy as np

from arcid import paths
from arcid.apps.demo.documents import FORMS, Form, photographed, specimen, zone_of
from arcid.apps.onboarding import zones
from arcid.apps.onboarding.degrading import Kind, degraded
from arcid.apps.onboarding.documents import Reader
from arcid.apps.onboarding.mrz import Zone, read
from arcid.bench.common import hardware_slug, write_csv
from arcid.errors import InputError
from arcid.evaluate.metrics import wilson
from arcid.evaluate.readers.folder import read_people
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.types import Image

PRINTS: tuple[Kind | None, ...] = (None, "print_scan", "grey")
PX_MM = (8.0, 12.0)
EYES_MM = 9.0  # of a portrait: what ``degraded`` measures its harm in
FAMILIAR = "CFGHJKLMNPRTVWXYZ0123456789"  # numbers of some states: no letter looks like a digit
OUTCOMES = ("right", "name", "wrong", "unread")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=20, help="pages of each kind")
    options = parser.parse_args()
    reader, rng = Reader(Pipeline.from_models()), np.random.default_rng(9303)
    scanner = zones.load()
    if scanner is None:
        parser.error("needs pip install 'arcid[mrz]'")
    folder = paths.required_data_dir() / "data/lfw-dev/images"
    photos = iter(rng.permutation([str(photo.name) for photo in read_people(folder).photos]))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: list[float] = []
    refused = 0
    for number in range(options.each * len(FORMS) * len(PRINTS) * len(PX_MM)):
        form, rest = FORMS[number % 3], number // 3
        printed, px_mm = PRINTS[rest % 3], PX_MM[rest // 3 % 2]
        while True:  # a photo of the press may be no portrait
            text = made_up(form, rng)
            portrait = None if form == "TD1" else load_image(folder / next(photos))
            page = specimen(form, portrait, text, px_mm=px_mm)
            if printed is not None:
                page = degraded(page, printed, EYES_MM * px_mm, rng)
            picture = taken(page, rng)
            try:
                found = None if form == "TD1" else reader.read(picture)
                break
            except InputError:
                refused += 1
        began = time.perf_counter()
        seen = scanner.turned(picture) if found is None else scanner.document(found)
        seconds.append(time.perf_counter() - began)
        for what in ("all", form, printed or "clean", f"{px_mm:g} px/mm"):
            counts[what][outcome(read(text), seen)] += 1
    rows = []
    for what, count in counts.items():
        total = count.total()
        low, high = wilson(total - count["unread"], total)
        rate = {"read": 1 - count["unread"] / total, "low": low, "high": high}
        rows.append({"what": what, **{one: count[one] for one in OUTCOMES}, "of": total, **rate})
    rows[0] = rows[0] | {"seconds": round(float(np.median(seconds)), 2)}
    for row in rows:
        print(row)
    print(f"{refused} portraits refused and replaced")
    if options.each == parser.get_default("each"):
        header = ["what", *OUTCOMES, "of", "read", "low", "high", "seconds"]
        path = Path(__file__).parent / "results" / f"mrz-{hardware_slug()}.csv"
        write_csv(path, [{key: row.get(key, "") for key in header} for row in rows])
    return 0


def made_up(form: Form, rng: np.random.Generator) -> str:
    def letters(low: int, high: int) -> str:
        return "".join(rng.choice(list(string.ascii_uppercase), rng.integers(low, high)))

    digits = "".join(rng.choice(list(string.digits), 9))
    ahead = int(rng.integers(3))
    number = (letters(ahead, ahead + 1) + digits)[:9]
    if rng.random() < 0.3:
        number = "".join(rng.choice(list(FAMILIAR), 9))
    given = " ".join(letters(3, 9) for _ in range(rng.integers(1, 3)))
    born = date(1940, 1, 1) + timedelta(int(rng.integers(66 * 365)))
    expires = date(2027, 1, 1) + timedelta(int(rng.integers(3650)))
    personal = digits[: rng.integers(5, 10)] if form == "TD3" and rng.random() < 0.5 else ""
    return zone_of(form, f"{given} {letters(3, 13)}", number, born, expires, personal=personal)


def taken(page: Image, rng: np.random.Generator) -> Image:
    """A phone's picture of it."""
    seen = photographed(page, turns=int(rng.integers(4)), slant=float(rng.uniform(-0.04, 0.05)))
    soft = cv2.GaussianBlur(seen, (0, 0), float(rng.uniform(0.4, 1.1)))
    _, data = cv2.imencode(".jpg", soft, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 90))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def outcome(want: Zone, seen: Zone | None) -> str:
    if seen is None:
        return "unread"
    if seen == want:
        return "right"
    guarded = ("number", "birth_date", "expires")
    return "name" if all(getattr(seen, f) == getattr(want, f) for f in guarded) else "wrong"


if __name__ == "__main__":
    sys.exit(main())
