"""Attendance: watch a source, name who comes, flag who is unknown, log each arrival once.

    source = open_source("rtsp://...", camera="door")           arcid.video
    watcher = Watcher(pipeline, gallery, "staff", Policy(), camera="door")
    for view in watcher.watch(source):                          one View a frame, for a live picture
        (lease=CameraLease(...).take())                         no other process watches meanwhile
        view.faces                                              box, label, outcome, why not
        view.events, view.health                                written since the last view
    book = Attendance(gallery, "staff")                         what was written
    book.events(since=..., kinds=["arrival"])                   newest first, corrections applied
    book.explain(event_id)                                      on what grounds it was decided
    book.correct(event_id, "reassign", person_id=..., actor=...)  a new row; nothing is edited
    book.not_this_person(event_id, actor=..., block=True)       removes the match, keeps it away
    book.add("arrival", person_id, at, actor=...)               by hand
    book.unknowns(calibration), .picture(event_id), .enrol_unknown(event_ids, name, actor=...)
    book.day(date), book.month(year, month)                     sheets: first in, last out, hours
    export.csv_text(export.day_table(sheet)), xlsx_bytes, json_text; events_table, month_table

A person *arrives* when recognised at a place where nobody of that name was seen for ``cooldown_s``
and *departs* when unseen for as long; the departure is dated when they were last seen. A place is
one camera unless ``Policy.place`` says that several overlap. Events are written once under a key
made of what happened and when, by the source's clock: replaying a file, restarting, or watching one
door with two cameras doubles nothing. ``Watcher`` is for one thread; ``Attendance`` for any.
"""

from __future__ import annotations

from arcid.apps.attendance import export
from arcid.apps.attendance.book import Attendance, Visitor
from arcid.apps.attendance.policy import Policy
from arcid.apps.attendance.sheets import Day, Month, MonthRow, Presence
from arcid.apps.attendance.watcher import Watcher
from arcid.apps.watching import CameraLease, FaceView, Liveness, View
from arcid.events import Event, EventKind

__all__ = [
    "Attendance",
    "CameraLease",
    "Day",
    "Event",
    "EventKind",
    "FaceView",
    "Liveness",
    "Month",
    "MonthRow",
    "Policy",
    "Presence",
    "View",
    "Visitor",
    "Watcher",
    "export",
]
