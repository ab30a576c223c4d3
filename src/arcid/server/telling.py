"""Whom the service tells of what it writes, from its settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from arcid.apps.telling import Mail, Target, targets_from
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
    return targets_from(
        settings.webhooks, settings.mqtt, settings.smtp, settings.smtp_from, settings.smtp_to
    )


def subscribe(gallery: Gallery, settings: Settings, targets: Sequence[Target]) -> None:
    """Put whatever is written through this gallery in their outboxes; mail takes its kinds."""
    outboxes: Mapping[str, Collection[str] | None] = {
        target.name: settings.smtp_events if isinstance(target, Mail) else None
        for target in targets
    }
    Outbox(gallery).subscribe(outboxes)
