"""What pages are made of, without a browser: dialogs, actions, addresses, what rings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nicegui import Client, core, ui
from nicegui.element import Element
from nicegui.page import page

from arcid.server.console.pages import alerts
from arcid.server.console.pages.onboarding import link_of
from arcid.server.console.ui import forms
from arcid.server.console.ui.dialogs import confirm
from arcid.server.console.ui.widgets import action, once, say

Work = Callable[[Client, Element], Coroutine[Any, Any, None]]


class Context:
    """A session that may do everything."""

    async def allow(self, permission: str) -> None: ...


@pytest.fixture
def on_a_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Work], None]]:
    """Runs work on a page with a list."""
    pages: list[Client] = []

    async def run(work: Work) -> None:
        monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
        client = Client(page("/a-list"))
        pages.append(client)
        with client:
            found = ui.element("div")
        await work(client, found)

    yield lambda work: asyncio.run(run(work))
    for client in pages:
        Client.instances.pop(client.id, None)


def button_of(listed: Element) -> Element:
    listed.clear()
    with listed:
        return ui.element("button")


async def pressed(button: Element, handler: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """As NiceGUI does it: in the slot of the button."""
    slot = button.parent_slot
    assert slot is not None
    with slot:
        await handler()


def open_dialogs(client: Client) -> list[ui.dialog]:
    return [one for one in client.elements.values() if isinstance(one, ui.dialog)]


def test_a_dialog_outlives_the_list_that_it_was_asked_for_in(
    on_a_page: Callable[[Work], None],
) -> None:
    async def work(client: Client, listed: Element) -> None:
        told: list[str] = []

        @action(cast(Any, Context()), "doors")
        async def handler() -> None:
            if await confirm("Open?", "Now.", "Open"):
                told.append("opened")
                button_of(listed)
                say("opened")

        task = asyncio.create_task(pressed(button_of(listed), handler))
        await asyncio.sleep(0)
        button_of(listed)
        await asyncio.sleep(0.01)
        (dialog,) = open_dialogs(client)
        dialog.submit(True)
        await task
        assert told == ["opened"]
        assert open_dialogs(client) == []
        assert [kind for _, kind, _ in client.outbox.messages].count("notify") == 1

    on_a_page(work)


def test_who_leaves_the_page_has_not_answered(
    on_a_page: Callable[[Work], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def work(client: Client, listed: Element) -> None:
        answers: list[bool] = []

        async def handler() -> None:
            answers.append(await confirm("Erase?", "All.", "Erase"))

        task = asyncio.create_task(pressed(button_of(listed), handler))
        await asyncio.sleep(0)
        client.delete()
        await task
        assert answers == [False]

    on_a_page(work)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("address", "header"),
    [
        ("/console/people/ł?collection=a b", "/console/people/%C5%82?collection=a%20b"),
        ("https://id.example/end?a=%2Fb&c=d", "https://id.example/end?a=%2Fb&c=d"),
    ],
)
def test_a_page_goes_on_to_any_path(address: str, header: str) -> None:
    assert forms.on_the_way(address).headers["refresh"] == f"0; url={header}"


def test_a_page_that_loads_again_rings_for_what_came_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(ui, "run_javascript", rung.append)
    now = datetime.now(UTC)

    def alert(name: str, state: str, ago_s: float) -> Any:
        at = now - timedelta(seconds=ago_s)
        return SimpleNamespace(id=name, state=state, raised_at=at, list_name=name, camera="Door")

    desk = object.__new__(alerts.Desk)
    desk._known = None
    old = [alert("answered", "acknowledged", 5), alert("old", "new", 600)]
    desk._ring(old)
    assert rung == []
    desk._known = None
    fresh = [alert("fresh", "new", 60), *old]
    desk._ring(fresh)
    desk._ring(fresh)
    assert len(rung) == 1 and "fresh" in rung[0]
    desk._ring([alert("next", "new", 600), *fresh])
    assert len(rung) == 2 and "next" in rung[1]


@pytest.mark.parametrize(
    ("here", "public", "link"),
    [
        ("http://127.0.0.1:8000/console/", None, "http://127.0.0.1:8000/onboarding/#t"),
        ("http://127.0.0.1:8000/console/", "https://faces.example", "https://faces.example/onboarding/#t"),
        ("http://10.0.0.5/faces/console/", "https://faces.example", "https://faces.example/faces/onboarding/#t"),
        ("http://10.0.0.5:8000/console/", "http://localhost:8000", "http://10.0.0.5:8000/onboarding/#t"),
    ],
)  # fmt: skip
def test_an_applicants_link_is_at_the_public_address(
    here: str, public: str | None, link: str
) -> None:
    assert link_of(here, public, "t") == link


def test_what_is_clicked_twice_is_done_once() -> None:
    done: list[int] = []

    async def run() -> None:
        go = asyncio.Event()

        async def work() -> None:
            await go.wait()
            done.append(1)

        clicked = once(work)
        first = asyncio.ensure_future(clicked())
        await asyncio.sleep(0)
        await clicked()
        go.set()
        await first
        await clicked()

    asyncio.run(run())
    assert len(done) == 2
