"""Webhooks, a broker and a mail server from their addresses; secrets from the environment."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from urllib.parse import SplitResult, parse_qs, urlsplit

from arcid.apps.telling.broker import MQTT_PASSWORD, MQTT_USER, Broker
from arcid.apps.telling.home_assistant import HomeAssistant
from arcid.apps.telling.mail import Mail, Security
from arcid.apps.telling.mqtt import Mqtt
from arcid.apps.telling.target import Target
from arcid.apps.telling.webhook import Webhook
from arcid.errors import ConfigError, MissingExtra
from arcid.gallery import Gallery

SECRET = "ARCID_WEBHOOK_SECRET"  # noqa: S105 - a name
SMTP_USER, SMTP_PASSWORD = "ARCID_SMTP_USERNAME", "ARCID_SMTP_PASSWORD"
MAILED: dict[str, tuple[Security, int]] = {
    "smtp": ("starttls", 587), "smtps": ("tls", 465), "smtp+plain": ("none", 25),
}  # fmt: skip


def targets_from(
    webhooks: Sequence[str] = (),
    mqtt: str | None = None,
    smtp: str | None = None,
    smtp_from: str | None = None,
    smtp_to: Sequence[str] = (),
) -> list[Target]:
    """``mqtt`` is HOST, HOST:PORT or a URL; ``smtp`` a URL of ``MAILED``.

    Raises ``ConfigError``, ``UsageError``, ``MissingExtra``.
    """
    secret = os.environ.get(SECRET, "")
    if webhooks and not secret:
        raise ConfigError(f"webhooks are signed: set {SECRET} to a secret shared with the receiver")
    found: list[Target] = [
        Webhook(_target_name("webhook", url), url, secret) for url in dict.fromkeys(webhooks)
    ]
    if mqtt is not None:
        found.append(_mqtt(mqtt))
    if smtp is not None:
        found.append(_mail(smtp, smtp_from, tuple(smtp_to)))
    return found


def home_assistant_from(address: str, open_alerts: Callable[[Gallery], int]) -> HomeAssistant:
    """From mqtt://HOST:1883/TOPIC, with ?names=1 at most. Raises as ``targets_from``."""
    if find_spec("paho") is None:
        raise MissingExtra("MQTT", "mqtt")
    parts = _parts(address, "ARCID_HOME_ASSISTANT")
    query = parse_qs(parts.query)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or set(query) - {"names"}:
        raise ConfigError(
            "ARCID_HOME_ASSISTANT is mqtt://HOST:1883/TOPIC or mqtts://…, with ?names=1 at most; "
            f"{MQTT_USER} and {MQTT_PASSWORD} sign in"
        )
    tls = parts.scheme == "mqtts"
    topic = parts.path.strip("/") or "arcid/home"
    broker = Broker(parts.hostname, _port(parts) or (8883 if tls else 1883), tls, topic)
    name = _target_name("home-assistant", address)
    return HomeAssistant(name, broker, names=query.get("names") == ["1"], open_alerts=open_alerts)


def _mqtt(address: str) -> Mqtt:
    if find_spec("paho") is None:
        raise MissingExtra("MQTT", "mqtt")
    parts = _parts(address if "://" in address else f"mqtt://{address}", "ARCID_MQTT")
    tls = parts.scheme == "mqtts"
    return Mqtt(
        _target_name("mqtt", address),
        parts.hostname or "localhost",
        _port(parts) or (8883 if tls else 1883),
        parts.path.strip("/") or "arcid",
        os.environ.get(MQTT_USER),
        os.environ.get(MQTT_PASSWORD),
        tls,
    )


def _mail(address: str, sender: str | None, recipients: tuple[str, ...]) -> Mail:
    parts = _parts(address, "ARCID_SMTP")
    if parts.scheme not in MAILED or not parts.hostname or parts.username or parts.password:
        raise ConfigError(
            "ARCID_SMTP is smtp://HOST (STARTTLS), smtps://HOST (TLS) or smtp+plain://HOST (not "
            f"encrypted), with :PORT where needed; {SMTP_USER} and {SMTP_PASSWORD} sign in"
        )
    if sender is None or not recipients:
        raise ConfigError("mail needs ARCID_SMTP_FROM and ARCID_SMTP_TO")
    security, port = MAILED[parts.scheme]
    return Mail(
        _target_name("mail", " ".join((address, *recipients))),
        parts.hostname,
        _port(parts) or port,
        sender,
        recipients,
        security,
        os.environ.get(SMTP_USER),
        os.environ.get(SMTP_PASSWORD),
    )


def _parts(address: str, setting: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        raise ConfigError(f"{setting} names no host") from None


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ConfigError(f"{parts.hostname} has no port of that number") from None


def _target_name(kind: str, address: str) -> str:
    """The same for the same address, so that what waits is delivered after a restart."""
    digest = hashlib.sha256(address.encode(errors="surrogatepass")).hexdigest()
    return f"{kind}-{digest[:12]}"
