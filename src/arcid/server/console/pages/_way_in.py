"""Answers that the pages of the way in share."""

from __future__ import annotations

from collections.abc import Awaitable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from arcid.server.console import ROOT
from arcid.server.console.auth.door import Door
from arcid.server.console.auth.errors import AccountRefused, SignedOut, TooManyAttempts


def to_sign_in(after: str) -> Response:
    return RedirectResponse(
        f"{ROOT}/sign-in" + ("" if after == "/" else f"?next={quote(after)}"), 303
    )


async def welcome(request: Request, door: Door, token: str, after: str) -> Response:
    response = RedirectResponse(ROOT + after, 303)
    await door.welcome(request, token, response)
    return response


def held(response: Response, error: TooManyAttempts) -> Response:
    response.headers["Retry-After"] = str(error.details["retry_after_s"])
    return response


async def asked(question: Awaitable[str]) -> Response:
    try:
        return Response(await question, media_type="application/json")
    except (SignedOut, AccountRefused) as error:
        said = {"error": {"code": error.code, "message": error.message}}
        return JSONResponse(said, 401 if isinstance(error, SignedOut) else 409)
