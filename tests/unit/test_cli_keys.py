"""``arcid keys``: a key is told once, and what is listed opens nothing."""

from __future__ import annotations

from typing import Any

from arcid import paths
from arcid.events import Audit
from arcid.gallery import Gallery


def test_a_key_is_made_listed_renewed_revoked_and_forgotten(cli: Any) -> None:
    assert cli("gallery", "create", "staff").code == 0
    made = cli("keys", "add", "turnstile", "--allow", "search,read", "--collection", "staff",
               "--days", "30", "--per-minute", "60", "--json")  # fmt: skip
    assert made.code == 0, made.err
    key, secret = made.json["key"], made.json["secret"]
    assert secret.startswith(key["prefix"]) and key["verbs"] == ["read", "search"]
    assert (key["state"], key["collections"], key["per_minute"]) == ("valid", ["staff"], 60)
    listed = cli("keys", "list")
    assert "turnstile" in listed.out and "never" in listed.out and secret not in listed.out
    renewed = cli("keys", "rotate", "TURNSTILE", "--overlap-hours", "0", "--json")
    assert renewed.json["secret"] != secret and renewed.json["key"]["id"] == key["id"]
    assert "key: arcid_" in cli("keys", "rotate", key["id"]).out
    assert cli("keys", "revoke", "turnstile").code == 0
    assert cli("keys", "list", "--json").json["keys"][0]["state"] == "revoked"
    assert cli("keys", "rotate", "turnstile").code == 2
    with Gallery.open(paths.database_url()) as gallery:
        verbs = [entry.verb for entry in Audit(gallery).find(verb="key")]
        assert verbs == ["key.revoke", "key.rotate", "key.rotate", "key.create"]
        stored = str(gallery.database.path.read_bytes())
    assert secret not in stored and renewed.json["secret"] not in stored
    assert cli("keys", "delete", "turnstile").code == 0
    assert cli("keys", "list", "--json").json["keys"] == []


def test_what_cannot_be_is_said(cli: Any) -> None:
    assert cli("gallery", "create", "staff").code == 0
    wrong = cli("keys", "add", "door", "--allow", "fly")
    assert wrong.code == 2 and "vectors" in wrong.err
    assert cli("keys", "add", "door").code == 2
    assert cli("keys", "add", "door", "--allow", "read", "--collection", "none").code == 5
    assert cli("keys", "revoke", "door").code == 5
