"""Whom the service tells of what it writes, from its settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from arcid.apps.telling import HomeAssistant, Mail, Target, home_assistant_from, targets_from
from arcid.apps.watchlists import Alerts
from arcid.errors import ConfigError
from arcid.events import APPS, ATTENDANCE, Outbox
from arcid.gallery import Gallery
from arcid.server.settings import Settings


def told_by(settings: Settings) -> list[Target]:
    """Raises ``ConfigError``, ``UsageError``, ``MissingExtra``."""
    known = (*ATTENDANCE, *APPS)
    for kind in settings.smtp_events:
        if kind not in known:
            raise ConfigError(f"ARCID_SMTP_EVENTS: {kind!r} is no kind; use {', '.join(known)}")
    found = targets_from(
        settings.webhooks, settings.mqtt, settings.smtp, settings.smtp_from, settings.smtp_to
    )
    if settings.home_assistant is not None:
        found.append(home_assistant_from(settings.home_assistant, _open_alerts))
    return found


def subscribe(gallery: Gallery, settings: Settings, targets: Sequence[Target]) -> None:
    """Put whatever is written through this gallery in their outboxes; mail takes its kinds."""
    outboxes: Mapping[str, Collection[str] | None] = {
        target.name: settings.smtp_events
        if isinstance(target, Mail)
        else target.kinds
        if isinstance(target, HomeAssistant)
        else None
        for target in targets
    }
    Outbox(gallery).subscribe(outboxes)


def _open_alerts(gallery: Gallery) -> int:
    return len(Alerts(gallery).find(states={"new"}, levels={"alert"}, limit=1000))
