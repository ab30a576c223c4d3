"""Micro-batching across concurrent requests, with a bounded queue.

Worker threads decode, detect and align, one photo each; one thread embeds the faces of every photo
that is ready in a single call. A decoded photo lives in its worker only. Photos are counted by
number and by pixels: what reading them takes, at ``BYTES_PER_PIXEL``, is known from their heads.
"""

from __future__ import annotations

import functools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from arcid.batch import each
from arcid.errors import ArcidError, Overloaded
from arcid.image import BYTES_PER_PIXEL, ImageLimits, decoding_bytes, load_image, photo_id
from arcid.memory import give_back_freed_memory
from arcid.pipeline import Pipeline
from arcid.results import Faces, Prepared
from arcid.runtime import default_threads
from arcid.server.decoder import Decoder
from arcid.server.metrics import Metrics
from arcid.server.settings import Settings
from arcid.types import Image, Selection

log = logging.getLogger(__name__)
FIRST_GUESS_S = 0.2  # time of one image, until measured
MAX_RETRY_S = 60.0
Look = Callable[[Image, Prepared], Any]
LARGE_PIXELS = 8_000_000  # after one of these, freed memory is given back


@dataclass(slots=True, eq=False)
class _Job:
    data: bytes = field(repr=False)
    select: Selection
    aligned: bool
    embed: bool
    photo_ids: bool = False
    look: Look | None = None  # at the photo, once its faces are known; what it says is the answer
    said: Any = None
    pixels: int = 0  # that it counts for
    answer: Future[Any] = field(default_factory=Future)
    prepared: Prepared | None = None


class Batcher:
    """Bytes of photos in; a ``Future`` of their faces out. Thread-safe; close it once."""

    def __init__(self, pipeline: Pipeline, settings: Settings, metrics: Metrics) -> None:
        self._pipeline = pipeline
        self._metrics = metrics
        self._queue_size = settings.queue_size
        self._max_pixels = settings.max_inflight_pixels
        self._max_batch = settings.max_batch
        self._max_wait_s = settings.max_wait_ms / 1000
        self._limits = ImageLimits(
            max_bytes=settings.max_upload_bytes, max_pixels=settings.max_image_pixels
        )
        self.workers = settings.workers or default_threads()
        self._apart = Decoder(self.workers, self._limits) if settings.decode_apart else None
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._pending = 0  # admitted and not yet answered
        self._pending_pixels = 0  # of these
        self._decoded_pixels = 0  # of those being worked on
        self._preparing = 0  # of these, on their way to the embedder
        self._seconds_per_image = FIRST_GUESS_S
        self._closed = False
        self._ready: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="arcid-prepare")
        self._embedder = threading.Thread(target=self._embed_loop, name="arcid-embed", daemon=True)
        self._embedder.start()

    def submit(
        self,
        photos: Sequence[bytes],
        *,
        select: Selection = "all",
        aligned: bool = False,
        photo_ids: bool = False,
    ) -> list[Future[Faces]]:
        """Admit all photos of a request or none; a future for the faces of each.

        ``photo_ids``: the faces are to be enrolled; others are let go without being hashed.
        Raises ``Overloaded`` where the queue has no room for them. Reads the heads of all photos:
        not for an event loop.
        """
        return self._submit(
            [_Job(data, select, aligned, embed=True, photo_ids=photo_ids) for data in photos]
        )

    def submit_detection(self, photo: bytes, *, select: Selection = "all") -> Future[Prepared]:
        """As ``submit`` for one photo, without embedding."""
        return self._submit([_Job(photo, select, aligned=False, embed=False)])[0]

    def submit_look(self, photo: bytes, look: Look, *, select: Selection = "all") -> Future[Any]:
        """As ``submit_detection``; a future for what ``look`` says of the photo and its faces."""
        job = _Job(photo, select, aligned=False, embed=False, look=look)
        return self._submit([job])[0]

    @contextmanager
    def room(self, photos: Sequence[bytes]) -> Iterator[None]:
        """For as long as photos are worked on elsewhere they count as those that were submitted.

        Raises ``Overloaded`` as ``submit``.
        """
        sizes = [self._pixels(photo) for photo in photos]
        self._admit(sizes)
        try:
            yield
        finally:
            for pixels in sizes:
                self._answered(pixels)

    @property
    def pending(self) -> int:
        """Images waiting or being worked on."""
        return self._pending

    def close(self) -> None:
        """Refuse new work, finish what was admitted."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=True)
        self._ready.put(None)
        self._embedder.join()
        if self._apart is not None:
            self._apart.close()

    def _submit(self, jobs: list[_Job]) -> list[Future[Any]]:
        for job in jobs:
            job.pixels = self._pixels(job.data)
        self._admit([job.pixels for job in jobs], sum(job.embed for job in jobs))
        for job in jobs:
            job.answer.set_running_or_notify_cancel()  # a client that left cannot cancel any more
            job.answer.add_done_callback(functools.partial(self._answered, job.pixels))
            self._pool.submit(self._prepare, job)
        return [job.answer for job in jobs]

    def _pixels(self, photo: bytes) -> int:
        """What a photo counts for, by its head."""
        needed = min(decoding_bytes(photo), BYTES_PER_PIXEL * self._limits.max_pixels)
        return -(-needed // BYTES_PER_PIXEL)

    def _admit(self, photos: Sequence[int], embedded: int = 0) -> None:
        """All of them, by what each counts for, or none, and then ``Overloaded`` is raised."""
        pixels = sum(photos)
        with self._lock:
            waiting = self._pending
            if self._closed or waiting + len(photos) > self._queue_size:
                raise self._overloaded(
                    f"{waiting} images are waiting and at most {self._queue_size} may"
                )
            # a request that is larger than the limit by itself is taken when it is alone
            if pixels and self._pending_pixels and self._pending_pixels + pixels > self._max_pixels:
                raise self._overloaded(
                    f"images of {self._pending_pixels / 1e6:.0f} million pixels are waiting and "
                    f"{pixels / 1e6:.0f} million more are too many: "
                    f"{self._max_pixels / 1e6:.0f} million may"
                )
            self._pending += len(photos)
            self._pending_pixels += pixels
            self._preparing += embedded
        self._metrics.queue_images.inc(len(photos))
        self._metrics.inflight_pixels.inc(pixels)

    def _overloaded(self, why: str) -> Overloaded:
        wait_s = min(self._pending * self._seconds_per_image / self.workers, MAX_RETRY_S)
        wait_s = max(wait_s, 1.0)
        return Overloaded(f"{why}; try again in {wait_s:.0f} s", retry_after_s=wait_s)

    def _answered(self, pixels: int, _: object = None) -> None:
        with self._lock:
            self._pending -= 1
            self._pending_pixels -= pixels
        self._metrics.queue_images.dec()
        self._metrics.inflight_pixels.dec(pixels)

    def _prepare(self, job: _Job) -> None:
        started = time.perf_counter()
        problem: BaseException | None = None
        try:
            with self._decoding(job):
                started = time.perf_counter()
                job.prepared = self._decode_and_detect(job, started)
        except BaseException as error:  # every admitted photo is answered, whatever happens
            problem = error
        job.data = b""
        took = time.perf_counter() - started
        with self._lock:
            self._preparing -= job.embed
            self._seconds_per_image += 0.1 * (took - self._seconds_per_image)
        if job.prepared is None:
            job.answer.set_exception(problem)
        elif job.embed:
            self._ready.put(job)
        else:
            job.answer.set_result(job.prepared if job.look is None else job.said)

    @contextmanager
    def _decoding(self, job: _Job) -> Iterator[None]:
        """Wait until the photo's pixels fit beside those of the other workers."""
        with self._room:
            self._room.wait_for(
                lambda: (
                    not self._decoded_pixels
                    or self._decoded_pixels + job.pixels <= self._max_pixels
                )
            )
            self._decoded_pixels += job.pixels
        try:
            yield
        finally:
            if job.pixels >= LARGE_PIXELS:
                give_back_freed_memory()
            with self._room:
                self._decoded_pixels -= job.pixels
                self._room.notify_all()

    def load(self, data: bytes) -> Image:
        """An upload that is in no queue, decoded as those that are; (H,W,3) uint8 RGB. ``room`` is
        made for it before."""
        if self._apart is None:
            return load_image(data, limits=self._limits)
        return self._apart.load(data)

    def _decode_and_detect(self, job: _Job, started: float) -> Prepared:
        image = self.load(job.data)
        decoded = time.perf_counter()
        self._metrics.stage_seconds.labels("decode").observe(decoded - started)
        prepared = self._pipeline.prepare(
            image,
            select=job.select,
            aligned=job.aligned,
            image_id=photo_id(image) if job.photo_ids else None,
            keep_photo=False,
        )
        self._metrics.stage_seconds.labels("detect").observe(time.perf_counter() - decoded)
        if job.look is not None:
            job.said = job.look(image, prepared)
        return prepared

    def _embed_loop(self) -> None:
        while (first := self._ready.get()) is not None:
            batch, last = self._collect(first)
            self._embed(batch)
            if last:
                return

    def _collect(self, first: _Job) -> tuple[list[_Job], bool]:
        """Everything that is ready, and for a moment what is about to be."""
        batch, faces = [first], _faces(first)
        deadline = time.perf_counter() + self._max_wait_s
        while faces < self._max_batch:
            wait_s = deadline - time.perf_counter() if self._preparing else 0
            try:
                job = self._ready.get(timeout=wait_s) if wait_s > 0 else self._ready.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
            faces += _faces(job)
        return batch, False

    def _embed(self, batch: list[_Job]) -> None:
        started = time.perf_counter()
        try:
            answers = each(self._pipeline.embed, [job.prepared for job in batch if job.prepared])
        except Exception as error:
            log.exception("embedding failed", extra={"photos": len(batch)})
            for job in batch:
                job.answer.set_exception(error)
            return
        self._metrics.stage_seconds.labels("embed").observe(time.perf_counter() - started)
        self._metrics.batch_faces.observe(sum(map(_faces, batch)))
        for job, answer in zip(batch, answers, strict=True):
            if isinstance(answer, ArcidError):
                job.answer.set_exception(answer)
            else:
                job.answer.set_result(answer)


def _faces(job: _Job) -> int:
    return len(job.prepared.crops) if job.prepared else 0
