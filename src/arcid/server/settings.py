"""Settings of the service, from ``ARCID_*`` environment variables or keyword arguments."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from arcid.errors import ConfigError

MIN_KEY_LENGTH = 16
MIB = 2**20
UNIX = "unix"  # whoever comes through a Unix socket, where others have an address
HOW_TO_MAKE_A_KEY = "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
MIN_GUESSES_LOG10 = 10.0
READ_OF_A_KEY = 72  # characters; estimating more takes long and changes nothing
_PLACEHOLDER = re.compile(
    "arcid|change|replace|insert|enter|place|holder|example|sample|default|dummy|demo|test|todo|"
    "secret|password|token|value|api|key|please|your|this|here|now|put|the|my|me|xxx+",
    re.IGNORECASE,
)


def hash_keys(value: str | Sequence[str]) -> tuple[str, ...]:
    """Comma-separated API keys in; their sha256 out, which is all that is kept of them."""
    keys = value.split(",") if isinstance(value, str) else list(value)
    keys = [key.strip() for key in keys if key.strip()]
    for number, key in enumerate(keys, 1):
        if len(key) < MIN_KEY_LENGTH or not key.isascii():
            raise ValueError(
                f"every API key needs at least {MIN_KEY_LENGTH} ASCII characters, and key {number} "
                f"of {len(keys)} has not; {HOW_TO_MAKE_A_KEY}"
            )
        if is_guessable(key):
            raise ValueError(
                f"API key {number} of {len(keys)} is too easy to guess (a repetition, a sequence, "
                f"a common password or a placeholder); {HOW_TO_MAKE_A_KEY}"
            )
    return tuple(hashlib.sha256(key.encode()).hexdigest() for key in keys)


def is_guessable(key: str) -> bool:
    """Whether zxcvbn finds what is left without a placeholder's words in 10¹⁰ guesses."""
    from zxcvbn import zxcvbn

    own = _PLACEHOLDER.sub("", key)[:READ_OF_A_KEY]
    return not own or float(zxcvbn(own)["guesses_log10"]) < MIN_GUESSES_LOG10


def networks(value: str | Sequence[str]) -> tuple[str, ...]:
    """Comma-separated addresses and networks in; the same, in their usual form, out."""
    names = value.split(",") if isinstance(value, str) else list(value)
    found = []
    for name in filter(None, map(str.strip, names)):
        if name == UNIX:
            found.append(name)
            continue
        try:
            network = ipaddress.ip_network(name, strict=False)
        except ValueError:
            raise ValueError(
                "give addresses (192.0.2.7), networks (192.0.2.0/24) or unix, separated by commas"
            ) from None
        if network.prefixlen == 0:
            raise ValueError(f"{network} is everybody: name the proxies only")
        single = network.prefixlen == network.max_prefixlen
        found.append(str(network.network_address if single else network))
    return tuple(found)


def listed(value: str | Sequence[str]) -> tuple[str, ...]:
    """Text separated by commas, or a list; the parts that are not empty out."""
    parts = value.split(",") if isinstance(value, str) else list(value)
    return tuple(filter(None, map(str.strip, parts)))


def origin_of(value: str | None) -> str | None:
    """An https address without a path, or an http one of this machine; as browsers write it."""
    if value is None:
        return None
    parts = urlsplit(value.strip().rstrip("/"))
    try:
        port = parts.port
    except ValueError:
        port = -1
    name = parts.hostname or ""
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(name))
    more = parts.path or parts.query or parts.fragment or parts.username or parts.password
    if not safe or not name or more or port == -1 or not value.isascii():
        raise ValueError(
            "give https:// and a host, and a port where it is not 443, without a path; http:// is "
            "for localhost only"
        )
    shown = f"[{name}]" if ":" in name else name
    usual = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{shown}" + ("" if port in (None, usual) else f":{port}")


def issuer_of(value: str | None) -> str | None:
    """As the provider writes it itself; a path is fine."""
    if value is not None:
        parts = urlsplit(value)
        origin_of(f"{parts.scheme}://{parts.netloc}")
        if parts.query or parts.fragment:
            raise ValueError("an issuer has no ? and no #")
    return value


def pairs(value: str | Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """``a=b,c=d``, or a list of pairs; what stands before the last = may have others in it."""
    if not isinstance(value, str):
        return tuple((str(left), str(right)) for left, right in value)
    found = []
    for part in filter(None, map(str.strip, value.split(","))):
        left, sign, right = part.rpartition("=")
        if not sign or not left.strip() or not right.strip():
            raise ValueError("give group=role, separated by commas")
        found.append((left.strip(), right.strip()))
    return tuple(found)


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)]


class Settings(BaseSettings):
    """What ``create_app`` and ``serve`` need to know; immutable. Build it with ``load``."""

    model_config = SettingsConfigDict(
        env_prefix="ARCID_",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    uds: Path | None = Field(
        None,
        description="Unix socket to listen on instead of a port; for its owner and their group.",
    )
    tls_cert: Path | None = Field(
        None, description="Certificate chain to speak TLS with, a PEM file; with ARCID_TLS_KEY."
    )
    tls_key: Path | None = Field(
        None, repr=False, description="Its private key, a PEM file without a password."
    )
    database: str | None = Field(
        None, description="Path or SQLAlchemy URL of the gallery; by default in ARCID_HOME."
    )
    detector: str | None = Field(None, description="Detector to run; by default the packaged one.")
    recogniser: str | None = Field(
        None, description="Recogniser to run; by default the packaged one."
    )
    api_keys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(hash_keys)] = Field(
        (), description="API keys, separated by commas; only their sha256 is kept in memory."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(networks)] = Field(
        (),
        description="Addresses or networks of proxies whose X-Forwarded-For, -Proto and -Host are "
        "believed, separated by commas; unix: whoever comes through ARCID_UDS.",
    )
    max_connections: int = Field(
        512, ge=4, description="Most open connections; idle ones make room for new ones."
    )
    max_connections_per_client: int = Field(
        128, ge=2, description="The same of one address that is no trusted proxy."
    )
    header_timeout_s: float = Field(
        15.0, gt=0, description="How long a connection may be open without a whole request head."
    )
    upload_timeout_s: float = Field(
        20.0, gt=0, description="How long a body is waited for that comes too slowly."
    )
    min_upload_bytes_per_s: int = Field(
        1024, ge=1, description="What is too slow for a body, on average over that time."
    )
    answer_timeout_s: float = Field(
        60.0, gt=0, description="How long a client may take nothing of an answer."
    )
    max_upload_bytes: int = Field(16 * MIB, ge=1024, description="Most bytes of one image.")
    max_request_bytes: int = Field(64 * MIB, ge=1024, description="Most bytes of one upload.")
    max_json_bytes: int = Field(MIB, ge=1024, description="Most bytes of a JSON body.")
    max_inflight_bytes: int = Field(
        256 * MIB, ge=1024, description="Most bytes of all uploads being worked on at once."
    )
    max_image_pixels: int = Field(
        50_000_000,
        ge=256,
        description="Most pixels of one image; reading one takes 4 bytes for each.",
    )
    max_inflight_pixels: int = Field(
        150_000_000,
        ge=256,
        description="Most pixels of all images waiting or being worked on at once; a request that "
        "has more by itself is taken when nothing else waits.",
    )
    max_images: int = Field(16, ge=1, le=1000, description="Most images of one request.")
    queue_size: int = Field(
        64, ge=1, description="Images waiting or being worked on; one more is answered with 429."
    )
    max_batch: int = Field(32, ge=1, le=1024, description="Faces that close a batch.")
    max_wait_ms: float = Field(
        3.0, ge=0, le=1000, description="How long a face waits for others whose photo is in work."
    )
    decode_apart: bool = Field(
        False,
        description="Whether uploads are decoded in processes of their own, one per worker, each "
        "under a memory limit; Linux only.",
    )
    workers: int | None = Field(
        None, ge=1, le=256, description="Threads that decode and detect; by default one per core."
    )
    webhooks: Listed = Field(
        (),
        repr=False,
        description="Addresses that every event is posted to, separated by commas; signed with "
        "ARCID_WEBHOOK_SECRET.",
    )
    mqtt: str | None = Field(
        None, repr=False, description="Broker that every event is published at: HOST:PORT or a URL."
    )
    smtp: str | None = Field(
        None,
        repr=False,
        description="Mail server: smtp://HOST (STARTTLS), smtps://HOST (TLS) or smtp+plain://HOST "
        "(not encrypted).",
    )
    smtp_from: str | None = Field(None, description="Sender of the mails.")
    smtp_to: Listed = Field((), repr=False, description="Who gets the mails, separated by commas.")
    smtp_events: Listed = Field(
        ("alert",), description="Kinds of events that are mailed, separated by commas."
    )
    onboarding_consent: str | None = Field(
        None,
        description="Text file that applicants consent to; its name is the version. By default "
        "one that says what arcid does.",
    )
    backups: Path | None = Field(
        None,
        description="Folder that backups of the gallery go into by themselves; another disk's.",
    )
    backup_every_h: float = Field(
        24.0, gt=0, le=8784, description="How many hours lie between two of them."
    )
    backup_keep: int = Field(
        14, ge=1, le=10_000, description="How many of the newest stay; older ones are removed."
    )
    backup_keys: Path | None = Field(
        None,
        description="File that the newest copy of the key store is kept in beside that; in another "
        "folder than ARCID_BACKUPS, better on another disk.",
    )
    public_url: Annotated[str | None, BeforeValidator(origin_of)] = Field(
        None,
        description="Where browsers find the service, as https://faces.example: what passkeys and "
        "sign-in by OpenID Connect are tied to. Without it passkeys work on localhost only.",
    )
    oidc_issuer: Annotated[str | None, BeforeValidator(issuer_of)] = Field(
        None, description="OpenID Connect provider whose accounts may sign in to the console."
    )
    oidc_client_id: str | None = Field(None, description="What this service is called there.")
    oidc_client_secret: str | None = Field(
        None, repr=False, description="Its secret there; without one PKCE alone protects the code."
    )
    oidc_name: str = Field(
        "single sign-on", min_length=1, max_length=40, description="What its button says."
    )
    oidc_scopes: Listed = Field(
        ("email", "profile"),
        description="What is asked for beside openid, separated by commas; some want groups here.",
    )
    oidc_claim: str = Field("groups", description="Claim that lists somebody's groups.")
    oidc_roles: Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(pairs)] = Field(
        (),
        description="Which role a group has, as face-admins=admin,staff=viewer; the first that "
        "fits counts, at every sign-in.",
    )
    oidc_default_role: str | None = Field(
        None,
        description="Role of somebody in none of these groups; without it they are refused. Needs "
        "ARCID_OIDC_EMAILS.",
    )
    oidc_emails: Listed = Field(
        (),
        description="Who may sign in by it at all: verified addresses and @domains, separated by "
        "commas; empty: whoever has a role.",
    )
    second_factor: Literal["optional", "admins", "everybody"] = Field(
        "optional",
        description="Which accounts of the console need a second factor; whoever has none sets it "
        "up at the next sign-in.",
    )
    audit_searches: bool = Field(
        True,
        description="Whether each search for a person leaves a row in the audit; `arcid search` "
        "asks it too, and a service that starts with it off writes that down.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least important log lines that are written."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.uds is not None and self.tls_cert is not None:
            raise ValueError("a Unix socket speaks no TLS: leave uds or tls_cert out")
        if self.decode_apart and sys.platform != "linux":
            raise ValueError("decode_apart needs Linux; leave it off here")
        if self.max_images > self.queue_size:
            raise ValueError("queue_size must be at least max_images")
        if self.max_request_bytes > self.max_inflight_bytes:
            raise ValueError("max_inflight_bytes must be at least max_request_bytes")
        if self.max_connections_per_client > self.max_connections:
            raise ValueError("max_connections must be at least max_connections_per_client")
        if self.max_image_pixels > self.max_inflight_pixels:
            raise ValueError("max_inflight_pixels must be at least max_image_pixels")
        return self

    @classmethod
    def load(cls, **values: Any) -> Settings:
        """Environment plus ``values`` (None: not given); raises ``ConfigError``."""
        try:
            return cls(**{name: value for name, value in values.items() if value is not None})
        except ValidationError as error:
            problems = "; ".join(
                f"{'ARCID_' + '_'.join(map(str, e['loc'])).upper() + ': ' if e['loc'] else ''}"
                f"{e['msg'].removeprefix('Value error, ')}"
                for e in error.errors(include_input=False, include_context=False)
            )
            raise ConfigError(problems) from None

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach ``host``, or the Unix socket."""
        return self.uds is not None or is_loopback(self.host)

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach the service."""
        return not self.loopback or bool(self.trusted_proxies)

    def check_exposed(self, stored: Callable[[], bool] = lambda: False) -> None:
        """Raise ``ConfigError`` where others could reach the service and no key protects it.

        ``stored`` says whether the gallery has a valid one; asked only where it matters.
        """
        if self.api_keys or not self.exposed or stored():
            return
        if not self.loopback:
            raise ConfigError(
                f"listening on {self.host} lets other machines in, so an API key is needed: make "
                f"one with arcid keys add, set ARCID_API_KEYS ({HOW_TO_MAKE_A_KEY}), or listen on "
                "127.0.0.1"
            )
        raise ConfigError(
            "a proxy lets other machines in, so ARCID_TRUSTED_PROXIES needs API keys: make one "
            f"with arcid keys add, or set ARCID_API_KEYS ({HOW_TO_MAKE_A_KEY})"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
