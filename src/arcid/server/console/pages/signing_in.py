"""Sign-in, set-up and sign-out: they need neither NiceGUI nor a session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.auth.accounts import Waits
from arcid.server.console.auth.door import LEAVING, LEAVING_PATH, SAFE_METHODS, Door
from arcid.server.console.auth.errors import (
    AccountRefused,
    SignedOut,
    SignInRefused,
    TooManyAttempts,
)
from arcid.server.console.auth.oidc import ProviderRefused, ProviderUnreachable
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
        return _held(await _form(request, door, after, name, error.message, 429), error)
    except SignInRefused as error:
        log.warning("sign-in refused", extra={"code": error.code})
        return await _form(request, door, after, name, error.message, 401)
    log.info("signed in", extra={"account": account.id, "role": account.role})
    return await _welcome(request, door, token, after)


async def second(request: Request, door: Door) -> Response:
    """The code after the password."""
    after = forms.local_path(request.query_params.get("next"))
    waiting = await door.waiting(request)
    if waiting is None or waiting.waits != "second":
        return _to_sign_in(after)
    has, site = waiting.account.factors, door.site(request)
    if request.method in SAFE_METHODS:
        return forms.second(after, has, site)
    fields = await forms.fields(request)
    try:
        token, account = await door.second(request, fields.get("code", ""))
    except SignedOut:
        return _to_sign_in(after)
    except TooManyAttempts as error:
        log.warning("second factor held back", extra={"code": error.code})
        return _held(forms.second(after, has, site, error.message, 429), error)
    except SignInRefused as error:
        log.warning("second factor refused", extra={"code": error.code})
        return forms.second(after, has, site, error.message, 401)
    log.info("signed in", extra={"account": account.id, "role": account.role})
    return await _welcome(request, door, token, after)


async def two_step(request: Request, door: Door) -> Response:
    """An authenticator app, set up or exchanged; also where one is demanded of who signs in."""
    after = forms.local_path(request.query_params.get("next"))
    try:
        _, waits = await door.setting_up(request)
        site = door.site(request)
        if request.method in SAFE_METHODS:
            return forms.set_up_app(await door.draft(request), after, waits=waits, site=site)
        fields = await forms.fields(request)
        draft = await door.draft(request, fields.get("draft", ""))
        code, password = fields.get("code", ""), fields.get("password", "")
        try:
            token, codes = await door.add_app(request, draft, code, password)
        except TooManyAttempts as error:
            problem = error.message
            again = forms.set_up_app(
                draft, after, waits=waits, site=site, problem=problem, status=429
            )
            return _held(again, error)
        except (AccountRefused, SignInRefused) as error:
            problem = S.PASSWORD_WRONG if isinstance(error, SignInRefused) else error.message
            return forms.set_up_app(
                draft, after, waits=waits, site=site, problem=problem, status=422
            )
    except SignedOut:
        return _to_sign_in(after)
    except AccountRefused:
        return RedirectResponse(f"{ROOT}/two-step", 303)
    log.info("second factor set up")
    response = forms.recovery_codes(codes, after)
    await door.welcome(request, token, response)
    return response


async def passkey(request: Request, door: Door) -> Response:
    """A passkey, alone or after the password; asked with GET, shown with POST."""
    after = forms.local_path(request.query_params.get("next"))
    if request.method in SAFE_METHODS:
        return await _asked(door.passkey_question(request))
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
        return _held(response, error) if isinstance(error, TooManyAttempts) else response
    log.info("signed in", extra={"account": account.id, "role": account.role})
    return await _welcome(request, door, token, after)


async def passkey_new(request: Request, door: Door) -> Response:
    """One more passkey; also where a second factor is demanded of who signs in."""
    after = forms.local_path(request.query_params.get("next"))
    try:
        _, waits = await door.setting_up(request)
        if request.method in SAFE_METHODS:
            return forms.add_passkey(after, waits=waits)
        fields = await forms.fields(request)
        label, answer = fields.get("label", ""), fields.get("answer", "")
        try:
            token, codes = await door.add_passkey(
                request, label, answer, fields.get("password", "")
            )
        except (TooManyAttempts, AccountRefused, SignInRefused) as error:
            wrong = isinstance(error, SignInRefused)
            problem = S.PASSWORD_WRONG if wrong else error.message
            held = isinstance(error, TooManyAttempts)
            again = forms.add_passkey(
                after, waits=waits, name=label, problem=problem, status=429 if held else 422
            )
            return _held(again, error) if isinstance(error, TooManyAttempts) else again
    except SignedOut:
        return _to_sign_in(after)
    log.info("passkey registered")
    if not codes:
        return await _welcome(request, door, token, after)
    response = forms.recovery_codes(codes, after)
    await door.welcome(request, token, response)
    return response


async def passkey_question(request: Request, door: Door) -> Response:
    """What the browser is asked for a new one."""
    return await _asked(door.passkey_registration(request))


async def passkey_remove(request: Request, door: Door) -> Response:
    """One of them taken back."""
    number = request.query_params.get("id", "")
    passkey = int(number) if number.isascii() and number.isdigit() and len(number) < 16 else 0

    async def remove(password: str) -> Response:
        await door.remove_passkey(request, passkey, password)
        return RedirectResponse(f"{ROOT}/sessions", 303)

    path = f"/two-step/passkey/remove?id={passkey}"
    return await _confirmed(request, door, path, S.PASSKEY_REMOVE, S.PASSKEY_REMOVE_TEXT, remove)


async def _asked(question: Awaitable[str]) -> Response:
    try:
        return Response(await question, media_type="application/json")
    except (SignedOut, AccountRefused) as error:
        said = {"error": {"code": error.code, "message": error.message}}
        return JSONResponse(said, 401 if isinstance(error, SignedOut) else 409)


async def codes(request: Request, door: Door) -> Response:
    """New recovery codes."""

    async def renew(password: str) -> Response:
        return forms.recovery_codes(await door.renew_codes(request, password), "/sessions")

    return await _confirmed(
        request, door, "/two-step/codes", S.CODES_RENEW, S.CODES_RENEW_TEXT, renew
    )


async def one_step(request: Request, door: Door) -> Response:
    """The second factor taken away."""

    async def remove(password: str) -> Response:
        await door.remove_second(request, password)
        return RedirectResponse(f"{ROOT}/sessions", 303)

    return await _confirmed(
        request, door, "/two-step/remove", S.SECOND_REMOVE, S.SECOND_REMOVE_TEXT, remove
    )


async def _confirmed(
    request: Request,
    door: Door,
    path: str,
    title: str,
    text: str,
    work: Callable[[str], Awaitable[Response]],
) -> Response:
    """Ask for the password, then do it."""
    if await door.session(request) is None:
        return _to_sign_in("/sessions")
    if request.method in SAFE_METHODS:
        return forms.confirm(path, title, text)
    fields = await forms.fields(request)
    try:
        return await work(fields.get("password", ""))
    except TooManyAttempts as error:
        return _held(forms.confirm(path, title, text, error.message, 429), error)
    except SignInRefused:
        return forms.confirm(path, title, text, S.PASSWORD_WRONG, 422)
    except (SignedOut, AccountRefused):
        return _to_sign_in("/sessions")


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
    on = await door.farewell(request)
    response = RedirectResponse(f"{ROOT}/sign-in", 303) if on is None else forms.on_the_way(on)
    await door.sign_out(request, response)
    return response


async def leave(request: Request, door: Door) -> Response:
    """To the provider."""
    after = forms.local_path(request.query_params.get("next"))
    if door.sso is None:
        return forms.missing()
    try:
        return await door.leave(request, after)
    except (ProviderUnreachable, TooManyAttempts) as error:
        return await _form(request, door, after, "", error.message, 503)


async def come_back(request: Request, door: Door) -> Response:
    """From the provider, with a code or a refusal."""
    if door.sso is None:
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
    provider = "" if door.sso is None else door.sso.provider.name
    return forms.sign_in(after, name, problem, status, passkeys=shown, provider=provider)


def _to_sign_in(after: str) -> Response:
    return RedirectResponse(
        f"{ROOT}/sign-in" + ("" if after == "/" else f"?next={quote(after)}"), 303
    )


def _on_to(waits: Waits, after: str) -> Response:
    path = "/sign-in/second" if waits == "second" else "/two-step"
    return RedirectResponse(
        f"{ROOT}{path}" + ("" if after == "/" else f"?next={quote(after)}"), 303
    )


async def _welcome(request: Request, door: Door, token: str, after: str) -> Response:
    response = RedirectResponse(ROOT + after, 303)
    await door.welcome(request, token, response)
    return response


def _held(response: Response, error: TooManyAttempts) -> Response:
    response.headers["Retry-After"] = str(error.details["retry_after_s"])
    return response


OPEN: dict[str, Callable[[Request, Door], Awaitable[Response]]] = {
    "/sign-in": sign_in,
    "/sign-in/second": second,
    "/sign-in/passkey": passkey,
    "/sign-in/oidc": leave,
    "/sign-in/oidc/return": come_back,
    "/set-up": set_up,
    "/two-step": two_step,
    "/two-step/codes": codes,
    "/two-step/remove": one_step,
    "/two-step/passkey": passkey_new,
    "/two-step/passkey/question": passkey_question,
    "/two-step/passkey/remove": passkey_remove,
    "/sign-out": sign_out,
}
