"""Watchlists: tell me when one of these people comes, at so many false alerts an hour.

    lists = Watchlists(gallery)
    terms = Terms(purpose=..., legal_basis=..., owner=..., expires_at=..., cameras=["door"])
    made = lists.create("Banned", "visitors", terms, actor="Ada")
    lists.add(made.id, person.id, actor="Ada", reason="ban of 3 March")
    lists.budget(made.id, "door", pipeline.calibration)         thresholds, and what to expect
    Watcher(pipeline, [duty(gallery, Place("door", "door"))])   ``observer.duty``: looks for them
    alerts = Alerts(gallery)
    alerts.find(states=["new"])                                 newest first
    alerts.answer(alert_id, "confirm", actor="Ada")             or acknowledge, dismiss, escalate
    alerts.undo(alert_id, actor="Ada")

Of somebody who is on no list nothing is written but a count. An alert keeps the face it was raised
about; dismissed, that face is kept away from the person it was taken for, until that is undone.
"""

from __future__ import annotations

from arcid.apps.watchlists.alerts import Alerts
from arcid.apps.watchlists.budget import Budget, Flow, Line, budget
from arcid.apps.watchlists.latency import Latency, Spread, latency
from arcid.apps.watchlists.lists import Watchlists
from arcid.apps.watchlists.raising import Seen
from arcid.apps.watchlists.records import (
    OPEN,
    Alert,
    AlertState,
    Level,
    Member,
    Step,
    Terms,
    Verb,
    Watchlist,
)

__all__ = [
    "OPEN",
    "Alert",
    "AlertState",
    "Alerts",
    "Budget",
    "Flow",
    "Latency",
    "Level",
    "Line",
    "Member",
    "Seen",
    "Spread",
    "Step",
    "Terms",
    "Verb",
    "Watchlist",
    "Watchlists",
    "budget",
    "latency",
]
