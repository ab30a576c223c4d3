"""Who is told of what happens."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from arcid.server.settings.parsing import Listed


class Told(BaseSettings):
    """Webhooks, a broker, a mail server."""

    webhooks: Listed = Field(
        (),
        repr=False,
        description="Addresses that every event is posted to, separated by commas; signed with "
        "ARCID_WEBHOOK_SECRET.",
    )
    mqtt: str | None = Field(
        None, repr=False, description="Broker that every event is published at: HOST:PORT or a URL."
    )
    home_assistant: str | None = Field(
        None,
        repr=False,
        description="Broker where Home Assistant finds cameras, how many are present and alerts: "
        "mqtt://HOST:1883/TOPIC; with ?names=1 it is told names.",
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
        ("alert", "service"),
        description="Kinds of events that are mailed, separated by commas; service: a backup or "
        "another task of the service failed, or works again.",
    )
