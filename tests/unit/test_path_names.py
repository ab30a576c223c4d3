"""Names that addresses of the service are made of: what no step of a path holds is not given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from arcid.apps.access import Groups, Hours
from arcid.apps.watchlists import Terms, Watchlists
from arcid.errors import InputError
from arcid.gallery import Gallery, rules

TERMS = Terms(
    purpose="bans", legal_basis="house right", owner="Ada",
    expires_at=datetime.now(UTC) + timedelta(days=90),
)  # fmt: skip
MAKE: dict[str, Callable[[Gallery, str], object]] = {
    "collection": lambda gallery, name: gallery.create_collection(name),
    "rename": lambda gallery, name: gallery.update_collection("staff", new_name=name),
    "group": lambda gallery, name: Groups(gallery).add("staff", name),
    "schedule": lambda gallery, name: Hours(gallery).add("staff", name, "mon 07:00-19:00", "UTC"),
    "watchlist": lambda gallery, name: Watchlists(gallery).create(name, "staff", TERMS, actor="A"),
}


@pytest.fixture
def gallery(fresh: Path) -> Iterator[Gallery]:
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        yield gallery


@pytest.mark.parametrize("kind", MAKE)
def test_what_no_address_can_name_is_not_made(gallery: Gallery, kind: str) -> None:
    for name in ("R&D / Lab", "a\\b", ".", " .. "):
        with pytest.raises(InputError, match="neither / nor"):
            MAKE[kind](gallery, name)
    MAKE[kind](gallery, "R&D ... Lab %2F")


def test_what_was_named_before_goes_on(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = Watchlists(gallery)
    with monkeypatch.context() as patch:
        patch.setattr(rules, "path_name", rules.clean_name)
        for make in (MAKE["collection"], MAKE["group"], MAKE["schedule"]):
            make(gallery, "a/b")
        own = lists.create("a/b", "a/b", TERMS, actor="Ada")
    assert gallery.ensure_collection("A/B") is False
    assert gallery.update_collection("a/b", new_name="a/b", keep_crops=True).keep_crops
    assert lists.update(own.id, name="a/b", purpose="theft", actor="Ada").name == "a/b"
    Groups(gallery).delete("staff", "a/b")
    Hours(gallery).delete("staff", "a/b")
    assert gallery.update_collection("a/b", new_name="ab").name == "ab"
    gallery.delete_collection("ab")
