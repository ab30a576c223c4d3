"""Targets that cannot be reached, or not even be set up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from arcid.apps.telling import Deliverer, DeliveryFailed, Mqtt
from arcid.events import Outbox, Place, Sightings
from arcid.gallery import Gallery

pytest.importorskip("paho.mqtt.client")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def gallery(fresh: Path) -> Iterator[Gallery]:
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        ann = gallery.add_person("staff", "Ann")
        Sightings(gallery).person(
            "staff", Place("door", "door"), ann.id, NOW, cooldown_s=60, grounds={},
            targets=("broker",),
        )  # fmt: skip
        yield gallery


def test_certificates_that_cannot_be_read_are_a_failed_delivery(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise OSError("no certificates here")

    monkeypatch.setattr("ssl.SSLContext.load_default_certs", broken)
    target = Mqtt("broker", "127.0.0.1", 1, tls=True)
    event: Any = SimpleNamespace(collection="staff", kind="arrival")
    with pytest.raises(DeliveryFailed, match="OSError"):
        target.send(json.dumps({}).encode(), event, NOW)
    assert Deliverer(gallery, [target]).run_once() == 0
    ((_, attempts, _),) = Outbox(gallery).due("broker", datetime(2099, 1, 1, tzinfo=UTC))
    assert attempts == 1, "it is tried again, like any other failure"
