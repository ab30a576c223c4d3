"""Work shared over processes, of this machine or of a Ray cluster, by one function.

    with workers(4) as over:
        for answer in shards(work, items, over):
            ...

``over`` is a ``concurrent.futures.Executor``; None is this process. What ``work`` needs for long, a
model or a database, it opens for itself, once a process: little travels with a shard.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, nullcontext, redirect_stdout
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

from arcid import extras
from arcid.errors import UsageError, WorkerLost
from arcid.runtime import default_threads

MOST = 256  # processes
_ADDRESS = re.compile(r"auto|local|(ray://)?[A-Za-z0-9._-]+:[0-9]{1,5}")
ANSWER_S = 10.0  # for a cluster to take a connection
AHEAD = 2  # shards a worker that are handed out and not yet fetched
_NATIVE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")

Item = TypeVar("Item")
Result = TypeVar("Result")


class Processes(ProcessPoolExecutor):
    """New processes of this machine, which end when this one does, however it ends."""

    private = True  # what is handed over is read by these processes alone

    def __init__(self, count: int, threads: int) -> None:
        super().__init__(count, get_context("spawn"), _begin, (threads,))
        self.count = count


class Ray(Executor):
    """Tasks of a Ray cluster, each on one core. A task whose process is lost is tried again, three
    times, by Ray itself; nodes need arcid of this version, and its models, where they look for
    them.

    What is handed over lies in Ray's memory, and goes over its network, in clear.
    """

    private = False

    def __init__(self, address: str) -> None:
        """``address``: as of ``ray.init``; a Ray this process uses already is used, and left on.

        Raises ``UsageError`` where no cluster answers.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing reports home
        import ray

        self._ours = not ray.is_initialized()
        if self._ours:
            _require_answer(address)
            started: dict[str, Any] = {}
            if address == "local":
                started = {"num_cpus": default_threads(), "include_dashboard": False}
            try:
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **started)
            except Exception as error:  # Ray raises that class itself, among others
                ray.shutdown()
                raise UsageError(f"no Ray cluster can be used at {address}: {error}") from None
        self.count = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._task = ray.remote(_on_one_core)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        from ray.exceptions import RayTaskError

        answer: Future[Any] = Future()
        answer.set_running_or_notify_cancel()

        def told(task: Future[Any]) -> None:
            error = task.exception()
            if error is None:
                answer.set_result(task.result())
            elif isinstance(error, RayTaskError):
                cause = error.cause
                answer.set_exception(cause if isinstance(cause, BaseException) else error)
            else:
                answer.set_exception(BrokenExecutor(type(error).__name__))

        self._task.remote(fn, args, kwargs).future().add_done_callback(told)
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        import ray

        if self._ours:
            ray.shutdown()


Workers = Processes | Ray


@contextmanager
def workers(
    count: int = 1, ray: str | None = None, *, threads: int | None = None
) -> Iterator[Workers | None]:
    """What ``shards`` takes as ``over``: None for one process, ``count`` processes of this machine,
    or a Ray cluster at an address: "auto" for the one of this machine or of ``RAY_ADDRESS``,
    "local" for one of its own.

    ``threads`` of all processes together; default: every core. Ray has one for each shard. A script
    that uses processes needs ``if __name__ == "__main__":``, as with any ``ProcessPoolExecutor``.
    Raises ``UsageError``, ``MissingExtra``.
    """
    check(count, ray)
    if ray is None and count == 1:
        yield None
        return
    each = 1 if ray else max(1, (threads or default_threads()) // count)
    # Ray prints to standard output, where others expect an answer.
    quiet = nullcontext() if ray is None else redirect_stdout(sys.stderr)
    # Libraries read these when they are loaded, which in a new process is before _begin.
    with _environment(dict.fromkeys(_NATIVE, str(each))), quiet:
        over: Workers = Processes(count, each) if ray is None else Ray(ray)
        try:
            yield over
        finally:
            over.shutdown(wait=True, cancel_futures=True)


def check(count: int, ray: str | None) -> None:
    """Raise what ``workers`` would raise, but for a cluster that does not answer."""
    if not 1 <= count <= MOST:
        raise UsageError(f"work is shared over 1 to {MOST} processes, got {count}")
    if ray is None:
        return
    if count > 1:
        raise UsageError("processes of this machine or Ray: name one of the two")
    if not _ADDRESS.fullmatch(ray):
        raise UsageError(f"{ray!r} is no Ray cluster: write auto, local or HOST:PORT")
    extras.require("sharing work over Ray", "ray")


def shards(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    over: Workers | None = None,
    *,
    kept: str = "",
) -> Iterator[Result]:
    """``work(item)`` of each item, in their order, whoever finishes first; items are taken as they
    are needed.

    Over workers, ``work`` is a function of a module, or a ``partial`` of one, and it, items and
    results can be pickled. Raises what ``work`` raises, and ``WorkerLost``; ``kept``: the sentence
    it adds on what is not lost.
    """
    if over is None:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    source = iter(items)
    try:
        while True:
            for item in islice(source, AHEAD * over.count - len(waiting)):
                waiting.append(over.submit(work, item))
            if not waiting:
                return
            yield waiting.popleft().result()
    except BrokenExecutor:
        raise WorkerLost(
            "a worker process was lost: it could not start, was killed, or ran out of memory, of "
            f"which each takes as much as one process alone. {kept}".rstrip()
        ) from None


def _require_answer(address: str) -> None:
    """``ray.init`` waits for ever where nobody listens."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.removeprefix("ray://"), int(port)), ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray cluster answers at {address}: {error}") from None


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin(threads: int) -> None:
    """In each new process of ``Processes``."""
    os.environ["ARCID_THREADS"] = str(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the first process ends them
    Thread(target=_end_with_parent, name="arcid-parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # killed: nobody waits for what is done here


def _on_one_core(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """In a process of Ray, which gives each task one core."""
    os.environ["ARCID_THREADS"] = "1"
    return fn(*args, **kwargs)


__all__ = ["MOST", "Processes", "Ray", "Workers", "shards", "workers"]
