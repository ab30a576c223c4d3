"""Long work on a collection: imports, deletions of many, a change of the model, duplicates.

``begin_import`` and its kin list what is to do; ``Jobs`` tells how far it is, stops, goes on and
ends; ``Held`` is a job in the hands of one process, and ``finish`` works on it. A service's
``JobWorker`` does that by itself.
"""

from __future__ import annotations

from arcid.apps.jobs.beginning import (
    Options,
    begin_deletion,
    begin_duplicates,
    begin_import,
    begin_reembedding,
    check_cut,
    preview,
    unfinished,
)
from arcid.apps.jobs.held import Held
from arcid.apps.jobs.jobs import Jobs
from arcid.apps.jobs.kinds import Means
from arcid.apps.jobs.opening import consent_spec, open_source
from arcid.apps.jobs.records import Job, Kind, State
from arcid.apps.jobs.uploads import Uploads
from arcid.apps.jobs.worker import JobWorker, finish

__all__ = [
    "Held",
    "Job",
    "JobWorker",
    "Jobs",
    "Kind",
    "Means",
    "Options",
    "State",
    "Uploads",
    "begin_deletion",
    "begin_duplicates",
    "begin_import",
    "begin_reembedding",
    "check_cut",
    "consent_spec",
    "finish",
    "open_source",
    "preview",
    "unfinished",
]
