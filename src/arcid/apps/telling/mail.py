"""Mailing events in plain words, without pictures, through an SMTP server."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Literal

from arcid import addresses
from arcid.addresses import AddressRefused
from arcid.apps.telling.notices import Notice
from arcid.apps.telling.target import DeliveryFailed
from arcid.errors import ConfigError
from arcid.events import Event

log = logging.getLogger(__name__)
Security = Literal["starttls", "tls", "none"]
HAPPENED = {
    "arrival": "Arrived",
    "departure": "Left",
    "unknown": "Unknown visitor",
    "review": "Not certain who",
    "spoof": "Suspected picture of a face",
    "alert": "Alert of a watchlist",
    "access": "Decision at a door",
    "onboarding": "Identity check",
    "duplicate": "Search for people enrolled twice",
    "correction": "Correction",
}
#: What somebody or a door made of it, by what ``details`` or a correction's ``action`` says.
BECAME = {
    "confirm": "confirmed",
    "escalate": "escalated",
    "void": "taken back",
    "reassign": "it was somebody else",
    "retime": "it was at another time",
    "not_person": "it was not them",
}
NOBODY = ("unknown", "spoof")  # whose name is missing since nobody knows it


@dataclass(frozen=True, slots=True)
class Mail:
    """Sends a message an event. ``starttls`` and ``tls`` check the server's certificate."""

    name: str
    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    security: Security = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 20.0

    def __post_init__(self) -> None:
        addresses.refuse_literal(self.host)
        named = (self.sender, *self.recipients)
        if not self.recipients or not all("@" in one and one.isprintable() for one in named):
            raise ConfigError("mail needs a sender and recipients, each like name@example.com")
        if self.username is not None and self.security == "none":
            raise ConfigError("a password is not sent to a mail server without encryption")
        if not f"{self.username or ''}{self.password or ''}".isascii():
            raise ConfigError("mail servers take a user and a password of ASCII letters alone")

    def send(self, body: bytes, event: Event | Notice, now: datetime) -> None:
        message = self.message(event, now)
        try:
            with self._connected() as server:
                if self.security == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self.username is not None:
                    server.login(self.username, self.password or "")
                refused = server.send_message(message)
        except AddressRefused as error:
            raise DeliveryFailed(error.message) from None
        except smtplib.SMTPNotSupportedError:
            raise DeliveryFailed(
                "the mail server offers no encryption, no login or no addresses beyond ASCII"
            ) from None
        except smtplib.SMTPRecipientsRefused:
            raise DeliveryFailed("the mail server refuses every recipient") from None
        except smtplib.SMTPResponseException as error:
            raise DeliveryFailed(f"the mail server answers {error.smtp_code}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise DeliveryFailed(f"no answer ({type(error).__name__})") from None
        if refused:
            log.warning("recipients refused", extra={"target": self.name, "count": len(refused)})

    def message(self, event: Event | Notice, now: datetime) -> EmailMessage:
        """What is sent; the same event has the same Message-ID."""
        subject, words = _of_service(event) if isinstance(event, Notice) else _of_event(event)
        made = EmailMessage(policy=SMTP)
        made["From"], made["To"] = self.sender, ", ".join(self.recipients)
        made["Subject"] = subject[:200]
        made["Date"] = format_datetime(now)
        made["Message-ID"] = f"<{event.id}@arcid.invalid>"
        made["Auto-Submitted"] = "auto-generated"
        made.set_content("\n".join(words))
        return made

    def _connected(self) -> smtplib.SMTP:
        if self.security == "tls":
            context = ssl.create_default_context()
            return _Secure(self.host, self.port, timeout=self.timeout_s, context=context)
        return _Plain(self.host, self.port, timeout=self.timeout_s)


class _Plain(smtplib.SMTP):
    """To an address that was looked at."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return addresses.connect((host, port), timeout)


class _Secure(smtplib.SMTP_SSL):
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self.context.wrap_socket(
            addresses.connect((host, port), timeout), server_hostname=host
        )


def _of_service(notice: Notice) -> tuple[str, list[str]]:
    """Subject and lines."""
    said = [f"arcid: {notice.words}.", "", f"When: {notice.at:%Y-%m-%d %H:%M:%S} UTC"]
    if notice.problem is not None:
        said.append(f"Why: {_line(notice.problem)}")
        said.append("It is tried again by itself; the page System says how it is doing.")
    return f"arcid: {notice.words}", said


def _of_event(event: Event) -> tuple[str, list[str]]:
    """Subject and lines."""
    what, who = _what(event), _who(event)
    where = _line(event.place or event.camera or event.collection)
    return f"{what}: {', '.join(filter(None, (who, where)))}", _words(event, what, who, where)


def _what(event: Event) -> str:
    details: Any = event.grounds.get("details") or {}
    became = event.action or details.get("outcome") or details.get("step")
    if became in (None, "raise"):
        return HAPPENED[event.kind]
    return f"{HAPPENED[event.kind]}, {BECAME.get(became, became)}"


def _who(event: Event) -> str:
    """Empty where an event is of nobody in particular, or does not say whose it was."""
    if event.person_id is not None:
        return _line(event.name or "somebody since deleted")
    return "nobody known" if event.kind in NOBODY else ""


def _words(event: Event, what: str, who: str, where: str) -> list[str]:
    grounds: Any = event.grounds
    said = [f"{what}.", "", *([f"Who: {who}"] if who else []), f"Where: {where}"]
    said.append(f"When: {event.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
    said.append(f"Collection: {_line(event.collection)}")
    if event.actor:
        said.append(f"By: {_line(event.actor)}")
    if why := _why(grounds):
        said.append(f"Why: {_line(why)}")
    if isinstance(grounds.get("cosine"), (int, float)):
        asked = grounds.get("cosine_threshold")
        limit = f" (at least {asked:.3f} was asked for)" if isinstance(asked, (int, float)) else ""
        said.append(f"Cosine of the faces: {grounds['cosine']:.3f}{limit}")
    if event.flagged:
        said.append("The face may have been a picture.")
    if event.note:
        said.append(f"Note: {_line(event.note)}")
    said += ["", "A comparison of faces can be wrong: look at the faces in arcid before you act."]
    about = f", about event {event.about_id}" if event.about_id else ""
    return [*said, f"Event {event.id}{about}"]


def _why(grounds: Any) -> str:
    """A door has reasons beside the face's decision; they count."""
    reasons = (grounds.get("details") or {}).get("reasons") or ()
    codes = [one["code"].replace("_", " ") for one in reasons if isinstance(one, dict)]
    return ", ".join(codes) or str(grounds.get("reason") or "")


def _line(text: str) -> str:
    return " ".join(text.split())
