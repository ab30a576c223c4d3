"""Whom the service tells of what it writes, from its settings and from the gallery."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from arcid.apps.telling import (
    Deliverer,
    HomeAssistant,
    Hook,
    Hooks,
    Mail,
    Notice,
    Target,
    home_assistant_from,
    targets_from,
)
from arcid.apps.telling.hooks import KINDS, SERVICE
from arcid.apps.watchlists import Alerts
from arcid.errors import ConfigError
from arcid.events import Outbox
from arcid.gallery import Gallery
from arcid.server.settings import Settings


def told_by(settings: Settings) -> list[Target]:
    """Raises ``ConfigError``, ``UsageError``, ``MissingExtra``."""
    known = KINDS
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
    deliverer: Deliverer, settings: Settings, targets: Sequence[Target], hooked: Hooked
) -> Callable[[str, str | None], None]:
    """What housekeeping tells of its tasks."""
    asked = ((target.name, _kinds(target, settings)) for target in targets)
    names = [name for name, kinds in asked if kinds is None or SERVICE in kinds]

    def tell(task: str, problem: str | None) -> None:
        notice = Notice(task, problem)
        deliverer.notify(notice, names)
        hooked.notify(notice)

    return tell


def _kinds(target: Target, settings: Settings) -> Collection[str] | None:
    """Kinds of events that a target is told; None: all."""
    if isinstance(target, Mail):
        return settings.smtp_events
    return target.kinds if isinstance(target, HomeAssistant) else None


def _open_alerts(gallery: Gallery) -> int:
    return len(Alerts(gallery).find(states={"new"}, levels={"alert"}, limit=1000))


class Hooked:
    """Delivers to the stored webhooks, and follows what changes there; ``follow`` by one thread."""

    def __init__(self, gallery: Gallery, folder: Path) -> None:
        self.hooks = Hooks(gallery, folder)
        self._gallery = gallery
        self._running: dict[str, tuple[Hook, Deliverer]] = {}

    def follow(self, gallery: Gallery) -> None:
        """Begin with those that are new, end with those that are gone, both where one changed."""
        wanted = {hook.id: hook for hook in self.hooks.enabled()}
        for uid, (hook, deliverer) in list(self._running.items()):
            if wanted.get(uid) != hook:
                del self._running[uid]
                deliverer.stop()
        for uid, hook in wanted.items():
            if uid not in self._running:
                deliverer = Deliverer(self._gallery, [hook.target])
                self._running[uid] = hook, deliverer
                deliverer.start()

    def notify(self, notice: Notice) -> None:
        """Tell those that take what the service says of itself."""
        for hook, deliverer in list(self._running.values()):
            if hook.kinds is None or SERVICE in hook.kinds:
                deliverer.notify(notice, [hook.target.name])

    def close(self) -> None:
        for _, deliverer in self._running.values():
            deliverer.stop()
