"""What stands at ``/console``: signing in, roles, and the way through to NiceGUI.

Everything but the sign-in pages and NiceGUI's own script files needs a session; every page needs a
permission (``pages.PAGES``). Requests that change something, and every WebSocket, must come from
our own pages (``Origin``). Cookies are signed, HTTP-only and same-site.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders, State
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from arcid import paths
from arcid.apps.attendance import Liveness
from arcid.errors import ArcidError
from arcid.server.auth import address_of
from arcid.server.console import strings as S
from arcid.server.console.auth.accounts import (
    AccountRefused,
    Accounts,
    SignInRefused,
    TooManyAttempts,
)
from arcid.server.console.auth.first import FirstAccount
from arcid.server.console.auth.secret import is_set_up, load_secret, sign, unsign
from arcid.server.console.auth.session import Visit
from arcid.server.console.cameras import CameraBook, Cameras
from arcid.server.console.feeds import Feeds
from arcid.server.console.photos import KEEP_S, Photos
from arcid.server.console.ui import forms
from arcid.server.deps import Services
from arcid.server.errors import HttpError
from arcid.server.headers import EMPTY_STYLE, make_nonce, page_policy
from arcid.server.settings import Settings
from arcid.server.throttle import Throttle, client_of
from arcid.server.uploads import UploadRequest, read_images

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
ROOT = "/console"
COOKIE = "arcid_session"
STATIC = Path(__file__).parent / "ui" / "static"
HASHING_AT_ONCE, MAX_HASHING = 1, 32
SAFE_METHODS = frozenset({"GET", "HEAD"})
REMEMBER_S = 2.0  # how long a session that was found valid serves script files without a question
FOREVER = "public, max-age=31536000, immutable"
_PREFIX = b"x-forwarded-prefix"  # NiceGUI would put it before its addresses
NICEGUI = ("/_nicegui", "/favicon.ico")
_PACKAGE_FILE = re.compile(r"/_nicegui/[0-9][^/]*/(?!dynamic_resources/)")


class Console:
    """An ASGI application; one a service, opened by its first visit and closed with the service."""

    def __init__(self, settings: Settings, state: State, guesses: Throttle) -> None:
        self.settings = settings
        self._state = state
        self._first = FirstAccount(settings.api_keys, guesses)
        self.photos = Photos(settings.max_inflight_bytes)
        self.feeds = Feeds()
        self._static = StaticFiles(directory=STATIC)
        self._opening = asyncio.Lock()
        self._accounts: Accounts | None = None
        self._cameras: Cameras | None = None
        self._liveness: Liveness | None = None
        self._loading_liveness = threading.Lock()
        self._secret: bytes | None = None  # made by the first sign-in
        self._pages: ASGIApp | None = None
        self._loading: asyncio.Task[ASGIApp] | None = None
        self._waking: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()
        self._passwords = ThreadPoolExecutor(HASHING_AT_ONCE, thread_name_prefix="arcid-password")
        self._hashing = 0  # at work and waiting
        self._known: dict[str, tuple[Visit, float]] = {}
        self.remembered: dict[str, str] = {}  # account to collection last looked at, ids

    @property
    def services(self) -> Services:
        """The running services; there only while the application runs."""
        found: Services = self._state.services
        return found

    @property
    def accounts(self) -> Accounts:
        """Open since the first request."""
        if self._accounts is None:
            raise RuntimeError("the console is not open")
        return self._accounts

    @property
    def cameras(self) -> Cameras:
        """Running since the first request, or since the start where there are any."""
        if self._cameras is None:
            raise RuntimeError("the console is not open")
        return self._cameras

    def liveness(self) -> Liveness:
        """The passive check, loaded when a camera first needs it. Raises ``ModelNotFound``."""
        with self._loading_liveness:  # cameras ask from their threads
            if self._liveness is None:
                from arcid.liveness import passive

                self._liveness = passive.load()
            return self._liveness

    def wake(self) -> None:
        """Start the cameras that were set up, without waiting for a visit."""
        if is_set_up(paths.home_dir()):
            self._waking = asyncio.create_task(self._open())

    async def invite(self) -> str | None:
        """A path with a code that makes the first account; None where that was done once."""
        if is_set_up(paths.home_dir()):
            return None
        await self._open()
        if await asyncio.to_thread(self.accounts.exist):
            return None
        return f"{ROOT}/set-up#{self._first.invite()}"

    async def close(self) -> None:
        """End NiceGUI, cameras and database connections, where something had opened them."""
        if self._waking is not None:
            await asyncio.wait([self._waking])
        if self._cameras is not None:
            await asyncio.to_thread(self._cameras.close)
            self._cameras = None
        if self._loading is not None:
            await asyncio.wait([self._loading])
        await self._stack.aclose()
        self._passwords.shutdown(wait=False, cancel_futures=True)
        if self._accounts is not None:
            await asyncio.to_thread(self._accounts.close)
            self._accounts = None

    def forget(self, token: str | None = None) -> None:
        """Ask the database again about one session, or about all."""
        if token is None:
            self._known.clear()
        else:
            self._known.pop(token, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"][len(scope.get("root_path", "")) :] or "/"
        await self._open()
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != _PREFIX]
        scope["arcid_nonce"] = nonce = make_nonce()
        sender = _with_headers(path, nonce, send)
        _check_origin(scope)
        if path.startswith("/static/"):
            inner = {**scope, "root_path": scope.get("root_path", "") + "/static"}
            await self._static(inner, receive, sender)
        elif _PACKAGE_FILE.match(path):
            await (await self._nicegui())(scope, receive, sender)
        elif open_page := _OPEN.get(path):
            response = await open_page(self, Request(scope, receive))
            await response(scope, receive, sender)
        else:
            await self._behind_the_door(path, scope, receive, sender)

    async def _behind_the_door(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        visit = await self.visit(HTTPConnection(scope))
        if visit is None:
            await self._to_sign_in(scope, path)(scope, receive, send)
            return
        scope["arcid"] = visit
        if path == "/photos":
            response = await _receive_photos(UploadRequest(scope, receive), visit)
            await response(scope, receive, send)
            return
        application = await self._nicegui()
        from arcid.server.console.pages import ROUTES, home_of, permission_for

        if path == "/":
            home = ROOT + await home_of(visit)
            await RedirectResponse(home, 303)(scope, receive, send)
            return
        needed = permission_for(path)
        if needed is not None and not visit.may(needed):
            await forms.refused(visit.account)(scope, receive, send)
        elif found := ROUTES.get(path.split("/")[1]):
            response = await found.handle(Request(scope, receive), visit)
            await response(scope, receive, send)
        elif needed is None and not path.startswith(NICEGUI):
            await forms.missing()(scope, receive, send)
        else:
            await application(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = None
        if _same_origin(scope):
            visit = await self.visit(HTTPConnection(scope))
        if visit is None:
            await receive()
            await send({"type": "websocket.close", "code": 4401})
            return
        scope["arcid"] = visit
        path = scope["path"][len(scope.get("root_path", "")) :]
        if path.startswith("/feed/"):
            await self.feeds.serve(path[6:], WebSocket(scope, receive, send), visit)
        else:
            await (await self._nicegui())(scope, receive, send)

    async def visit(self, request: HTTPConnection) -> Visit | None:
        """The session of a request's cookie."""
        if self._secret is None:
            return None
        token = unsign(self._secret, request.cookies.get(COOKIE, ""))
        if token is None:
            return None
        known = self._known.get(token)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        account = await asyncio.to_thread(self.accounts.session, token)
        if account is None:
            self._known.pop(token, None)
            return None
        visit = Visit(self, token, account)
        self._known[token] = (visit, time.monotonic() + REMEMBER_S)
        return visit

    # opening

    async def _open(self) -> None:
        if self._accounts is not None:
            return
        async with self._opening:
            if self._accounts is None:
                url = self.settings.database or paths.database_url()
                if is_set_up(paths.home_dir()):
                    self._secret = await asyncio.to_thread(load_secret, paths.home_dir())
                accounts = await asyncio.to_thread(Accounts.open, url)
                book, running = CameraBook(accounts.database, lambda: self._secret), self.services
                self._cameras = Cameras(book, running.pipeline, running.gallery, self.liveness)
                await asyncio.to_thread(self._cameras.start)
                self._accounts = accounts

    async def _nicegui(self) -> ASGIApp:
        if self._pages is None:
            self._pages = await asyncio.shield(self._load())
        return self._pages

    def _load(self) -> asyncio.Task[ASGIApp]:
        """Begin to load NiceGUI where that has not begun yet."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._start_nicegui())
        return self._loading

    async def _start_nicegui(self) -> ASGIApp:
        started = time.perf_counter()
        from arcid.server.console import runtime

        application = await asyncio.to_thread(runtime.load)
        await self._stack.enter_async_context(runtime.running())
        log.info("console loaded", extra={"seconds": round(time.perf_counter() - started, 2)})
        return application

    # pages without NiceGUI

    def _to_sign_in(self, scope: Scope, path: str) -> Response:
        if scope["method"] in SAFE_METHODS and not path.startswith(("/_nicegui", "/photos")):
            query = scope["query_string"].decode("latin-1")
            wanted = quote(f"{path}?{query}" if query else path)
            if _from_elsewhere(Headers(scope=scope)):
                asked = f"?{quote(query, safe='=&%+-._~')}" if query else ""
                return forms.on_the_way(ROOT + quote(path) + asked)
            where = "" if path == "/" else f"?next={wanted}"
            return RedirectResponse(f"{ROOT}/sign-in{where}", 303)
        return JSONResponse({"error": {"code": "signed_out", "message": S.SIGNED_OUT}}, 401)

    async def _sign_in(self, request: Request) -> Response:
        self._load()
        if not await asyncio.to_thread(self.accounts.exist):
            return RedirectResponse(f"{ROOT}/set-up", 303)
        after = forms.local_path(request.query_params.get("next"))
        if request.method in SAFE_METHODS:
            return forms.sign_in(after)
        fields = await forms.fields(request)
        name, password = fields.get("name", ""), fields.get("password", "")
        try:
            token, account = await self._with_password(
                self.accounts.sign_in, name, password, _client(request)
            )
        except TooManyAttempts as error:
            log.warning("sign-in held back", extra={"code": error.code})
            return _held(forms.sign_in(after, name, error.message, 429), error)
        except SignInRefused as error:
            log.warning("sign-in refused", extra={"code": error.code})
            return forms.sign_in(after, name, error.message, 401)
        log.info("signed in", extra={"account": account.id, "role": account.role})
        return await self._welcome(request, token, after)

    async def _set_up(self, request: Request) -> Response:
        self._load()
        if await asyncio.to_thread(self.accounts.exist):
            return RedirectResponse(f"{ROOT}/sign-in", 303)
        if is_set_up(paths.home_dir()):
            return forms.lost()
        if request.method in SAFE_METHODS:
            return forms.set_up()
        fields = await forms.fields(request)
        code, name, password = (fields.get(field, "") for field in ("code", "name", "password"))
        try:
            self._first.check(code, address_of(request))
            if password != fields.get("repeat"):
                raise AccountRefused(S.PASSWORDS_DIFFER)
            await self._with_password(self.accounts.set_up, name, password)
            self._first.done()
            token, account = await self._with_password(
                self.accounts.sign_in, name, password, _client(request)
            )
        except TooManyAttempts as error:
            log.warning("set-up held back", extra={"code": error.code})
            return _held(forms.set_up(code, name, error.message, 429), error)
        except (AccountRefused, SignInRefused) as error:
            log.warning("set-up refused", extra={"code": error.code})
            return forms.set_up(code, name, error.message, 422)
        log.info("console set up", extra={"account": account.id})
        return await self._welcome(request, token, "/")

    async def _with_password(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call that hashes, which takes 64 MiB and all cores: beside few others of its kind.

        Raises ``TooManyAttempts`` where many wait.
        """
        if self._hashing >= MAX_HASHING:
            raise TooManyAttempts(S.SIGN_IN_BUSY, retry_after_s=2)
        self._hashing += 1
        try:
            work = functools.partial(call, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._passwords, work)
        finally:
            self._hashing -= 1

    async def _sign_out(self, request: Request) -> Response:
        if request.method in SAFE_METHODS:
            return RedirectResponse(ROOT + "/", 303)
        visit = await self.visit(request)
        if visit is not None:
            self.forget(visit.token)
            self.photos.forget(visit.token)
            await asyncio.to_thread(self.accounts.sign_out, visit.token)
        response = RedirectResponse(f"{ROOT}/sign-in", 303)
        response.delete_cookie(COOKIE, path=ROOT, httponly=True, samesite="strict")
        return response

    async def _welcome(self, request: Request, token: str, after: str) -> Response:
        if self._secret is None:
            self._secret = await asyncio.to_thread(load_secret, paths.home_dir())
        response = RedirectResponse(ROOT + after, 303)
        response.set_cookie(
            COOKIE,
            sign(self._secret, token),
            path=ROOT,
            max_age=365 * 24 * 3600,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response


_OPEN: dict[str, Callable[[Console, Request], Awaitable[Response]]] = {
    "/sign-in": Console._sign_in,
    "/set-up": Console._set_up,
    "/sign-out": Console._sign_out,
}


async def _receive_photos(request: UploadRequest, visit: Visit) -> Response:
    """Pictures of a drop zone; each is held until an action takes it by its id."""
    if request.method != "POST":
        raise HttpError(405, "method_not_allowed", "send the pictures with POST")
    if not (visit.may("enrol") or visit.may("search")):
        raise HttpError(403, "not_allowed", S.NOT_ALLOWED)
    try:
        form = await request.form()
        photos = await read_images(form.getlist("image"), visit.console.settings)
        ids = [visit.console.photos.hold(photo, visit.token) for photo in photos]
    except ArcidError as error:
        raise HttpError.of(error) from None
    asyncio.get_running_loop().call_later(KEEP_S + 1, visit.console.photos.sweep)
    return JSONResponse({"photos": ids}, 201)


def _check_origin(scope: Scope) -> None:
    if scope["method"] not in SAFE_METHODS and not _same_origin(scope):
        raise HttpError(403, "origin_refused", "the console takes requests of its own pages only")


def _same_origin(scope: Scope) -> bool:
    """Browsers send ``Origin`` with every POST and WebSocket; who sends none is not trusted."""
    headers = Headers(scope=scope)
    origin = urlsplit(headers.get("origin", ""))
    if scope["scheme"] in {"https", "wss"} and origin.scheme != "https":
        return False
    return origin.netloc.lower() == headers.get("host", "").lower() != ""


def _from_elsewhere(headers: Headers) -> bool:
    """A link on another site was followed: the browser left our cookie out of that one request."""
    return headers.get("sec-fetch-site") == "cross-site" and (
        headers.get("sec-fetch-mode") == "navigate"
    )


def _client(request: Request) -> str:
    return client_of(address_of(request))


def _held(response: Response, error: TooManyAttempts) -> Response:
    response.headers["Retry-After"] = str(error.details["retry_after_s"])
    return response


def _with_headers(path: str, nonce: str, send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Content-Security-Policy", page_policy())
            if "x-nicegui-content" in headers:
                headers["Content-Security-Policy"] = page_policy(
                    nonce, scripts="'unsafe-eval'", styles=EMPTY_STYLE, media="blob:"
                )
            if message["status"] == 200 and _PACKAGE_FILE.match(path):
                headers["Cache-Control"] = FOREVER
            elif path.startswith("/static/"):
                headers["Cache-Control"] = "no-cache"
        await send(message)

    return sender
