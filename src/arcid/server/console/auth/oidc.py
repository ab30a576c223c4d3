"""Signing in at another provider, by OpenID Connect: code flow with PKCE, state and nonce.

What a browser carries to the provider and back is sealed in a cookie; nothing is stored before an
ID token was checked: signature, issuer, audience, times, nonce. Every method blocks.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from arcid import extras
from arcid.errors import ArcidError, ConfigError, SealBroken, UsageError
from arcid.sealing import seal, unseal
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.auth.roles import Role, role_of
from arcid.server.settings import Settings, origin_of

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)
PURPOSE, ROW = b"arcid-oidc", "oidc"
LIFE_S = 600  # from leaving for the provider to coming back
FRESH_S, AGAIN_S = 3600.0, 30.0  # of what the provider says of itself; between looks for a new key
TIMEOUT_S, DOWN_S, LEEWAY_S = 10.0, 5.0, 60
MAX_BYTES = 2**20  # of an answer
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class ProviderUnreachable(ArcidError):
    """It did not answer, or not as a provider does."""

    code = "oidc_unreachable"


class ProviderRefused(ArcidError):
    """What it said lets nobody in; the reason is in the log, in words of a fixed set."""

    code = "oidc_refused"


@dataclass(frozen=True, slots=True)
class Provider:
    """Where accounts of others are kept, and which of them are let in as what."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)  # empty: none
    name: str  # on the button
    scopes: tuple[str, ...]
    claim: str  # that lists groups
    roles: tuple[tuple[str, Role], ...]  # group to role; the first that fits counts
    default_role: Role | None  # of somebody in none of the groups; None: refused
    emails: tuple[str, ...]  # addresses and @domains, lower case; empty: all
    public_url: str

    @property
    def return_url(self) -> str:
        """What has to be registered at the provider."""
        return f"{self.public_url}{ROOT}/sign-in/oidc/return"


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody as the provider knows them."""

    issuer: str
    subject: str
    role: Role
    names: tuple[str, ...]  # to be called by, best first


def provider_of(settings: Settings) -> Provider | None:
    """None where none is set. Raises ``ConfigError`` for one that lets nobody or everybody in."""
    own = settings
    if own.oidc_issuer is None:
        return None
    if not extras.installed("sso"):
        raise ConfigError("ARCID_OIDC_ISSUER needs arcid[sso]: pip install 'arcid[sso]'")
    if own.oidc_client_id is None or own.public_url is None:
        raise ConfigError("ARCID_OIDC_ISSUER needs ARCID_OIDC_CLIENT_ID and ARCID_PUBLIC_URL")
    try:
        roles = tuple((group, role_of(role)) for group, role in own.oidc_roles)
        default = None if own.oidc_default_role is None else role_of(own.oidc_default_role)
    except UsageError as error:
        raise ConfigError(f"ARCID_OIDC_ROLES, ARCID_OIDC_DEFAULT_ROLE: {error.message}") from None
    if not roles and default is None:
        raise ConfigError(
            "ARCID_OIDC_ISSUER lets nobody in: map groups to roles with ARCID_OIDC_ROLES, or give "
            "ARCID_OIDC_DEFAULT_ROLE and ARCID_OIDC_EMAILS"
        )
    if default is not None and not own.oidc_emails:
        raise ConfigError(
            "ARCID_OIDC_DEFAULT_ROLE would let everybody in whom the provider knows: say whom with "
            "ARCID_OIDC_EMAILS, as @example.org"
        )
    return Provider(
        own.oidc_issuer,
        own.oidc_client_id,
        own.oidc_client_secret or "",
        own.oidc_name,
        tuple(dict.fromkeys(("openid", *own.oidc_scopes))),
        own.oidc_claim,
        roles,
        default,
        tuple(one.lower() for one in own.oidc_emails),
        own.public_url,
    )


class SingleSignOn:
    """One provider. Thread-safe. ``key`` is always the console's."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._lock = threading.Lock()
        self._told: tuple[float, dict[str, Any]] | None = None
        self._down_until = 0.0
        self._keys: tuple[float, Any] | None = None

    def leave(self, after: str, key: bytes) -> tuple[str, str]:
        """Where to send a browser that wants to go on to ``after``, and the cookie it takes along.

        Raises ``ProviderUnreachable``.
        """
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        address: str = prepare_grant_uri(
            self._metadata()["authorization_endpoint"],
            client_id=self.provider.client_id,
            response_type="code",
            redirect_uri=self.provider.return_url,
            scope=" ".join(self.provider.scopes),
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        kept = {
            "state": state, "nonce": nonce, "verifier": verifier, "after": after,
            "ends": time.time() + LIFE_S,
        }  # fmt: skip
        return address, seal(key, ROW, json.dumps(kept), PURPOSE)

    def come_back(self, told: Mapping[str, str], cookie: str, key: bytes) -> tuple[Known, str]:
        """Who came back, with what the provider put into the address; and where to go on to.

        Raises ``ProviderRefused``, ``ProviderUnreachable``.
        """
        try:
            kept = json.loads(unseal(key, ROW, cookie, PURPOSE))
        except (SealBroken, ValueError):
            raise _refused("cookie") from None
        if kept["ends"] < time.time():
            raise _refused("late")
        if not hmac.compare_digest(str(kept["state"]).encode(), told.get("state", "").encode()):
            raise _refused("state")
        if "iss" in told and told["iss"] != self.provider.issuer:  # RFC 9207
            raise _refused("issuer")
        if "error" in told or not told.get("code"):
            raise _refused("denied")
        answer = self._exchange(told["code"], kept["verifier"])
        claims = self._checked(answer, kept["nonce"])
        return self._known(claims), str(kept["after"])

    def leave_for_good(self) -> str | None:
        """Where to send a browser that signs out; None where the provider has no such place."""
        end = self._metadata().get("end_session_endpoint")
        if not isinstance(end, str) or not _is_safe(end):
            return None
        asked = {
            "client_id": self.provider.client_id,
            "post_logout_redirect_uri": f"{self.provider.public_url}{ROOT}/sign-in",
        }
        return f"{end}{'&' if '?' in end else '?'}{urlencode(asked)}"

    def _known(self, claims: Mapping[str, Any]) -> Known:
        own, email = self.provider, str(claims.get("email") or "").lower()
        if own.emails:
            if claims.get("email_verified") is not True or not email:
                raise _refused("email_not_verified")
            if email not in own.emails and f"@{email.rpartition('@')[2]}" not in own.emails:
                raise _refused("email_not_allowed")
        listed = claims.get(own.claim)
        groups = [listed] if isinstance(listed, str) else listed if isinstance(listed, list) else []
        role = next((role for group, role in own.roles if group in groups), own.default_role)
        if role is None:
            raise _refused("no_group")
        named = (claims.get(name) for name in ("name", "preferred_username", "email"))
        names = tuple(str(name) for name in named if name)
        return Known(own.issuer, str(claims["sub"]), role, names or (str(claims["sub"]),))

    def _exchange(self, code: str, verifier: str) -> dict[str, Any]:
        own, metadata = self.provider, self._metadata()
        form = {
            "grant_type": "authorization_code", "code": code, "code_verifier": verifier,
            "redirect_uri": own.return_url, "client_id": own.client_id,
        }  # fmt: skip
        auth = None
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if own.client_secret and "client_secret_basic" in methods:
            auth = (quote(own.client_id, safe=""), quote(own.client_secret, safe=""))
        elif own.client_secret:
            form["client_secret"] = own.client_secret
        return self._ask("POST", metadata["token_endpoint"], refusal="code", data=form, auth=auth)

    def _checked(self, answer: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError
        from joserfc.jws import JWSRegistry

        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        text = answer.get("id_token")
        try:
            if not isinstance(text, str):
                raise _refused("no_token")
            try:
                token = jwt.decode(text, self._key_set(), registry=registry)
            except InvalidKeyIdError:
                token = jwt.decode(text, self._key_set(anew=True), registry=registry)
            options = {
                "iss": {"essential": True, "value": self.provider.issuer},
                "aud": {"essential": True, "value": self.provider.client_id},
            }
            params = {
                "nonce": nonce,
                "client_id": self.provider.client_id,
                "access_token": answer.get("access_token"),
            }
            claims = CodeIDToken(token.claims, token.header, options, params)
            claims.validate(leeway=LEEWAY_S)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise _refused(getattr(error, "error", "token")) from None
        subject = claims["sub"]
        if not isinstance(subject, str) or not 1 <= len(subject) <= 255:
            raise _refused("subject")
        if not subject.isprintable():
            raise _refused("subject")
        return self._with_userinfo(dict(claims), answer.get("access_token"))

    def _with_userinfo(self, claims: dict[str, Any], access: Any) -> dict[str, Any]:
        """What the ID token leaves out is asked for, of the same subject."""
        wanted = ["email", "email_verified", "name", self.provider.claim]
        address = self._metadata().get("userinfo_endpoint")
        missing = any(name not in claims for name in wanted)
        if not missing or not isinstance(access, str) or not isinstance(address, str):
            return claims
        headers = {"Authorization": f"Bearer {access}"}
        more = self._ask("GET", address, refusal="userinfo", headers=headers)
        if more.get("sub") != claims["sub"]:
            raise _refused("subject")
        return more | claims

    def _metadata(self) -> dict[str, Any]:
        with self._lock:
            if self._told is None or time.monotonic() - self._told[0] > FRESH_S:
                if time.monotonic() < self._down_until:  # nobody else waits for it as long
                    raise _unreachable("a_moment_ago")
                self._down_until = time.monotonic() + DOWN_S
                issuer = self.provider.issuer
                address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
                found = self._ask("GET", address)
                if found.get("issuer") != issuer:
                    raise _unreachable("issuer")
                if not all(_is_safe(found.get(name)) for name in ENDPOINTS):
                    raise _unreachable("endpoints")
                self._told, self._down_until = (time.monotonic(), found), 0.0
            return self._told[1]

    def _key_set(self, *, anew: bool = False) -> Any:
        from joserfc.jwk import KeySet

        address = self._metadata()["jwks_uri"]
        with self._lock:
            kept, now_s = self._keys, time.monotonic()
            if kept is None or now_s - kept[0] > (AGAIN_S if anew else FRESH_S):
                found: Any = self._ask("GET", address)
                self._keys = now_s, KeySet.import_key_set(found)
            assert self._keys is not None
            return self._keys[1]

    def _ask(self, method: str, address: str, refusal: str = "", **more: Any) -> dict[str, Any]:
        """A JSON object. A status below 500 that is no success raises ``ProviderRefused`` where
        there is a ``refusal`` to name."""
        import httpx

        if not _is_safe(address):
            raise _unreachable("endpoints")
        more.setdefault("headers", {}).setdefault("Accept", "application/json")
        try:
            with (
                httpx.Client(timeout=TIMEOUT_S) as client,
                client.stream(method, address, **more) as answer,
            ):
                body = _read(answer)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unreachable(type(error).__name__) from None
        if refusal and 400 <= answer.status_code < 500:
            raise _refused(refusal)
        if answer.status_code != 200:
            raise _unreachable("status")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise _unreachable("no_json") from None
        if not isinstance(found, dict):
            raise _unreachable("no_json")
        return found


def _read(answer: httpx.Response) -> bytes:
    body = b""
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            raise _unreachable("too_long")
    return body


def _is_safe(address: Any) -> bool:
    """Whether it is encrypted, or on this machine."""
    if not isinstance(address, str):
        return False
    parts = urlsplit(address)
    try:
        return origin_of(f"{parts.scheme}://{parts.netloc}") is not None
    except ValueError:
        return False


def _refused(reason: str) -> ProviderRefused:
    log.warning("sign-in at the provider refused", extra={"reason": reason})
    words = {"no_group": S.OIDC_NO_ROLE, "denied": S.OIDC_DENIED}
    mail = S.OIDC_EMAIL if reason.startswith("email") else S.OIDC_REFUSED
    return ProviderRefused(words.get(reason, mail))


def _unreachable(reason: str) -> ProviderUnreachable:
    log.warning("the provider of sign-ins cannot be used", extra={"reason": reason})
    return ProviderUnreachable(S.OIDC_DOWN)
