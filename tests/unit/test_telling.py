"""Telling others: who takes events out of outboxes, and mail through a real SMTP server."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from arcid.apps.telling import Deliverer, DeliveryFailed, Mail, Notice, targets_from
from arcid.errors import ConfigError, UsageError
from arcid.events import Duty, Event, Events, Outbox, Place, Sightings
from arcid.events.duties import holders
from arcid.events.outbox import forget, waiting
from arcid.events.tables import outbox
from arcid.gallery import Gallery

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DOOR = Place("door", "Door")


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        gallery.add_person("staff", "Ann Ärzte")
        yield gallery


def alert(gallery: Gallery, number: int = 0, **options: Any) -> Event:
    (person,) = gallery.people("staff")
    made = Events(gallery).write(
        "staff", "alert", (number,), DOOR, NOON + timedelta(seconds=number), person_id=person.id,
        grounds={"cosine": 0.71, "cosine_threshold": 0.4, "reason": "alike\nBcc: eve@example.com"},
        **options,
    )  # fmt: skip
    assert made is not None
    return made


class Receiver:
    """A target that notes what it is told, and by which deliverer's thread."""

    def __init__(self, name: str = "hr", takes_s: float = 0.0) -> None:
        self.name = name
        self.told: list[str] = []
        self._takes_s = takes_s

    def send(self, body: bytes, event: Event, now: datetime) -> None:
        time.sleep(self._takes_s)
        self.told.append(json.loads(body)["id"])


# who is told, and by whom


def test_a_process_subscribes_outboxes_to_all_it_writes(gallery: Gallery) -> None:
    Outbox(gallery).subscribe({"hr": None, "mail": {"alert"}})
    made = alert(gallery, targets=("own",))
    (person,) = gallery.people("staff")
    Sightings(gallery).person("staff", DOOR, person.id, NOON, cooldown_s=60, grounds={})
    Events(gallery).correct("staff", made.id, "void", actor="op")
    waiting = {name: found["waiting"] for name, found in Outbox(gallery).counts().items()}
    assert waiting == {"hr": 3, "mail": 2, "own": 2}, "who was told is told of corrections"


def test_of_two_deliverers_one_delivers_in_order_and_the_other_takes_over(
    gallery: Gallery, database_url: str
) -> None:
    made = [alert(gallery, number, targets=("hr",)).id for number in range(6)]
    receiver = Receiver(takes_s=0.01)
    first = Deliverer(gallery, [receiver])
    with Gallery.open(database_url) as other:
        second = Deliverer(other, [receiver])
        first.start()
        until(lambda: bool(receiver.told))
        second.start()
        until(lambda: len(receiver.told) == 6)
        assert receiver.told == made
        assert set(holders(gallery)) == {"telling:hr"}
        assert second.run_once() == 0
        first.stop()
        later = alert(gallery, 9, targets=("hr",)).id
        second_again = Deliverer(other, [receiver])
        second.stop()
        assert second_again.run_once() == 1
    assert receiver.told == [*made, later]
    assert holders(gallery) == {}


def test_what_was_not_told_before_a_crash_is_told_after_it(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [alert(gallery, number, targets=("hr",)).id for number in range(3)]
    receiver = Receiver()
    monkeypatch.setattr(receiver, "send", fail_after(receiver, 1))
    with pytest.raises(KeyboardInterrupt):
        Deliverer(gallery, [receiver]).run_once()
    assert receiver.told == made[:1]
    again = Receiver()
    assert Deliverer(gallery, [again]).run_once() == 2
    assert again.told == made[1:]


def fail_after(receiver: Receiver, count: int) -> Any:
    send = receiver.send

    def sending(body: bytes, event: Event, now: datetime) -> None:
        if len(receiver.told) == count:
            raise KeyboardInterrupt
        send(body, event, now)

    return sending


def test_those_that_wait_are_found_without_reading_what_was_told(fresh: Path) -> None:
    with Gallery.open(fresh) as gallery, gallery.database.read() as connection:
        asked: list[str] = []
        sa.event.listen(
            connection, "before_cursor_execute", lambda *call: asked.append(str(call[2]))
        )
        connection.execute(waiting("hr", 50))
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0]}", ("hr", 50, 0))
        assert "ix_outbox_waiting" in str(plan.all())


def test_what_was_told_long_ago_is_forgotten_and_what_waits_is_not(gallery: Gallery) -> None:
    def counted() -> dict[str, int]:
        return Outbox(gallery).counts().get("hr", {})

    now = datetime.now(UTC)
    made = [alert(gallery, number, targets=("hr",)) for number in range(2)]
    (first, *_), (second, *_) = Outbox(gallery).due("hr", now + timedelta(seconds=1))
    Outbox(gallery).delivered(first)
    Outbox(gallery).not_delivered(second, "gone", None)
    alert(gallery, 2, targets=("hr",))
    assert forget(gallery) == 0
    assert counted() == {"waiting": 1, "done": 1, "failed": 1}
    assert Outbox(gallery).forget(now + timedelta(minutes=1)) == 2
    assert counted() == {"waiting": 1, "done": 0, "failed": 0}
    assert all(Events(gallery).get(one.collection, one.id).id == one.id for one in made)


def test_a_target_that_hangs_keeps_no_other_waiting(gallery: Gallery) -> None:
    alert(gallery, targets=("slow", "fast"))
    slow, fast = Receiver("slow", takes_s=2), Receiver("fast")
    deliverer = Deliverer(gallery, [slow, fast])
    deliverer.start()
    until(lambda: bool(fast.told))
    assert not slow.told
    deliverer.stop()
    assert slow.told, "what is being sent is waited for"


class Failing(Receiver):
    """Raises what it is given, until it is None."""

    def __init__(self, fails: Exception | None = None) -> None:
        super().__init__()
        self.fails = fails

    def send(self, body: bytes, event: Event, now: datetime) -> None:
        if self.fails is not None:
            raise self.fails
        super().send(body, event, now)


def test_whatever_a_receiver_raises_is_a_failed_attempt(gallery: Gallery) -> None:
    made = [alert(gallery, number, targets=("hr",)).id for number in range(2)]
    receiver, now = Failing(), datetime.now(UTC)
    deliverer = Deliverer(gallery, [receiver])
    for fails in (OverflowError("port"), UnicodeEncodeError("ascii", "ä", 0, 1, "no"),
                  UsageError("no such address")):  # fmt: skip
        receiver.fails = fails
        assert deliverer.run_once(now) == deliverer.run_once(now) == 0
        now += timedelta(hours=1)
    with gallery.database.read() as connection:
        query = sa.select(outbox.c.attempts, outbox.c.last_error).order_by(outbox.c.id)
        first, second = connection.execute(query).all()
    assert first == (3, "no such address") and second.attempts == 0
    deliverer.notify(Notice("backup", "the disk is full", now))
    assert deliverer.run_once(now) == 0, "what the service says of itself fails alike"
    receiver.fails = None
    assert deliverer.run_once(now + timedelta(hours=1)) == 3
    assert receiver.told[1:] == made


def test_what_nobody_tried_to_deliver_for_days_is_not_given_up(gallery: Gallery) -> None:
    """The service was off from Friday to Tuesday, and the receiver was, too, for a while."""
    made = [alert(gallery, number, targets=("hr",)).id for number in range(3)]
    receiver, tuesday = Failing(DeliveryFailed("no answer")), datetime.now(UTC) + timedelta(days=4)
    deliverer = Deliverer(gallery, [receiver])
    for seconds in range(0, 40, 2):
        assert deliverer.run_once(tuesday + timedelta(seconds=seconds)) == 0
    assert Outbox(gallery).counts()["hr"] == {"waiting": 3, "done": 0, "failed": 0}
    receiver.fails = None
    assert deliverer.run_once(tuesday + timedelta(minutes=5)) == 3 and receiver.told == made


def test_a_receiver_is_given_up_after_days_of_trying(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcid.apps.telling.deliverer.GIVE_UP", timedelta(minutes=1))
    alert(gallery, targets=("hr",))
    receiver, start = Failing(DeliveryFailed("no answer")), datetime.now(UTC)
    deliverer = Deliverer(gallery, [receiver])

    def failed(hour: int) -> int:
        deliverer.run_once(start + timedelta(hours=hour))
        return Outbox(gallery).counts()["hr"]["failed"]

    assert not any(failed(hour) for hour in range(4)), "2, 4, 8 and 16 s were waited"
    deliverer = Deliverer(gallery, [receiver])  # what was tried before a restart counts
    assert [failed(hour) for hour in range(4, 7)] == [0, 1, 1], "after 62 s"
    alert(gallery, 1, targets=("hr",))
    receiver.fails = None
    deliverer.run_once(start + timedelta(hours=8))
    assert len(receiver.told) == 1, "and what comes later is told"


def test_what_the_service_says_of_itself_needs_no_outbox(gallery: Gallery) -> None:
    class Down(Receiver):
        def send(self, body: bytes, event: Any, now: datetime) -> None:
            if now < later:
                raise DeliveryFailed("not yet")
            self.told.append(json.loads(body)["problem"])

    first, then = Notice("backup", "the disk is full"), Notice("backup", None)
    later = first.at + timedelta(minutes=5)
    hr, mute = Down(), Down("mute")
    deliverer = Deliverer(gallery, [hr, mute])
    for notice in (first, then):
        deliverer.notify(notice, ["hr"])
    assert deliverer.run_once(first.at) == 0 and Outbox(gallery).counts() == {}
    for _ in range(3):
        deliverer.run_once(later + timedelta(seconds=1))
    assert hr.told == ["the disk is full", None] and mute.told == []
    forgotten = first.at - timedelta(days=4)
    deliverer.notify(Notice("backup", "old", forgotten))
    later = first.at + timedelta(days=9)
    assert deliverer.run_once(first.at) == deliverer.run_once(later) == 0, "given up"


def test_a_failed_task_is_mailed_in_plain_words() -> None:
    mail = Mail("mail", "127.0.0.1", 25, "arcid@example.com", ("ops@example.com",))
    sent = mail.message(Notice("backup", "the disk is full\nBcc: eve@example.com"), NOON)
    assert sent["Subject"] == "arcid: task backup failed" and sent["Bcc"] is None
    assert "Why: the disk is full Bcc: eve@example.com" in sent.get_content()
    assert mail.message(Notice("backup", None), NOON)["Subject"] == "arcid: task backup works again"


def test_a_duty_runs_out_and_is_lost_by_who_was_held_up(gallery: Gallery) -> None:
    one, two = (Duty(gallery, "night", lasts_s=0.3) for _ in range(2))
    assert one.mine() and one.mine()
    assert not two.mine()
    time.sleep(0.35)
    assert two.mine() and not one.mine()
    one.release()
    assert set(holders(gallery)) == {"night"}, "nobody gives back what is not theirs"
    two.release()
    assert one.mine() is False or holders(gallery)  # asks again only after a third of the lease
    time.sleep(0.11)
    assert one.mine()


def until(done: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# mail


class Post:
    """A mail server on this machine; ``refuse`` is what it answers instead of taking a message."""

    def __init__(self) -> None:
        self.letters: list[Envelope] = []
        self.refuse: str | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd calls it so
        if self.refuse:
            return self.refuse
        self.letters.append(envelope)
        return "250 OK"


def signed_in(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = (data.login, data.password) == (b"arcid", b"right")
    return AuthResult(success=right, handled=False)


@pytest.fixture
def post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Post, int]]:
    """A server that takes mail after STARTTLS and a login only, and is trusted."""
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    handler = Post()
    controller = Controller(
        handler, "localhost", free_port(), tls_context=context, require_starttls=True,
        auth_required=True, authenticator=signed_in,
    )  # fmt: skip
    controller.start()
    yield handler, controller.port
    controller.stop()


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip
    return certificate, secret


def mail(port: int, password: str = "right", **options: Any) -> Mail:
    return Mail(
        "mail", "localhost", port, "arcid@example.com", ("guard@example.com", "b@example.com"),
        username="arcid", password=password, **options,
    )  # fmt: skip


def test_an_event_is_mailed_in_plain_words(gallery: Gallery, post: tuple[Post, int]) -> None:
    handler, port = post
    made = alert(gallery, targets=("mail",))
    assert Deliverer(gallery, [mail(port)]).run_once() == 1
    (letter,) = handler.letters
    assert letter.rcpt_tos == ["guard@example.com", "b@example.com"]
    content = letter.original_content
    assert content is not None
    read: Any = message_from_bytes(content, policy=default)
    assert read["Subject"] == "Alert of a watchlist: Ann Ärzte, door"
    assert read["Bcc"] is None and made.id in read["Message-ID"]
    assert not read.is_multipart() and read.get_content_type() == "text/plain"
    words = read.get_content()
    assert "Who: Ann Ärzte" in words and "2026-03-02 12:00:00 UTC" in words
    assert "Cosine of the faces: 0.710 (at least 0.400 was asked for)" in words


def mailed(event: Event) -> tuple[str, str]:
    letter = mail(25).message(event, NOON)
    return letter["Subject"], letter.get_content()


def test_mail_says_what_became_of_something_and_nobody_who_is_not_meant(gallery: Gallery) -> None:
    events, made = Events(gallery), alert(gallery)
    confirmed = events.write(
        "staff", "alert", ("confirm",), DOOR, NOON, person_id=made.person_id, actor="Gus",
        grounds={"details": {"step": "confirm"}},
    )  # fmt: skip
    assert confirmed is not None
    subject, words = mailed(confirmed)
    assert subject == "Alert of a watchlist, confirmed: Ann Ärzte, door" and "By: Gus" in words
    dismissed, _ = events.correct("staff", made.id, "not_person", actor="Gus")
    subject, words = mailed(dismissed)
    assert subject == "Correction, it was not them: door" and "Who:" not in words
    assert f"about event {made.id}" in words
    grounds = {"reason": "cosine 0.7 is at or above 0.4", "details": {
        "outcome": "alarm", "reasons": [{"code": "held", "limit": 30}],
    }}  # fmt: skip
    forced = events.write("staff", "access", ("held",), DOOR, NOON, grounds=grounds)
    assert forced is not None
    subject, words = mailed(forced)
    assert subject == "Decision at a door, alarm: door"
    assert "Why: held" in words and "Who:" not in words and "cosine" not in words
    found = events.write("staff", "duplicate", ("run",), Place("", ""), NOON, grounds={})
    assert found is not None
    assert mailed(found)[0] == "Search for people enrolled twice: staff"
    gallery.delete_person("staff", made.person_id)
    assert mailed(events.get("staff", confirmed.id))[0].endswith("somebody since deleted, door")


def test_what_the_server_refuses_is_tried_again(gallery: Gallery, post: tuple[Post, int]) -> None:
    handler, port = post
    alert(gallery, targets=("mail",))
    start = datetime.now(UTC)
    handler.refuse = "451 later"
    assert Deliverer(gallery, [mail(port)]).run_once(start) == 0
    handler.refuse = None
    assert Deliverer(gallery, [mail(port)]).run_once(start + timedelta(seconds=1)) == 0
    assert Deliverer(gallery, [mail(port)]).run_once(start + timedelta(seconds=3)) == 1
    assert len(handler.letters) == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"password": "wrong"}, "answers 535"),
        ({"security": "tls"}, "no answer (SSLError)"),
    ],
)
def test_why_a_message_was_not_sent(
    gallery: Gallery, post: tuple[Post, int], options: dict[str, Any], why: str
) -> None:
    made = alert(gallery)
    with pytest.raises(DeliveryFailed) as caught:
        mail(post[1], **options).send(b"", made, NOON)
    assert why in str(caught.value)


def test_no_password_goes_to_a_server_without_encryption(gallery: Gallery) -> None:
    handler = Post()
    controller = Controller(handler, "localhost", free_port())
    controller.start()
    try:
        with pytest.raises(DeliveryFailed, match="no encryption"):
            mail(controller.port).send(b"", alert(gallery), NOON)
        with pytest.raises(ConfigError, match="without encryption"):
            mail(controller.port, security="none")
        (plain,) = targets_from(
            smtp=f"smtp+plain://localhost:{controller.port}", smtp_from="a@example.com",
            smtp_to=["b@example.com"],
        )  # fmt: skip
        plain.send(b"", alert(gallery, 1), NOON)
    finally:
        controller.stop()
    assert len(handler.letters) == 1


def test_a_server_that_is_silent_or_gone_is_a_failed_delivery(gallery: Gallery) -> None:
    made = alert(gallery)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:

        def hang_up() -> None:
            silent.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        port = silent.getsockname()[1]
        with pytest.raises(DeliveryFailed, match="no answer"):
            mail(port, timeout_s=2).send(b"", made, NOON)
    with pytest.raises(DeliveryFailed, match="no answer"):
        mail(port).send(b"", made, NOON)


def test_addresses_become_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCID_SMTP_USERNAME", "arcid")
    monkeypatch.setenv("ARCID_SMTP_PASSWORD", "right and secret")
    both: dict[str, Any] = {"smtp_from": "a@example.com", "smtp_to": ["b@example.com"]}
    (found,) = targets_from(smtp="smtps://mail.example.com", **both)
    assert isinstance(found, Mail)
    assert (found.security, found.port, found.username) == ("tls", 465, "arcid")
    assert "secret" not in repr(found)
    for wrong in ("mail.example.com", "http://mail.example.com", "smtp://a:b@mail.example.com"):
        with pytest.raises(ConfigError, match="ARCID_SMTP"):
            targets_from(smtp=wrong, **both)
    with pytest.raises(ConfigError, match="ARCID_SMTP_TO"):
        targets_from(smtp="smtp://mail.example.com", smtp_from="a@example.com")
    for sender in ("a", "a@example.com\nBcc: b@example.com"):
        with pytest.raises(ConfigError, match="example"):
            targets_from(
                smtp="smtp://mail.example.com", smtp_from=sender, smtp_to=["b@example.com"]
            )
    for wrong in ("smtp://[mail", "smtp://mail.example.com:70000"):
        with pytest.raises(ConfigError):
            targets_from(smtp=wrong, **both)
    monkeypatch.setenv("ARCID_SMTP_PASSWORD", "größer")
    with pytest.raises(ConfigError, match="ASCII"):
        targets_from(smtp="smtp://mail.example.com", **both)
