"""A small OpenID Connect provider on loopback, which can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "arcid-console", "a secret: of & the = client"


class OpenIdProvider:
    """One client, whoever ``user`` is signs in without being asked.

    ``wrong`` changes what an ID token says, by claim; ``fault`` is one of the words below.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.user: dict[str, Any] = {}
        self.wrong: dict[str, Any] = {}
        self.fault = ""
        self.userinfo: dict[str, Any] = {}
        self.asked: list[str] = []  # paths
        self._codes: dict[str, dict[str, str]] = {}
        self.turn_key()

    def turn_key(self) -> None:
        self._key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})

    def app(self) -> Starlette:
        paths = {
            "/.well-known/openid-configuration": self.configuration,
            "/authorize": self.authorize,
            "/token": self.token,
            "/jwks": self.jwks,
            "/userinfo": self.info,
            "/end": self.end,
        }
        return Starlette(
            routes=[Route(path, call, methods=["GET", "POST"]) for path, call in paths.items()]
        )

    async def configuration(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        if self.fault == "down":
            return Response("busy", 503)
        if self.fault == "no_json":
            return Response("<html>")
        told = {
            "issuer": "http://127.0.0.1:1" if self.fault == "issuer" else self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "end_session_endpoint": f"{self.url}/end",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        }
        if self.fault == "plain":
            told["token_endpoint"] = "http://faces.example/token"
        return JSONResponse(told)

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT and asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        answer = {"state": asked["state"]}
        if self.fault == "denied":
            answer |= {"error": "access_denied", "error_description": "<b>no</b>"}
        else:
            code = secrets.token_urlsafe()
            self._codes[code] = asked
            answer |= {"code": code}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 302)

    async def token(self, request: Request) -> Response:
        form = {
            name: values[0] for name, values in parse_qs((await request.body()).decode()).items()
        }
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        name, _, secret = base64.b64decode(shown).decode().partition(":")
        asked = self._codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = _encoded(verifier)
        right = (
            asked is not None
            and (scheme, unquote(name), unquote(secret)) == ("Basic", CLIENT, SECRET)
            and form["grant_type"] == "authorization_code"
            and form["redirect_uri"] == asked["redirect_uri"]
            and challenge == asked["code_challenge"]
        )
        if not right or self.fault == "code":
            return JSONResponse({"error": "invalid_grant"}, 400)
        assert asked is not None
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": asked["nonce"],
            **self.user, **self.wrong,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        return JSONResponse(
            {"access_token": "t", "token_type": "Bearer", "id_token": self._sign(claims)}
        )

    def _sign(self, claims: dict[str, Any]) -> str:
        if self.fault in {"none", "hs256"}:  # the latter with what everybody may read as the secret
            head = {"alg": {"none": "none", "hs256": "HS256"}[self.fault], "kid": self._key.kid}
            said = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(claims).encode())}"
            public = self._key.as_pem(private=False)
            mac = hmac.new(public, said.encode(), hashlib.sha256).digest()
            return f"{said}.{_encoded(mac) if self.fault == 'hs256' else ''}"
        key = self._key
        if self.fault == "key":
            key = RSAKey.generate_key(2048, {"kid": self._key.kid})
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)

    async def jwks(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        return JSONResponse(KeySet([self._key]).as_dict(private=False))

    async def info(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer t"
        return JSONResponse({"sub": self.user["sub"], **self.userinfo})

    async def end(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        assert request.query_params["client_id"] == CLIENT
        return RedirectResponse(request.query_params["post_logout_redirect_uri"], 302)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def providing() -> Iterator[OpenIdProvider]:
    """One that runs, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        provider = OpenIdProvider(f"http://127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(provider.app(), log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started:
                assert thread.is_alive() and time.monotonic() < deadline
                time.sleep(0.01)
            yield provider
        finally:
            server.should_exit = True
            thread.join(20)
