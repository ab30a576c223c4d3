"""Whom the service tells of what it writes, from its settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from arcid.apps.telling import (
    Deliverer,
    HomeAssistant,
    Mail,
    Notice,
    Target,
    home_assistant_from,
    targets_from,
)
from arcid.apps.watchlists import Alerts
from arcid.errors import ConfigError
from arcid.events import APPS, ATTENDANCE, Outbox
from arcid.gallery import Gallery
from arcid.server.settings import Settings


def told_by(settings: Settings) -> list[Target]:
    """Raises ``ConfigError``, ``UsageError``, ``MissingExtra``."""
    known = (*ATTENDANCE, *APPS, "service")
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
    """Put whatever is written through this gallery in their outboxes."""
    Outbox(gallery).subscribe({target.name: _kinds(target, settings) for target in targets})


def notify(
    deliverer: Deliverer, settings: Settings, targets: Sequence[Target]
) -> Callable[[str, str | None], None]:
    """What housekeeping tells of its tasks."""
    asked = ((target.name, _kinds(target, settings)) for target in targets)
    names = [name for name, kinds in asked if kinds is None or "service" in kinds]
    return lambda task, problem: deliverer.notify(Notice(task, problem), names)


def _kinds(target: Target, settings: Settings) -> Collection[str] | None:
    """Kinds of events that a target is told; None: all."""
    if isinstance(target, Mail):
        return settings.smtp_events
    return target.kinds if isinstance(target, HomeAssistant) else None


def _open_alerts(gallery: Gallery) -> int:
    return len(Alerts(gallery).find(states={"new"}, levels={"alert"}, limit=1000))
