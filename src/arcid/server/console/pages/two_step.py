"""What somebody has beside the password: set up, exchanged, taken away. Needs no NiceGUI."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

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
from arcid.server.console.auth.own import OwnFactors
from arcid.server.console.pages._way_in import asked, held, to_sign_in, welcome
from arcid.server.console.ui import forms

log = logging.getLogger(__name__)


async def two_step(request: Request, door: Door) -> Response:
    """An authenticator app, set up or exchanged; also where one is demanded of who signs in."""
    after = forms.local_path(request.query_params.get("next"))
    own = OwnFactors(door)
    try:
        _, waits = await own.setting_up(request)
        site = door.site(request)
        if request.method in SAFE_METHODS:
            return forms.set_up_app(await own.draft(request), after, waits=waits, site=site)
        fields = await forms.fields(request)
        draft = await own.draft(request, fields.get("draft", ""))
        code, password = fields.get("code", ""), fields.get("password", "")
        try:
            token, codes = await own.add_app(request, draft, code, password)
        except TooManyAttempts as error:
            problem = error.message
            again = forms.set_up_app(
                draft, after, waits=waits, site=site, problem=problem, status=429
            )
            return held(again, error)
        except (AccountRefused, SignInRefused) as error:
            problem = S.PASSWORD_WRONG if isinstance(error, SignInRefused) else error.message
            return forms.set_up_app(
                draft, after, waits=waits, site=site, problem=problem, status=422
            )
    except SignedOut:
        return to_sign_in(after)
    except AccountRefused:
        return RedirectResponse(f"{ROOT}/two-step", 303)
    log.info("second factor set up")
    response = forms.recovery_codes(codes, after)
    await door.welcome(request, token, response)
    return response


async def passkey_new(request: Request, door: Door) -> Response:
    """One more passkey; also where a second factor is demanded of who signs in."""
    after = forms.local_path(request.query_params.get("next"))
    own = OwnFactors(door)
    try:
        _, waits = await own.setting_up(request)
        if request.method in SAFE_METHODS:
            return forms.add_passkey(after, waits=waits)
        fields = await forms.fields(request)
        label, answer = fields.get("label", ""), fields.get("answer", "")
        try:
            token, codes = await own.add_passkey(request, label, answer, fields.get("password", ""))
        except (TooManyAttempts, AccountRefused, SignInRefused) as error:
            wrong = isinstance(error, SignInRefused)
            problem = S.PASSWORD_WRONG if wrong else error.message
            status = 429 if isinstance(error, TooManyAttempts) else 422
            again = forms.add_passkey(
                after, waits=waits, name=label, problem=problem, status=status
            )
            return held(again, error) if isinstance(error, TooManyAttempts) else again
    except SignedOut:
        return to_sign_in(after)
    log.info("passkey registered")
    if not codes:
        return await welcome(request, door, token, after)
    response = forms.recovery_codes(codes, after)
    await door.welcome(request, token, response)
    return response


async def passkey_question(request: Request, door: Door) -> Response:
    """What the browser is asked for a new one."""
    return await asked(OwnFactors(door).passkey_registration(request))


async def passkey_remove(request: Request, door: Door) -> Response:
    """One of them taken back."""
    number = request.query_params.get("id", "")
    passkey = int(number) if number.isascii() and number.isdigit() and len(number) < 16 else 0

    async def remove(password: str) -> Response:
        await OwnFactors(door).remove_passkey(request, passkey, password)
        return RedirectResponse(f"{ROOT}/sessions", 303)

    path = f"/two-step/passkey/remove?id={passkey}"
    return await _confirmed(request, door, path, S.PASSKEY_REMOVE, S.PASSKEY_REMOVE_TEXT, remove)


async def codes(request: Request, door: Door) -> Response:
    """New recovery codes."""

    async def renew(password: str) -> Response:
        return forms.recovery_codes(
            await OwnFactors(door).renew_codes(request, password), "/sessions"
        )

    return await _confirmed(
        request, door, "/two-step/codes", S.CODES_RENEW, S.CODES_RENEW_TEXT, renew
    )


async def one_step(request: Request, door: Door) -> Response:
    """The second factor taken away."""

    async def remove(password: str) -> Response:
        await OwnFactors(door).remove_second(request, password)
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
        return to_sign_in("/sessions")
    if request.method in SAFE_METHODS:
        return forms.confirm(path, title, text)
    fields = await forms.fields(request)
    try:
        return await work(fields.get("password", ""))
    except TooManyAttempts as error:
        return held(forms.confirm(path, title, text, error.message, 429), error)
    except SignInRefused:
        return forms.confirm(path, title, text, S.PASSWORD_WRONG, 422)
    except (SignedOut, AccountRefused):
        return to_sign_in("/sessions")


OPEN: dict[str, Callable[[Request, Door], Awaitable[Response]]] = {
    "/two-step": two_step,
    "/two-step/codes": codes,
    "/two-step/remove": one_step,
    "/two-step/passkey": passkey_new,
    "/two-step/passkey/question": passkey_question,
    "/two-step/passkey/remove": passkey_remove,
}
