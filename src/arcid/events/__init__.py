"""What was seen, beside the people it may be of: events, visits, the review queue, the outbox.

    events = Events(gallery)
    events.sighting("staff", Place("door", "door"), person_id, at, cooldown_s=60, grounds={})
    events.find("staff", kinds=["arrival"])     newest first, corrections applied
    Reviews(gallery).find("staff")              doubtful cases that wait for a human
    Outbox(gallery), Leases(gallery)            events still to be told; who watches which camera

All of it lies in the gallery's database. The gallery knows nothing of it but that it is there: a
person deleted or merged is deleted or merged here too (``belongings``), whoever does it.
"""

from __future__ import annotations

from arcid.events.events import Events
from arcid.events.leases import Lease, Leases
from arcid.events.outbox import Outbox
from arcid.events.records import Action, Cause, Event, EventKind, Place, Trace, Visit
from arcid.events.review_records import Candidate, Question, Review, ReviewState, Verdict
from arcid.events.reviews import Reviews

__all__ = [
    "Action",
    "Candidate",
    "Cause",
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
    "Trace",
    "Verdict",
    "Visit",
]
