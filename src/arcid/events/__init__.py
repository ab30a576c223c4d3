"""What was seen, beside the people it may be of: events, stays, the review queue, the outbox.

    Sightings(gallery).person(...)      what a source reports; answers the events written
    Events(gallery).find("staff")       newest first, corrections applied
    Events(gallery).write("staff", "alert", ...)    what an application decided
    Reviews(gallery).find("staff")      doubtful cases that wait for a human
    Outbox(gallery).due("hr", now)      events still to be told
    Audit(gallery).find(verb="person")  who looked at or decided about people
    Leases(gallery).held("staff")       who watches which camera

All of it lies in the gallery's database. The gallery knows nothing of it but that it is there: a
person deleted or merged is deleted or merged here too (``belongings``), whoever does it.
"""

from __future__ import annotations

from arcid.events.audit import Audit, acting
from arcid.events.blocks import Blocks
from arcid.events.duties import Duty
from arcid.events.events import Events
from arcid.events.leases import Lease, Leases
from arcid.events.outbox import Outbox
from arcid.events.records import (
    APPS,
    ATTENDANCE,
    Action,
    AppKind,
    AttendanceKind,
    Cause,
    Event,
    EventKind,
    Place,
    Stay,
    Trace,
)
from arcid.events.review_records import Candidate, Question, Review, ReviewState, Verdict
from arcid.events.reviews import Reviews
from arcid.events.sightings import Sightings

__all__ = [
    "APPS",
    "ATTENDANCE",
    "Action",
    "AppKind",
    "AttendanceKind",
    "Audit",
    "Blocks",
    "Candidate",
    "Cause",
    "Duty",
    "Event",
    "EventKind",
    "Events",
    "Lease",
    "Leases",
    "Outbox",
    "Place",
    "Question",
    "Review",
    "ReviewState",
    "Reviews",
    "Sightings",
    "Stay",
    "Trace",
    "Verdict",
    "acting",
]
