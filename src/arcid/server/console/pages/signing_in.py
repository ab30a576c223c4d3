"""Sign-in, set-up and sign-out: they need neither NiceGUI nor a session."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from arcid.server.console import ROOT
from arcid.server.console.auth.door import SAFE_METHODS, Door
from arcid.server.console.auth.errors import AccountRefused, SignInRefused, TooManyAttempts
from arcid.server.console.ui import forms

log = logging.getLogger(__name__)


async def sign_in(request: Request, door: Door) -> Response:
    """The form, and what it sends."""
    if not await door.has_accounts():
        return RedirectResponse(f"{ROOT}/set-up", 303)
    after = forms.local_path(request.query_params.get("next"))
    if request.method in SAFE_METHODS:
        return forms.sign_in(after)
    fields = await forms.fields(request)
    name, password = fields.get("name", ""), fields.get("password", "")
    try:
        token, account = await door.sign_in(request, name, password)
    except TooManyAttempts as error:
        log.warning("sign-in held back", extra={"code": error.code})
        return _held(forms.sign_in(after, name, error.message, 429), error)
    except SignInRefused as error:
        log.warning("sign-in refused", extra={"code": error.code})
        return forms.sign_in(after, name, error.message, 401)
    log.info("signed in", extra={"account": account.id, "role": account.role})
    return await _welcome(request, door, token, after)


async def set_up(request: Request, door: Door) -> Response:
    """The first account."""
    if await door.has_accounts():
        return RedirectResponse(f"{ROOT}/sign-in", 303)
    if door.accounts_lost:
        return forms.lost()
    if request.method in SAFE_METHODS:
        return forms.set_up()
    fields = await forms.fields(request)
    code, name, password = (fields.get(field, "") for field in ("code", "name", "password"))
    try:
        token, account = await door.set_up(request, code, name, password, fields.get("repeat"))
    except TooManyAttempts as error:
        log.warning("set-up held back", extra={"code": error.code})
        return _held(forms.set_up(code, name, error.message, 429), error)
    except (AccountRefused, SignInRefused) as error:
        log.warning("set-up refused", extra={"code": error.code})
        return forms.set_up(code, name, error.message, 422)
    log.info("console set up", extra={"account": account.id})
    return await _welcome(request, door, token, "/")


async def sign_out(request: Request, door: Door) -> Response:
    """Only a form's POST ends the session; a link goes to the start."""
    if request.method in SAFE_METHODS:
        return RedirectResponse(f"{ROOT}/", 303)
    response = RedirectResponse(f"{ROOT}/sign-in", 303)
    await door.sign_out(request, response)
    return response


async def _welcome(request: Request, door: Door, token: str, after: str) -> Response:
    response = RedirectResponse(ROOT + after, 303)
    await door.welcome(request, token, response)
    return response


def _held(response: Response, error: TooManyAttempts) -> Response:
    response.headers["Retry-After"] = str(error.details["retry_after_s"])
    return response


OPEN: dict[str, Callable[[Request, Door], Awaitable[Response]]] = {
    "/sign-in": sign_in,
    "/set-up": set_up,
    "/sign-out": sign_out,
}
