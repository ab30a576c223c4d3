"""What stands at ``/console``: the way to sign-in, to pages of our own and through to NiceGUI.

Everything but the sign-in pages and NiceGUI's own script files needs a session; every page needs a
permission (``registry``).
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders, State
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from arcid import paths
from arcid.errors import ArcidError
from arcid.server.auth import audited_address
from arcid.server.console import ROOT, registry
from arcid.server.console import strings as S
from arcid.server.console.auth.door import SAFE_METHODS, Door, same_origin
from arcid.server.console.auth.first import FirstAccount
from arcid.server.console.auth.oidc import SingleSignOn, provider_of
from arcid.server.console.auth.secret import is_set_up
from arcid.server.console.auth.session import Session
from arcid.server.console.context import ConsoleContext
from arcid.server.console.live.feeds import Feeds
from arcid.server.console.pages.home import home_of
from arcid.server.console.pages.signing_in import OPEN
from arcid.server.console.photos import KEEP_S, Photos
from arcid.server.console.ui import forms
from arcid.server.errors import HttpError
from arcid.server.headers import EMPTY_STYLE, make_nonce, page_policy
from arcid.server.settings import Settings
from arcid.server.throttle import Throttle
from arcid.server.uploads import UploadRequest, read_images

log = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "ui" / "static"
FOREVER = "public, max-age=31536000, immutable"
_PREFIX = b"x-forwarded-prefix"  # NiceGUI would put it before its addresses
NICEGUI = ("/_nicegui", "/favicon.ico")
_PACKAGE_FILE = re.compile(r"/_nicegui/[0-9][^/]*/(?!dynamic_resources/)")


class Console:
    """An ASGI application; one a service, opened by its first request, closed with the service."""

    def __init__(self, settings: Settings, state: State, guesses: Throttle) -> None:
        self._settings = settings
        self._state = state
        self._first = FirstAccount(settings.api_keys, guesses)
        provider = provider_of(settings)
        self._sso = None if provider is None else SingleSignOn(provider)
        self._photos = Photos(settings.max_inflight_bytes)
        self._feeds = Feeds()
        self._last_collection: dict[str, str] = {}
        self._static = StaticFiles(directory=STATIC)
        self._opening = asyncio.Lock()
        self._door: Door | None = None
        self._pages: ASGIApp | None = None
        self._loading: asyncio.Task[ASGIApp] | None = None
        self._stack = AsyncExitStack()

    async def invite(self) -> str | None:
        """A path with a code that makes the first account; None where that was done once."""
        if is_set_up(paths.home_dir()):
            return None
        door = await self._open()
        return None if await door.has_accounts() else f"{ROOT}/set-up#{self._first.invite()}"

    async def close(self) -> None:
        """End NiceGUI and database connections, where something had opened them."""
        if self._loading is not None:
            await asyncio.wait([self._loading])
        await self._stack.aclose()
        if self._door is not None:
            self._door.sessions.close()
            await asyncio.to_thread(self._door.close)
            self._door = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"][len(scope.get("root_path", "")) :] or "/"
        door = await self._open()
        if scope["type"] == "websocket":
            await self._websocket(path, door, scope, receive, send)
            return
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != _PREFIX]
        scope["arcid_nonce"] = nonce = make_nonce()
        sender = _with_headers(path, nonce, send)
        if scope["method"] not in SAFE_METHODS and not same_origin(scope):
            raise HttpError(
                403, "origin_refused", "the console takes requests of its own pages only"
            )
        if path.startswith("/static/"):
            inner = {**scope, "root_path": scope.get("root_path", "") + "/static"}
            await self._static(inner, receive, sender)
        elif _PACKAGE_FILE.match(path):
            await (await self._nicegui())(scope, receive, sender)
        elif open_page := OPEN.get(path):
            self._load()
            response = await open_page(Request(scope, receive), door)
            await response(scope, receive, sender)
        elif session := await door.session(HTTPConnection(scope)):
            application = await self._for(door, session, path, scope, receive)
            await application(scope, receive, sender)
        else:
            await _to_sign_in(scope, path)(scope, receive, sender)

    async def _for(
        self, door: Door, session: Session, path: str, scope: Scope, receive: Receive
    ) -> ASGIApp:
        """What answers somebody who is signed in."""
        context = self._entered(door, session, scope)
        if path == "/photos":
            return await _receive_photos(UploadRequest(scope, receive), context)
        application = await self._nicegui()
        if path == "/":
            return RedirectResponse(ROOT + await home_of(context), 303)
        needed = registry.permission_for(path)
        if needed is not None and not context.may(needed):
            return forms.refused(context.account)
        if route := registry.route_of(path):
            answer: Response = await registry.load(route.function)(Request(scope, receive), context)
            return answer
        if needed is None and not path.startswith(NICEGUI):
            return forms.missing()
        return application

    async def _websocket(
        self, path: str, door: Door, scope: Scope, receive: Receive, send: Send
    ) -> None:
        session = await door.session(HTTPConnection(scope)) if same_origin(scope) else None
        if session is None:
            await receive()
            await send({"type": "websocket.close", "code": 4401})
            return
        self._entered(door, session, scope)
        with door.sessions.socket(session.token) as ended:
            receive, send = _until(ended, receive, send)
            if path.startswith("/feed/"):
                await self._feeds.serve(path[6:], WebSocket(scope, receive, send), session)
            else:
                await (await self._nicegui())(scope, receive, send)

    def _left(self, token: str) -> None:
        """A session has ended: its pictures are forgotten, its pages ask for a sign-in."""
        self._photos.forget(token)
        if self._pages is not None:
            from arcid.server.console.live import sockets

            sockets.reload_pages(token)

    def _entered(self, door: Door, session: Session, scope: Scope) -> ConsoleContext:
        """Whose request it is from here on, for pages and for sockets."""
        context = ConsoleContext(
            session,
            self._state.services,  # there only while the application runs
            door.sessions,
            self._photos,
            self._feeds,
            self._last_collection,
            audited_address(HTTPConnection(scope)),
        )
        scope["arcid.session"], scope["arcid.context"] = session, context
        return context

    # opening

    async def _open(self) -> Door:
        async with self._opening:
            if self._door is None:
                url = self._settings.database or paths.database_url()
                home, own = paths.home_dir(), self._settings
                self._door = await asyncio.to_thread(
                    Door, url, home, self._first, self._left, own.second_factor, own.public_url,
                    self._sso,
                )  # fmt: skip
            return self._door

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


def _until(ended: asyncio.Event, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """A WebSocket's two ends: closed where ``ended`` is set, and silent from then on."""

    async def receiving() -> Message:
        said, over = asyncio.ensure_future(receive()), asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait({said, over}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.is_set():
                return said.result()
        finally:
            said.cancel()
            over.cancel()
        with suppress(RuntimeError, OSError):  # it was closed before
            await send({"type": "websocket.close", "code": 4401})
        return {"type": "websocket.disconnect", "code": 4401}

    async def sending(message: Message) -> None:
        if not ended.is_set():
            await send(message)

    return receiving, sending


def _to_sign_in(scope: Scope, path: str) -> Response:
    if scope["method"] in SAFE_METHODS and not path.startswith(("/_nicegui", "/photos")):
        query = scope["query_string"].decode("latin-1")
        if _from_elsewhere(Headers(scope=scope)):
            asked = f"?{quote(query, safe='=&%+-._~')}" if query else ""
            return forms.on_the_way(ROOT + quote(path) + asked)
        wanted = quote(f"{path}?{query}" if query else path)
        where = "" if path == "/" else f"?next={wanted}"
        return RedirectResponse(f"{ROOT}/sign-in{where}", 303)
    return JSONResponse({"error": {"code": "signed_out", "message": S.SIGNED_OUT}}, 401)


def _from_elsewhere(headers: Headers) -> bool:
    """A link on another site was followed: the browser left our cookie out of that one request."""
    return headers.get("sec-fetch-site") == "cross-site" and (
        headers.get("sec-fetch-mode") == "navigate"
    )


async def _receive_photos(request: UploadRequest, context: ConsoleContext) -> Response:
    """Pictures of a drop zone; each is held until an action takes it by its id."""
    if request.method != "POST":
        raise HttpError(405, "method_not_allowed", "send the pictures with POST")
    if not (context.may("enrol") or context.may("search")):
        raise HttpError(403, "not_allowed", S.NOT_ALLOWED)
    try:
        form = await request.form()
        photos = await read_images(form.getlist("image"), context.services.settings)
        ids = [context.photos.hold(photo, context.session.token) for photo in photos]
    except ArcidError as error:
        raise HttpError.of(error) from None
    asyncio.get_running_loop().call_later(KEEP_S + 1, context.photos.sweep)
    return JSONResponse({"photos": ids}, 201)


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
