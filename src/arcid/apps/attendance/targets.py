"""Webhooks and an MQTT broker from their addresses, their secrets from the environment."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from arcid.apps.attendance.outbox import Mqtt, Target, Webhook
from arcid.errors import ConfigError

SECRET = "ARCID_WEBHOOK_SECRET"  # noqa: S105 - a name
MQTT_USER, MQTT_PASSWORD = "ARCID_MQTT_USERNAME", "ARCID_MQTT_PASSWORD"


def targets_from(webhooks: Sequence[str], mqtt: str | None) -> list[Target]:
    """``mqtt`` is HOST, HOST:PORT or a URL. Raises ``ConfigError``, ``UsageError``."""
    secret = os.environ.get(SECRET, "")
    if webhooks and not secret:
        raise ConfigError(f"webhooks are signed: set {SECRET} to a secret shared with the receiver")
    found: list[Target] = [
        Webhook(_target_name("webhook", url), url, secret) for url in dict.fromkeys(webhooks)
    ]
    if mqtt is not None:
        parts = urlsplit(mqtt if "://" in mqtt else f"mqtt://{mqtt}")
        tls = parts.scheme == "mqtts"
        try:
            port = parts.port or (8883 if tls else 1883)
        except ValueError:
            raise ConfigError(f"{mqtt} names no port that exists") from None
        found.append(
            Mqtt(
                _target_name("mqtt", mqtt),
                parts.hostname or "localhost",
                port,
                parts.path.strip("/") or "arcid",
                os.environ.get(MQTT_USER),
                os.environ.get(MQTT_PASSWORD),
                tls,
            )
        )
    return found


def _target_name(kind: str, address: str) -> str:
    """The same for the same address, so that what waits is delivered after a restart."""
    digest = hashlib.sha256(address.encode(errors="surrogatepass")).hexdigest()
    return f"{kind}-{digest[:12]}"
