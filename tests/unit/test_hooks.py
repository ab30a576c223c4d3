"""Stored webhooks: what is kept of them, who is told of what, and what became of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from arcid.addresses import AddressRefused
from arcid.apps.telling import Deliverer, DeliveryFailed, Hooks
from arcid.errors import AlreadyExists, SealBroken, UsageError, WebhookNotFound
from arcid.events import Audit, Event, Events, Place
from arcid.events.tables import webhooks
from arcid.gallery import Gallery

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
URL = "https://hr.example/arcid?token=hidden"


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        yield gallery


@pytest.fixture
def hooks(gallery: Gallery, tmp_path: Path) -> Hooks:
    return Hooks(gallery, tmp_path / "home")


def enter(gallery: Gallery, kind: str = "onboarding", key: str = "1") -> None:
    """Written through a gallery that nobody told of any webhook."""
    place = Place("door", "Door")
    Events(gallery).write("staff", kind, (key,), place, AT, grounds={})


def test_it_is_told_once_and_kept_sealed(gallery: Gallery, hooks: Hooks) -> None:
    made, secret = hooks.add("HR", URL, kinds=["arrival", "alert"])
    assert secret.startswith("whsec_") and len(secret) > 40
    assert made.kinds == ("alert", "arrival") or made.kinds == ("arrival", "alert")
    assert made.address == "https://hr.example/arcid" and made.url == URL
    for told in (repr(made), str(made.to_dict())):
        assert secret not in told and "hidden" not in told
    with gallery.database.read() as connection:
        stored = str(connection.execute(sa.select(webhooks)).mappings().one())
    assert secret not in stored and "hidden" not in stored
    assert hooks.all() == [made] and hooks.get("hr") == hooks.get(made.id) == made
    assert made.secret == secret and made.target.name == f"webhook-{made.id}"


def test_changes_keep_what_they_do_not_name(hooks: Hooks, gallery: Gallery) -> None:
    made, secret = hooks.add("HR", URL, kinds=["arrival"])
    moved = hooks.change(made.id, url="https://new.example/x")
    assert (moved.url, moved.secret, moved.kinds) == ("https://new.example/x", secret, ("arrival",))
    assert hooks.change("hr", every_kind=True).kinds is None
    assert hooks.change("hr", name="Staff office").name == "Staff office"
    assert hooks.change(made.id, enabled=False).enabled is False
    renewed, other = hooks.rotate(made.id)
    assert other != secret and renewed.secret == other and renewed.url == "https://new.example/x"
    own = "a secret of the receiver's"
    assert hooks.rotate(made.id, secret=own)[1] == own
    hooks.delete(made.id)
    with pytest.raises(WebhookNotFound):
        hooks.get(made.id)
    found = [row.verb for row in Audit(gallery).find(subject=f"webhook:{made.id}")]
    assert found == ["webhook.delete", "webhook.rotate", "webhook.rotate", *["webhook.change"] * 4,
                     "webhook.create"]  # fmt: skip


def test_what_is_no_webhook(hooks: Hooks) -> None:
    hooks.add("HR", URL)
    with pytest.raises(AlreadyExists):
        hooks.add("hr", URL)
    for bad in ("ftp://a.example", "https://", "hr.example", "https://u:p@a.example/",
                "https://hr.example/ärzte", "https://ärzte.example/", "https://hr.example/a b",
                "https://hr.example:70000/", "https://hr.example:x/", "https://[hr/"):  # fmt: skip
        with pytest.raises(UsageError):
            hooks.add("B", bad)
    with pytest.raises(AddressRefused):
        hooks.add("B", "http://169.254.169.254/")
    for kinds in (["nothing"], []):
        with pytest.raises(UsageError, match="kinds of events"):
            hooks.add("B", URL, kinds=kinds)
    with pytest.raises(UsageError, match="16"):
        hooks.add("B", URL, secret="short")
    assert len(hooks.all()) == 1


def test_events_of_its_kinds_wait_for_it_whoever_writes_them(
    gallery: Gallery, hooks: Hooks
) -> None:
    every, _ = hooks.add("every", URL)
    some, _ = hooks.add("some", URL, kinds=["arrival"])
    off, _ = hooks.add("off", URL, enabled=False)
    enter(gallery)
    counts = {hook.name: (hook.waiting, hook.done, hook.failed) for hook in hooks.all()}
    assert counts == {"every": (1, 0, 0), "some": (0, 0, 0), "off": (0, 0, 0)}

    class Receiver:
        name = every.target.name
        told: list[str] = []  # noqa: RUF012
        well = False

        def send(self, body: bytes, event: Event, now: datetime) -> None:
            if not self.well:
                raise DeliveryFailed("the receiver answers 503", 503)
            self.told.append(event.kind)

    receiver = Receiver()
    assert Deliverer(gallery, [receiver]).run_once() == 0
    (delivery,) = hooks.deliveries("every")
    assert (delivery.state, delivery.attempts) == ("waiting", 1)
    assert delivery.problem == "the receiver answers 503" and delivery.next_at is not None
    receiver.well = True
    assert Deliverer(gallery, [receiver]).run_once(datetime(2100, 1, 1, tzinfo=UTC)) == 1
    (delivery,) = hooks.deliveries("every")
    assert (delivery.state, delivery.attempts, delivery.problem) == ("done", 2, None)
    assert receiver.told == ["onboarding"] and hooks.get("every").done == 1
    enter(gallery, key="2")
    assert [one.state for one in hooks.deliveries("every")] == ["waiting", "done"]
    hooks.delete("every")
    enter(gallery, key="3")
    assert hooks.deliveries("some") == [] and some.id != off.id


def test_an_address_that_is_no_longer_taken_is_told_and_stops_no_other(
    gallery: Gallery, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_ALLOW_LINK_LOCAL", "1")
    made, _ = hooks.add("HR", "http://169.254.1.1/")
    monkeypatch.delenv("ARCID_ALLOW_LINK_LOCAL")
    enter(gallery)
    assert Deliverer(gallery, [hooks.get(made.id).target]).run_once() == 0
    (delivery,) = hooks.deliveries(made.id)
    assert (delivery.attempts, delivery.state) == (1, "waiting")
    assert "link-local" in str(delivery.problem)
    assert "link-local" in str(hooks.test(made.id).problem)


def test_another_key_opens_nothing_and_loses_nothing(
    gallery: Gallery, hooks: Hooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, secret = hooks.add("HR", URL)
    elsewhere = Hooks(gallery, tmp_path / "other")
    (locked,) = elsewhere.all()
    assert locked.to_dict()["locked"] is True and locked.url == locked.secret == ""
    elsewhere.add("second", URL)  # makes a key there
    assert elsewhere.get(made.id).to_dict()["locked"] is True
    enter(gallery)
    assert Deliverer(gallery, [elsewhere.get(made.id).target]).run_once() == 0
    monkeypatch.setattr("arcid.apps.telling.deliverer.GIVE_UP", timedelta(minutes=1))
    waiting = Deliverer(gallery, [elsewhere.get(made.id).target])
    for hour in range(1, 10):
        waiting.run_once(datetime.now(UTC) + timedelta(hours=hour))
    (delivery,) = elsewhere.deliveries(made.id)
    assert (delivery.state, delivery.attempts) == ("waiting", 0)
    assert "webhooks.key" in str(delivery.problem)
    tried = elsewhere.test(made.id)
    assert not tried.delivered and "webhooks.key" in str(tried.problem)
    for change in (lambda: elsewhere.change(made.id, url=URL), lambda: elsewhere.rotate(made.id)):
        with pytest.raises(SealBroken):
            change()
    assert elsewhere.change(made.id, name="renamed").name == "renamed"
    assert hooks.get(made.id).secret == secret
    shutil.rmtree(tmp_path / "other")
