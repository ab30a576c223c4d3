"""``arcid webhooks``: a secret is told once, and a receiver can be tried."""

from __future__ import annotations

from typing import Any

from arcid import paths


def test_a_webhook_is_added_listed_changed_tried_and_deleted(cli: Any) -> None:
    url = "http://127.0.0.1:9/arcid?token=hidden"
    made = cli("webhooks", "add", "hr", url, "--kind", "arrival", "--json")
    assert made.code == 0, made.err
    hook, secret = made.json["webhook"], made.json["secret"]
    assert hook["kinds"] == ["arrival"] and hook["address"] == "http://127.0.0.1:9/arcid"
    listed = cli("webhooks", "list")
    assert "hr" in listed.out and "hidden" not in listed.out and secret not in listed.out
    changed = cli("webhooks", "change", "HR", "--every-kind", "--disabled", "--json")
    assert changed.json["webhook"]["kinds"] is None and not changed.json["webhook"]["enabled"]
    assert "secret: whsec_" in cli("webhooks", "rotate", hook["id"]).out
    tried = cli("webhooks", "test", "hr")
    assert tried.code == 1 and "no answer" in tried.out
    assert secret.encode() not in (paths.home_dir() / "gallery.db").read_bytes()
    assert cli("webhooks", "delete", "hr").code == 0
    assert cli("webhooks", "list", "--json").json == {"webhooks": []}


def test_what_cannot_be_is_said(cli: Any) -> None:
    assert cli("gallery", "create", "staff").code == 0
    wrong = cli("webhooks", "add", "hr", "https://a.example", "--kind", "fly")
    assert wrong.code == 2 and "arrival" in wrong.err
    assert cli("webhooks", "add", "hr", "ftp://a.example").code == 2
    assert cli("webhooks", "test", "hr").code == 5
