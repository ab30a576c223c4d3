"""Telling others what was written: webhooks, MQTT and mail, from the outboxes of events.

    Outbox(gallery).subscribe({"hr": None})            this process puts every event in it
    Deliverer(gallery, [Webhook("hr", url, secret)]).start()      and somebody takes them out

An event is put in outboxes by the transaction that writes it. Delivery is at least once and in
order; receivers drop repeats by ``id``, and of a webhook check the signature (``check_signature``).
"""

from __future__ import annotations

from arcid.apps.telling.configured import home_assistant_from, targets_from
from arcid.apps.telling.deliverer import Deliverer
from arcid.apps.telling.home_assistant import HomeAssistant
from arcid.apps.telling.hooks import Hook, Hooks
from arcid.apps.telling.mail import Mail
from arcid.apps.telling.mqtt import Mqtt
from arcid.apps.telling.notices import Notice
from arcid.apps.telling.target import DeliveryFailed, Target
from arcid.apps.telling.webhook import Webhook, check_signature

__all__ = [
    "Deliverer",
    "DeliveryFailed",
    "HomeAssistant",
    "Hook",
    "Hooks",
    "Mail",
    "Mqtt",
    "Notice",
    "Target",
    "Webhook",
    "check_signature",
    "home_assistant_from",
    "targets_from",
]
