"""A login form whose second factor is a living face: a password first, then arcid's 1:1.

    pip install 'arcid[server]' httpx
    ARCID_URL=http://127.0.0.1:8000 ARCID_KEY=… uvicorn login_form:app --port 9000

The browser takes one picture; this form's server, and nobody else, speaks to arcid with the API
key. The password is checked first, so that nobody can lock others out by face alone. Replace
``USERS`` by your own accounts: a password's argon2 hash, and the id of the person in arcid.
"""

from __future__ import annotations

import os
import secrets
from typing import Annotated

import httpx
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from fastapi import Cookie, FastAPI, File, Form, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, Response

ARCID = os.environ.get("ARCID_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("ARCID_KEY", "")
COLLECTION = os.environ.get("ARCID_COLLECTION", "staff")
USERS: dict[str, dict[str, str]] = {}  # name: {"password": argon2 hash, "person_id": arcid's id}
HASHER = PasswordHasher()
NOBODY = HASHER.hash(secrets.token_hex())  # compared with where there is no such user
SESSIONS: dict[str, str] = {}
app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

PAGE = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">
<title>Sign in</title><form id="form">
<p><label>Name <input name="user" autocomplete="username" required></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password"
  required></label></p>
<video id="video" width="320" playsinline muted autoplay></video>
<p><button>Sign in</button> <span id="said" role="alert"></span></p></form>
<script>
const video = document.getElementById("video"), said = document.getElementById("said");
navigator.mediaDevices.getUserMedia({ video: { width: 1280 } })
  .then((stream) => { video.srcObject = stream; })
  .catch(() => { said.textContent = "This form needs a camera."; });
document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const sheet = document.createElement("canvas");
  sheet.width = video.videoWidth; sheet.height = video.videoHeight;
  sheet.getContext("2d").drawImage(video, 0, 0);
  const form = new FormData(event.target);
  form.append("image", await new Promise((done) => sheet.toBlob(done, "image/jpeg", 0.92)));
  const answer = await fetch("/login", { method: "POST", body: form });
  const told = await answer.json();
  if (answer.ok) location = "/inside"; else said.textContent = told.message;
});
</script></html>"""


@app.get("/")
def form() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.post("/login")
def login(
    user: Annotated[str, Form()],
    password: Annotated[str, Form()],
    image: Annotated[UploadFile, File()],
) -> Response:
    """Password, then face. Both failures read the same; what to do about a picture is told."""
    account = USERS.get(user)
    try:
        HASHER.verify(NOBODY if account is None else account["password"], password)
    except VerificationError:
        account = None
    if account is None:
        return refused("Name, password or face are wrong.")
    answer = httpx.post(
        f"{ARCID}/v1/collections/{COLLECTION}/people/{account['person_id']}/authenticate",
        headers={"Authorization": f"Bearer {KEY}"} if KEY else {},
        files={"image": image.file.read()},
        timeout=20,
    )
    told = answer.json()
    if answer.status_code in (422, 429):  # an unusable picture, or locked for a while
        return refused(told["error"]["message"])
    if answer.status_code != 200 or not told["accepted"]:
        return refused("Name, password or face are wrong.")
    token = secrets.token_urlsafe()
    SESSIONS[token] = user
    response = JSONResponse({"user": user})
    response.set_cookie("session", token, httponly=True, samesite="strict", secure=True)
    return response


@app.get("/inside")
def inside(session: Annotated[str, Cookie()] = "") -> HTMLResponse:
    known = session in SESSIONS
    return HTMLResponse("You are in." if known else "Sign in first.", 200 if known else 401)


def refused(message: str) -> JSONResponse:
    return JSONResponse({"message": message}, 401)
