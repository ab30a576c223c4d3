"""Everything the demo shows, in the order in which it could have happened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from arcid.apps.demo import cases, days, doors, lists, people
from arcid.apps.demo.cast import Cast
from arcid.apps.demo.places import ACTOR
from arcid.events import acting
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline


def fill(
    gallery: Gallery,
    pipeline: Pipeline,
    cast: Cast,
    home: Path,
    *,
    now: datetime | None = None,
    tell: Callable[[str], None] = lambda what: None,
) -> None:
    """Fill an empty gallery; ``home`` is the folder of its service. ``now``: with a zone, default:
    now; ``tell`` hears what comes next."""
    moment = now or datetime.now().astimezone()
    with acting(ACTOR):
        tell(f"enrolling {len(cast.staff)} people under made-up names, one of them twice")
        people.enrol(gallery, pipeline, cast)
        people.find_twice(gallery, pipeline)
        lists.watch_for(gallery, moment)
        tell(f"letting them pass a camera on {days.DAYS} days")
        days.attend(gallery, pipeline, cast, moment)
        doors.let_in(gallery, pipeline, cast, home)
        tell("letting somebody identify themselves")
        cases.identify(gallery, pipeline, cast)
