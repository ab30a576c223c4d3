"""The application: ``create_app(settings)``; ``arcid.server.run`` runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta

from anyio import to_thread
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

import arcid
from arcid import paths
from arcid.apps import backups
from arcid.apps.access import Doorman
from arcid.apps.duplicates.worker import Worker
from arcid.apps.jobs import JobWorker, Uploads
from arcid.apps.onboarding.consent import consent_text
from arcid.apps.telling import Deliverer, Target
from arcid.cameras.watching import Cameras
from arcid.events import Audit
from arcid.gallery import Gallery
from arcid.gallery.engines import parse_url
from arcid.pipeline import Pipeline
from arcid.protection import Keys
from arcid.server import compat, errors
from arcid.server.auth import Access
from arcid.server.batching import Batcher
from arcid.server.console import ROOT as CONSOLE
from arcid.server.console.app import Console
from arcid.server.cors import Cors
from arcid.server.deps import Services
from arcid.server.describing import describe
from arcid.server.housekeeping import TASKS, Housekeeping, Task
from arcid.server.keyring import NOTE_EVERY_S, KeyRing
from arcid.server.looks import EVERY_S, Looks
from arcid.server.metrics import Metrics
from arcid.server.middleware import Edge
from arcid.server.opening import open_gallery, open_pipeline
from arcid.server.proxies import Proxies
from arcid.server.pulse import Pulse
from arcid.server.routes import ROUTERS
from arcid.server.routes.pages import ASSETS, assets_dir
from arcid.server.settings import Settings
from arcid.server.telling import Hooked, notify, subscribe, told_by
from arcid.server.throttle import Throttle

SETTLE_S = 5.0
HOOKS_S = 1.0  # within which a changed webhook is followed
BACKUP_S = 60.0  # how often it is asked whether a backup is due
SWEEP_S = 3600.0
READERS = 8  # threads that read; more of them in Python only hold up the event loop
DESCRIPTION = """\
Face identity on your own machine: find faces, compare two photos, keep a gallery of people and \
find them again. Every decision states the error rate it was made at.

Photos travel as `multipart/form-data` or as base64 in JSON, everything else as JSON. Errors have \
one shape: `{"error": {"code", "message", "details"}, "request_id"}`."""


def create_app(
    settings: Settings,
    *,
    pipeline: Pipeline | None = None,
    gallery: Gallery | None = None,
) -> FastAPI:
    """Build the application; models and gallery are opened, and closed, by its lifespan.

    What is handed in stays the caller's: to warm (``opening.warm``) and to close. Raises
    ``ConfigError`` where others could reach the service without an API key of the settings or of
    the gallery that is handed in, for a text of consent that cannot be read, and where a gallery in
    PostgreSQL is to be backed up.
    """
    settings.check_exposed(lambda: gallery is not None and Keys(gallery).any_valid())
    consent_text(settings.onboarding_consent)
    targets = told_by(settings)
    url = gallery.database.url if gallery else parse_url(settings.database or paths.database_url())
    backups.check(_schedule(settings), url)
    metrics, ring = Metrics(), KeyRing()
    app = FastAPI(
        title="arcid",
        version=arcid.__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(settings, targets, metrics, ring, pipeline, gallery),
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.settings = settings
    app.state.metrics = metrics
    adapters = compat.chosen(settings)
    for router in (*ROUTERS, *(router for one in adapters for router in one.routers)):
        app.include_router(router)
    app.mount(ASSETS, StaticFiles(directory=assets_dir()))
    guesses = Throttle()
    app.state.console = Console(settings, app.state, guesses)
    app.mount(CONSOLE, app.state.console)
    access = Access(settings, guesses, ring)
    dialects = [one.dialect for one in adapters]
    app.add_middleware(Edge, settings=settings, metrics=metrics, access=access, dialects=dialects)
    app.add_middleware(Proxies, trusted=settings.trusted_proxies)
    if settings.cors_origins:
        app.add_middleware(Cors, origins=settings.cors_origins)
    errors.install(app)
    describe(app)
    return app


def _lifespan(
    settings: Settings,
    targets: Sequence[Target],
    metrics: Metrics,
    ring: KeyRing,
    pipeline: Pipeline | None,
    gallery: Gallery | None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        models = await asyncio.to_thread(open_pipeline, settings) if pipeline is None else pipeline
        store = await asyncio.to_thread(open_gallery, settings) if gallery is None else gallery
        async with AsyncExitStack() as ends:  # of what has begun, where the next does not begin too

            def ends_by(close: Callable[[], object]) -> None:
                ends.push_async_callback(asyncio.to_thread, close)

            if gallery is None:
                ends_by(store.close)
            ends_by(store.flush)
            to_thread.current_default_thread_limiter().total_tokens = READERS
            pulse = Pulse(store)
            await asyncio.to_thread(pulse.start)
            ends_by(pulse.stop)
            batcher = Batcher(models, settings, metrics)
            ends_by(batcher.close)
            cameras = Cameras(models, store, paths.home_dir())
            doorman = Doorman(store, models.contract_id, paths.home_dir())
            looks = Looks(searches=settings.audit_searches)
            await asyncio.to_thread(_say_if_off, store, settings)
            saving = await asyncio.to_thread(backups.Backups, store, _schedule(settings))
            metrics.watch(pulse, saving)
            deliverer = Deliverer(store, targets)
            searching = Worker(store, lambda: models.calibration)
            imports = settings.imports and settings.imports.expanduser()
            jobs = JobWorker(store, models, Uploads(paths.home_dir() / "uploads"), imports)
            hooked = Hooked(store, paths.home_dir())
            tasks = _own_tasks(looks, ring, saving, jobs, hooked)
            tell = notify(deliverer, settings, targets, hooked)
            housekeeping = Housekeeping(store, (*tasks, *TASKS), tell)
            app.state.services = Services(
                settings, models, store, batcher, metrics, pulse, cameras, doorman, housekeeping,
                looks, searching, jobs, ring, saving, hooked,
            )  # fmt: skip
            subscribe(store, settings, targets)
            deliverer.start()
            ends_by(deliverer.stop)
            ends_by(hooked.close)
            await asyncio.to_thread(ring.start, store)
            ends_by(ring.close)
            ends_by(housekeeping.close)
            ends_by(doorman.close)
            await asyncio.to_thread(doorman.start)
            ends_by(cameras.close)
            await asyncio.to_thread(cameras.start)
            housekeeping.start()
            searching.start()
            ends_by(searching.close)
            jobs.start()
            ends_by(jobs.close)
            ends.push_async_callback(app.state.console.close)
            yield

    return lifespan


def _say_if_off(gallery: Gallery, settings: Settings) -> None:
    if not settings.audit_searches:
        Audit(gallery).record(verb="audit.searches_off", subject="audit:rows", actor="task:start")


def _schedule(settings: Settings) -> backups.Schedule | None:
    if settings.backups is None:
        return None
    every = timedelta(hours=settings.backup_every_h)
    keys = settings.backup_keys and settings.backup_keys.expanduser()
    return backups.Schedule(settings.backups.expanduser(), every, settings.backup_keep, keys)


def _own_tasks(
    looks: Looks, ring: KeyRing, saving: backups.Backups, jobs: JobWorker, hooked: Hooked
) -> tuple[Task, ...]:
    scheduled = (Task("backup", BACKUP_S, saving.run),) if saving.schedule is not None else ()
    return (
        *scheduled,
        Task("settle", SETTLE_S, Gallery.settle, shared=False),
        Task("looks", EVERY_S, looks.write, shared=False, at_end=True),
        Task("keys", NOTE_EVERY_S, ring.write, shared=False, at_end=True),
        Task("webhooks", HOOKS_S, hooked.follow, shared=False),
        Task("jobs", SWEEP_S, jobs.sweep, shared=False),  # uploads lie on each machine
    )
