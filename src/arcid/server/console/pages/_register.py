"""One declared page becomes one of NiceGUI's."""

from __future__ import annotations

import inspect
from typing import Any, Protocol, cast

from fastapi import Request
from nicegui import ui

from arcid.server.console.auth.session import Visit
from arcid.server.console.pages import Page

SLOW_S = 20.0  # a page that reads a large gallery


class _Signed(Protocol):
    """A function that says itself what it takes."""

    __signature__: inspect.Signature


def hand_over(declared: Page) -> None:
    """The builder's ``visit`` comes from the door, which has checked the page's permission."""
    build = declared.build
    given = [
        p for p in inspect.signature(build, eval_str=True).parameters.values() if p.name != "visit"
    ]

    async def shown(request: Request, **values: Any) -> Any:
        visit: Visit = request.scope["arcid"]
        await visit.allow(declared.permission)
        return await build(visit, **values)

    parameters = [
        inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request),
        *[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in given],
    ]
    cast(_Signed, shown).__signature__ = inspect.Signature(parameters)
    ui.page(declared.path, response_timeout=SLOW_S)(shown)
