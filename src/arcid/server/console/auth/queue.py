"""Blocking calls of the way in, in threads that nothing else needs."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from arcid.server.console import strings as S
from arcid.server.console.auth.errors import TooManyAttempts

P = ParamSpec("P")
T = TypeVar("T")
MAX_WAITING = 32  # those at work counted in


class Queue:
    """``at_once`` calls work, others wait; who comes when many wait is sent away. One loop's."""

    def __init__(self, name: str, at_once: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix=f"arcid-{name}")
        self._inside = 0

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``call`` in a thread, in this context. Raises ``TooManyAttempts`` where many wait."""
        if self._inside >= MAX_WAITING:
            raise TooManyAttempts(S.SIGN_IN_BUSY, retry_after_s=2)
        self._inside += 1
        try:
            work = functools.partial(copy_context().run, call, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._inside -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
