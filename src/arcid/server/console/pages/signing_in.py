"""Sign-in, set-up and sign-out: they need neither NiceGUI nor a session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.auth.door import SAFE_METHODS, Door
from arcid.server.console.auth.errors import (
    AccountRefused,
    SignedOut,
    SignInRefused,
    TooManyAttempts,
)
from arcid.server.console.auth.oidc import ProviderRefused, ProviderUnreachable
from arcid.server.console.auth.opened import Waits
from arcid.server.console.auth.provider import LEAVING, LEAVING_PATH
from arcid.server.console.pages import two_step
from arcid.server.console.pages._way_in import asked, held, to_sign_in, welcome
from arcid.server.console.ui import forms

log = logging.getLogger(__name__)


async def sign_in(request: Request, door: Door) -> Response:
    """The form, and what it sends."""
    if not await door.has_accounts():
        return RedirectResponse(f"{ROOT}/set-up", 303)
    after = forms.local_path(request.query_params.get("next"))
    if request.method in SAFE_METHODS:
        waiting = await door.waiting(request)
        if waiting is not None:
            return _on_to(waiting.waits, after)
        return await _form(request, door, after)
    fields = await forms.fields(request)
    name, password = fields.get("name", ""), fields.get("password", "")
    try:
        token, account = await door.sign_in(request, name, password)
    except TooManyAttempts as error:
        log.warning("sign-in held back", extra={"code": error.code})
        return held(await _form(request, door, after, name, error.message, 429), error)
    except SignInRefused as error:
        log.warning("sign-in refused", extra={"code": error.code})
        return await _form(request, door, after, name, error.message, 401)
    log.info("signed in", extra={"account": account.id, "role": account.role})
    return await welcome(request, door, token, after)


async def second(request: Request, door: Door) -> Response:
    """The code after the password."""
    after = forms.local_path(request.query_params.get("next"))
    waiting = await door.waiting(request)
    if waiting is None or waiting.waits != "second":
        return to_sign_in(after)
    has, site = waiting.account.factors, door.site(request)
    if request.method in SAFE_METHODS:
        return forms.second(after, has, site)
    fields = await forms.fields(request)
    try:
        token, account = await door.second(request, fields.get("code", ""))
    except SignedOut:
        return to_sign_in(after)
    except TooManyAttempts as error:
        log.warning("second factor held back", extra={"code": error.code})
        return held(forms.second(after, has, site, error.message, 429), error)
    except SignInRefused as error:
        log.warning("second factor refused", extra={"code": error.code})
        return forms.second(after, has, site, error.message, 401)
    log.info("signed in", extra={"account": account.id, "role": account.role})
    return await welcome(request, door, token, after)


async def passkey(request: Request, door: Door) -> Response:
    """A passkey, alone or after the password; asked with GET, shown with POST."""
    after = forms.local_path(request.query_params.get("next"))
    if request.method in SAFE_METHODS:
        return await asked(door.passkey_question(request))
    waiting = await door.waiting(request)
    fields = await forms.fields(request)
    try:
        token, account = await door.with_passkey(request, fields.get("answer", ""))
    except (TooManyAttempts, SignInRefused, AccountRefused, SignedOut) as error:
        log.warning("passkey refused", extra={"code": error.code})
        status = 429 if isinstance(error, TooManyAttempts) else 401
        if waiting is not None and waiting.waits == "second":
            has, site = waiting.account.factors, door.site(request)
            response = forms.second(after, has, site, error.message, status)
        else:
            response = await _form(request, door, after, "", error.message, status)
        return held(response, error) if isinstance(error, TooManyAttempts) else response
    log.info("signed in", extra={"account": account.id, "role": account.role})
    return await welcome(request, door, token, after)


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
        return held(forms.set_up(code, name, error.message, 429), error)
    except (AccountRefused, SignInRefused) as error:
        log.warning("set-up refused", extra={"code": error.code})
        return forms.set_up(code, name, error.message, 422)
    log.info("console set up", extra={"account": account.id})
    return await welcome(request, door, token, "/")


async def sign_out(request: Request, door: Door) -> Response:
    """Only a form's POST ends the session; a link goes to the start."""
    if request.method in SAFE_METHODS:
        return RedirectResponse(f"{ROOT}/", 303)
    on = await door.farewell(request)
    response = RedirectResponse(f"{ROOT}/sign-in", 303) if on is None else forms.on_the_way(on)
    await door.sign_out(request, response)
    return response


async def leave(request: Request, door: Door) -> Response:
    """To the provider."""
    after = forms.local_path(request.query_params.get("next"))
    if door.provider is None:
        return forms.missing()
    try:
        return await door.provider.leave(request, after, await door.key())
    except (ProviderUnreachable, TooManyAttempts) as error:
        return await _form(request, door, after, "", error.message, 503)


async def come_back(request: Request, door: Door) -> Response:
    """From the provider, with a code or a refusal."""
    if door.provider is None:
        return forms.missing()
    try:
        token, account, after = await door.come_back(request)
    except (ProviderUnreachable, TooManyAttempts) as error:
        return await _form(request, door, "/", "", error.message, 503)
    except (ProviderRefused, SignInRefused) as error:
        words = S.OIDC_REFUSED if isinstance(error, SignInRefused) else error.message
        response = await _form(request, door, "/", "", words, 403)
    else:
        log.info("signed in", extra={"account": account.id, "role": account.role})
        response = forms.on_the_way(ROOT + after)  # our cookie is strict: the next request has it
        await door.welcome(request, token, response)
    response.delete_cookie(LEAVING, path=LEAVING_PATH, httponly=True, samesite="lax")
    return response


async def _form(
    request: Request,
    door: Door,
    after: str,
    name: str = "",
    problem: str | None = None,
    status: int = 200,
) -> Response:
    """All ways in that there are."""
    shown = door.site(request) is not None and await asyncio.to_thread(door.accounts.passkeys.any)
    provider = "" if door.provider is None else door.provider.name
    return forms.sign_in(after, name, problem, status, passkeys=shown, provider=provider)


def _on_to(waits: Waits, after: str) -> Response:
    path = "/sign-in/second" if waits == "second" else "/two-step"
    return RedirectResponse(
        f"{ROOT}{path}" + ("" if after == "/" else f"?next={quote(after)}"), 303
    )


OPEN: dict[str, Callable[[Request, Door], Awaitable[Response]]] = {
    "/sign-in": sign_in,
    "/sign-in/second": second,
    "/sign-in/passkey": passkey,
    "/sign-in/oidc": leave,
    "/sign-in/oidc/return": come_back,
    "/set-up": set_up,
    "/sign-out": sign_out,
    **two_step.OPEN,
}
