"""Threads of their own for what changes the gallery.

A change waits for other writers, of this process and of others, up to ten seconds. Were such waits
held in the threads that read, nobody could read meanwhile.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute

from arcid.errors import Overloaded
from arcid.server.scopes import check, need_of

P = ParamSpec("P")
T = TypeVar("T")
SAFE_METHODS = frozenset({"GET", "HEAD"})
WRITERS = 64  # of which one writes and the others wait


class Lane:
    """So many blocking calls at once; one more is refused. One event loop's."""

    def __init__(
        self, size: int = WRITERS, what: str = "changes of the gallery are waiting"
    ) -> None:
        self._limiter = CapacityLimiter(size)
        self._full = f"{size} {what}; try again in 10 s"

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``call`` in a thread. Raises ``Overloaded``."""
        if self._limiter.available_tokens < 1:
            raise Overloaded(self._full, retry_after_s=10)
        return await to_thread.run_sync(
            functools.partial(call, *args, **kwargs), limiter=self._limiter
        )


class Route(APIRoute):
    """Asks for what ``scopes`` says it needs, and runs plain functions that change something in the
    lane of ``running``, their services."""

    reads_only: ClassVar[bool] = False  # whatever the method

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        changes = not self.reads_only and not set(options.get("methods") or ()) <= SAFE_METHODS
        if changes and not inspect.iscoroutinefunction(endpoint):
            endpoint = _in_lane(endpoint)
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, need = super().get_route_handler(), need_of(self.name)
        if need is None:
            return handle

        async def handler(request: Request) -> Response:
            await check(need, request)
            return await handle(request)

        return handler


def _in_lane(endpoint: Callable[..., T]) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    async def waiting(**values: Any) -> T:
        lane: Lane = values["running"].writes
        return await lane.run(endpoint, **values)

    return waiting
