"""Watching one camera for everybody who wants something of it: one detection, one embedding a look.

    watcher = Watcher(pipeline, duties, camera="door")          Duty(key, open), one an observer
    for view in watcher.watch(open_source("rtsp://…")):         one View a frame
        view.faces, view.events, view.health
    watcher.assign(duties)                                      observers come and go meanwhile

An ``Observer`` is told of faces: ``look`` (embedded anew), ``see`` (every frame), ``gone``. It
decides for itself and writes through its ``Post``; what was seen of a face stands in ``Followed``.
Attendance is one observer; the room knows none of them.
"""

from __future__ import annotations

from arcid.apps.watching.followed import Followed
from arcid.apps.watching.lease import CameraLease
from arcid.apps.watching.liveness import Liveness, LivenessMode, LivenessRule
from arcid.apps.watching.looking import WATCH_GATE, Looking
from arcid.apps.watching.observer import Camera, Duty, Observer, Post
from arcid.apps.watching.views import Counts, FaceOutcome, FaceView, Note, View
from arcid.apps.watching.watcher import Watcher

__all__ = [
    "WATCH_GATE",
    "Camera",
    "CameraLease",
    "Counts",
    "Duty",
    "FaceOutcome",
    "FaceView",
    "Followed",
    "Liveness",
    "LivenessMode",
    "LivenessRule",
    "Looking",
    "Note",
    "Observer",
    "Post",
    "View",
    "Watcher",
]
