"""Works on whatever job waits, one after the other: the service's own thread.

Several services may share a database: each job is one's at a time, and one that was cut off is
taken up by any that has what it needs.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from arcid.apps.jobs.held import Held, Lost
from arcid.apps.jobs.jobs import Jobs
from arcid.apps.jobs.kinds import Means, Stopped, work
from arcid.apps.jobs.opening import open_source
from arcid.apps.jobs.records import Job, State
from arcid.apps.jobs.uploads import Uploads, uploaded
from arcid.errors import ArcidError, GalleryBusy, GalleryUnavailable, NotFound, UsageError
from arcid.events import acting
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline

log = logging.getLogger(__name__)
LOOK_S = 5.0
BEHIND = 10  # how much nicer than whoever waits for an answer; Linux counts it by thread
KEPT = timedelta(days=30)  # what was refused, and why
UPLOADS_KEPT = timedelta(days=7)  # of a job that was stopped or failed
LEFT = "nobody went on with it for seven days, so what was uploaded for it was deleted"
DELETED = "what was uploaded for it was deleted"


class JobWorker:
    """From ``start`` to ``close``. A job under way goes on with the next service.

    ``allowed``: the folder whose folders may be imported.
    """

    def __init__(
        self, gallery: Gallery, pipeline: Pipeline, uploads: Uploads, allowed: Path | None
    ) -> None:
        self._gallery, self.uploads, self.allowed = gallery, uploads, allowed
        self._jobs = Jobs(gallery)
        self._means = Means(pipeline, lambda spec: open_source(spec, uploads, allowed))
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="arcid-jobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """A job waits: look at once."""
        self._wake.set()

    def close(self) -> None:
        """The photos under way are finished; the job goes on with the next service."""
        self._stop.set()
        self._wake.set()
        self._thread.join(30.0)

    def sweep(self, gallery: Gallery) -> None:
        """Forget jobs that ended long ago, end those that nobody went on with for as long as their
        uploads are kept, and delete uploads that no job needs."""
        self._jobs.forget(KEPT)
        for job in self._jobs.every(ended=False):
            if uploaded(job.source) and datetime.now(UTC) - job.beat_at >= UPLOADS_KEPT:
                self._jobs.cancel(job.id, LEFT, states=("stopped", "failed"))
        self.uploads.sweep(self.pending())

    def delete_upload(self, upload_id: str) -> None:
        """With it ends every job that needs it: none could go on. Raises ``NotFound``."""
        self.uploads.path(upload_id)
        for job in self._jobs.every(ended=False):
            if upload_id in uploaded(job.source):
                self._jobs.cancel(job.id, DELETED)
        self.uploads.delete(upload_id)

    def pending(self) -> set[str]:
        """Uploads that a job was begun with."""
        return {n for job in self._jobs.every(ended=False) for n in uploaded(job.source)}

    def _watch(self) -> None:
        with suppress(AttributeError, OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)
        while not self._stop.is_set():
            try:
                for job in self._jobs.ready():
                    if not self._stop.is_set() and self.uploads.has(job.source):
                        self._work(job)
                self._tidy()
            except ArcidError as error:
                log.warning("jobs could not be looked for", extra={"code": error.code})
            except Exception:  # whatever it was, it is tried again
                log.exception("a job failed")
            self._wake.wait(LOOK_S)
            self._wake.clear()

    def _work(self, job: Job) -> None:
        try:
            with acting(job.actor), Held(self._gallery, job.id, "service") as held:
                finish(held, replace(self._means, stopped=self._stop.is_set))
        except (UsageError, NotFound):  # taken by another, ended or deleted meanwhile
            return

    def _tidy(self) -> None:
        """Uploads go with the end of their job, whoever ended it."""
        if not self.uploads.any():
            return
        for job in self._jobs.every(ended=True):
            for name in uploaded(job.source):
                self.uploads.delete(name)


def finish(held: Held, means: Means, *, left: State = "waiting") -> None:
    """Work on a job and write down how it ended; ``left``: what it is where ``means.stopped``.

    What fails for good is its ``problem``; it may be gone on with.
    """
    try:
        work(held, means)
        held.end("done")
    except Lost:
        return
    except Stopped:
        held.end(left)
    except GalleryUnavailable:  # nothing can be written down; who holds it next goes on
        raise
    except GalleryBusy:
        held.end(left)
        raise
    except ArcidError as error:
        log.warning("a job failed", extra={"code": error.code})
        held.end("failed", error.message)
    except Exception as error:
        held.end("failed", f"it failed ({type(error).__name__}); the log says more")
        raise
    except BaseException:  # interrupted
        held.end("stopped")
        raise
