"""Onboarding as the applicant goes through it: a page for a phone, known by its link's token alone.

The token stands behind the ``#`` of the link, so that no log, proxy or other site sees it; the page
sends it in a header, and to the camera's WebSocket as the first message.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import (
    APIRouter,
    File,
    Form,
    Header,
    Request,
    Response,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.responses import HTMLResponse
from pydantic import Field

from arcid.apps.onboarding import zones
from arcid.apps.onboarding.applicant import Agreed, Applicant
from arcid.apps.onboarding.consent import consent_text
from arcid.apps.onboarding.live import Live, Look
from arcid.apps.onboarding.records import Attempt, Session, State
from arcid.errors import ArcidError, ImageUnreadable, OnboardingClosed
from arcid.server.auth import address_of
from arcid.server.console.auth.door import same_origin
from arcid.server.deps import Running, Services
from arcid.server.errors import HttpError
from arcid.server.framed import PAGES, framed
from arcid.server.headers import make_nonce, page_policy, with_nonce
from arcid.server.routes._common import UPLOAD, Image, errors
from arcid.server.schemas import In, Out
from arcid.server.uploads import UploadRoute, read_images
from arcid.video import PushedFrames

log = logging.getLogger(__name__)
MAX_TOKEN = 128
MAX_MESSAGE = 4 * 2**20
MAX_PIXELS = 2_100_000  # of a frame: 1920×1080
RUN_S = 120.0
router = APIRouter(prefix="/onboarding", tags=["applicant"], route_class=UploadRoute)
Token = Annotated[
    str,
    Header(alias="X-Onboarding-Token", max_length=MAX_TOKEN, description="Of the session's link."),
]
FAILED = {
    "too_slow": "It took too long.",
    "wrong_way": "That was the other side.",
    "face_lost": "The face was gone for a moment.",
    "flat": "This looks like a picture of a face.",
    "jumped": "The face changed on the way.",
    "changed": "The face changed on the way.",
    "stopped": "The camera was stopped.",
}


class ConsentIn(In):
    version: str = Field(max_length=100, description="Of the text that was shown.")
    name: str = Field(min_length=1, max_length=200)
    birth_date: date | None = None


class ApplicantOut(Out):
    """Where a session stands, as far as the applicant is told."""

    state: State
    expires_at: datetime
    tries_left: int
    live: bool = Field(description="Whether a camera is asked for.")
    reads_zone: bool = Field(description="Whether machine-readable zones are read in pictures.")
    consent_version: str
    consent_text: str
    codes: list[str] = Field(description="What was wrong with what was handed in; empty: taken.")
    problem: str = Field(description="The same for people, with what to do.")


@router.get("/", include_in_schema=False)
def page() -> HTMLResponse:
    """The applicant's page."""
    nonce = make_nonce()
    markup = with_nonce(framed("onboarding.html"), nonce)
    policy = page_policy(nonce, media="blob:")
    return HTMLResponse(
        markup, headers={"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}
    )


@router.get("/page.js", include_in_schema=False)
def script() -> Response:
    """What the page runs."""
    return Response((PAGES / "onboarding.js").read_bytes(), media_type="text/javascript")


@router.get("/session", responses=errors(404, 429, 503))
async def applicant_session(running: Running, request: Request, token: Token) -> ApplicantOut:
    """Where the session stands; the way back into one that was left."""
    return await _told(running, request, token, lambda one: one.session(token))


@router.post("/session/consent", responses=errors(400, 404, 409, 413, 429, 503, 507))
async def applicant_consent(
    running: Running, request: Request, token: Token, body: ConsentIn
) -> ApplicantOut:
    """Consent to the text of that version, and who consents."""

    def consent(one: Applicant) -> Session:
        text = _text(running)
        if body.version != text.version:
            raise OnboardingClosed("the text changed meanwhile: read it again", state="started")
        return one.consent(token, text, name=body.name, birth_date=body.birth_date)

    return await _told(running, request, token, consent)


@router.post("/session/withdraw", responses=errors(404, 409, 429, 503, 507))
async def applicant_withdraw(running: Running, request: Request, token: Token) -> ApplicantOut:
    """Take consent back before a decision: everything is erased at once."""
    return await _told(running, request, token, lambda one: one.withdraw(token))


@router.post("/session/document", responses=errors(*UPLOAD, 404, 409, 503, 507))
async def applicant_document(
    running: Running,
    request: Request,
    token: Token,
    image: Image,
    back: Annotated[
        UploadFile | None, File(description="The other side, where the zone stands there.")
    ] = None,
    zone: Annotated[
        str, Form(max_length=200, description="The machine-readable zone, typed, to be surer.")
    ] = "",
) -> ApplicantOut:
    """A photo of the document's page with the portrait. The machine-readable zone is read in the
    pictures where `arcid[mrz]` is installed."""
    photos = await read_images([image, *([] if back is None else [back])], running.settings)
    photo, other = photos[0], photos[1] if photos[1:] else None
    return await _told(
        running,
        request,
        token,
        lambda one: one.document(token, photo, back=other, zone=zone),
        photos,
    )


@router.post("/session/selfie", responses=errors(*UPLOAD, 404, 409, 503, 507))
async def applicant_selfie(
    running: Running, request: Request, token: Token, image: Image
) -> ApplicantOut:
    """A picture of the face, where no camera can be used; a human then decides."""
    (photo,) = await read_images([image], running.settings)
    return await _told(
        running,
        request,
        token,
        lambda one: one.selfie(token, photo),
        [photo],
    )


@router.websocket("/session/live")
async def applicant_live(socket: WebSocket) -> None:
    """The token as text, then frames as bytes: eight of the time (float64, little-endian,
    milliseconds since 1970), then a JPEG. What to do is answered as JSON."""
    if not same_origin(socket.scope):
        await socket.close(4403)
        return
    await socket.accept()
    running: Services = socket.app.state.services
    try:
        token = (await asyncio.wait_for(socket.receive_text(), 10))[:MAX_TOKEN]
        one = await running.writes.run(_applicant, running)
        with running.applicants.known(address_of(socket), token):
            session = await asyncio.to_thread(one.session, token)
        if session.state != "documented":
            raise OnboardingClosed("the document comes first, or the session has ended")
        source = PushedFrames("onboarding", max_pixels=MAX_PIXELS)
        with running.applicants.run(token, source.close):
            await _run(socket, running, one, token, source)
    except (ArcidError, HttpError) as error:
        message = error.message if isinstance(error, ArcidError) else str(error.detail)
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.send_json({"problem": message, "done": True})
    except (TimeoutError, WebSocketDisconnect, KeyError):
        pass
    with suppress(RuntimeError):
        await socket.close()


async def _run(
    socket: WebSocket, running: Services, one: Applicant, token: str, source: PushedFrames
) -> None:
    """One run: frames in, prompts out, and the decision at its end."""
    loop = asyncio.get_running_loop()
    live = Live(running.pipeline)
    said: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def say(message: dict[str, Any] | None) -> None:
        loop.call_soon_threadsafe(said.put_nowait, message)

    def work() -> None:
        failure = "stopped"
        try:
            for frame, look in live.watch(source):
                failure = look.failure or "stopped"
                say({"at": frame.at, **told(look)})
            if live.capture is not None:
                attempt = one.finish(token, live.capture)
            elif failure != "stopped":
                attempt = one.failed(token, failure, FAILED[failure])
            else:
                return
            say({"done": True, **_answer(attempt, running).model_dump(mode="json")})
        except ArcidError as error:
            say({"problem": error.message, "done": True})
        except Exception:
            log.exception("an onboarding run failed")
            say({"problem": "something went wrong; try again", "done": True})
        finally:
            say(None)

    threading.Thread(target=work, name="arcid-onboarding", daemon=True).start()
    taking = asyncio.create_task(_take(socket, source))
    try:
        async with asyncio.timeout(RUN_S):
            while (message := await said.get()) is not None:
                await socket.send_json(message)
    finally:
        source.close()
        taking.cancel()


async def _take(socket: WebSocket, source: PushedFrames) -> None:
    try:
        while True:
            data = await socket.receive_bytes()
            if 8 < len(data) <= MAX_MESSAGE:
                (at_ms,) = struct.unpack_from("<d", data)
                with suppress(ImageUnreadable, ValueError, OverflowError):
                    await asyncio.to_thread(source.push, data[8:], at_ms / 1000)
    except (WebSocketDisconnect, KeyError, RuntimeError):
        source.close()


def told(look: Look) -> dict[str, Any]:
    """What a look says to the page: a state, an action and its progress; words are the page's."""
    message: dict[str, Any] = {"look": look.state}
    if look.reason is not None:
        message["problem"] = look.reason.message
    if look.challenge is not None:
        status = look.challenge
        message |= {"action": status.action, "hint": status.hint}
        message["progress"] = (status.step + status.progress) / status.steps
    return message


# what all of them share


async def _told(
    running: Services,
    request: Request,
    token: str,
    step: Callable[[Applicant], Session | Attempt],
    photos: Sequence[bytes] = (),
) -> ApplicantOut:
    """``photos``: that the step looks at."""

    def take() -> Session | Attempt:
        with running.batcher.room(photos):
            return step(_applicant(running))

    with running.applicants.known(address_of(request), token):
        return _answer(await running.writes.run(take), running)


def _applicant(running: Services) -> Applicant:
    return Applicant(
        running.gallery, running.pipeline, liveness=running.passive.check(), zones=zones.load(),
        load=running.batcher.load,
    )  # fmt: skip


def _answer(done: Session | Attempt, running: Services) -> ApplicantOut:
    attempt = done if isinstance(done, Attempt) else Attempt(done)
    session, text = attempt.session, _text(running)
    return ApplicantOut(
        state=session.state,
        expires_at=session.expires_at,
        tries_left=session.tries_left,
        live=session.rules.live,
        reads_zone=zones.load() is not None,
        consent_version=text.version,
        consent_text=text.text,
        codes=list(attempt.codes),
        problem=attempt.problem,
    )


def _text(running: Services) -> Agreed:
    return consent_text(running.settings.onboarding_consent)
