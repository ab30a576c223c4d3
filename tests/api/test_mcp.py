"""What an assistant may ask of a service, by the protocol's own client."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from tests.serving import Client as Service
from tests.serving import running, until

from arcid.cli import app
from arcid.cli.output import run_command
from arcid.client import Client as Arcid
from arcid.events import Place, Sightings
from arcid.mcp import Desk, make_server
from arcid.server.settings import Settings

pytestmark = pytest.mark.data
BOOT = "correct-horse-battery"
READING = {"list_collections", "search_photo", "verify_photos", "who_is_present", "day_sheet",
           "list_events", "explain_event", "list_reviews"}  # fmt: skip
WRITING = {"enrol_photo", "answer_review", "undo_review", "not_this_person"}


@pytest.fixture(scope="module")
def service(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    database = tmp_path_factory.mktemp("mcp") / "gallery.db"
    with running(Settings.load(database=str(database), api_keys=BOOT), pipeline, None) as service:
        yield service


@pytest.fixture(scope="module")
def url(service: Service) -> str:
    return str(service.base_url)


@pytest.fixture(scope="module")
def folder(
    service: Service,
    url: str,
    photo: Callable[[str], bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Photos, and a collection with Ann and her arrival."""
    folder = tmp_path_factory.mktemp("photos")
    for number in (1, 2, 4, 13):
        (folder / f"{number}.jpg").write_bytes(photo(f"deepface-pairs/img{number}.jpg"))
    with Arcid(url, key=BOOT) as arcid:
        arcid.create_collection("staff")
        ann = arcid.enrol("staff", "Ann", [folder / "1.jpg", folder / "2.jpg"]).person
    Sightings(service.gallery).person(
        "staff", Place("door", "door"), ann.id, datetime.now(UTC), cooldown_s=60,
        grounds={"cosine": 0.7},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def reader(url: str) -> str:
    """A key that reads and searches."""
    with Arcid(url, key=BOOT) as arcid:
        return arcid.add_key("assistant", verbs=["read", "search"]).secret


def asked(server: Any, questions: Callable[[Client], Awaitable[Any]]) -> Any:
    async def all_of_them() -> Any:
        async with Client(server) as client:
            return await questions(client)

    return asyncio.run(all_of_them())


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    found = await client.call_tool(tool, arguments)
    assert not found.is_error, found.content
    return found.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    found = await client.call_tool(tool, arguments)
    assert found.is_error
    return str(found.content[0].text)


def test_an_assistant_asks_and_the_audit_names_its_key(
    url: str, folder: Path, reader: str, service: Service
) -> None:
    async def questions(client: Client) -> None:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == READING
        assert all(tool.annotations.read_only_hint and tool.description for tool in tools)
        (staff,) = (await call(client, "list_collections"))["collections"]
        assert (staff["name"], staff["people"]) == ("staff", 1)
        by_path = {"path": str(folder / "4.jpg")}
        (face,) = (await call(client, "search_photo", collection="staff", photo=by_path))["faces"]
        assert (face["decision"]["outcome"], face["candidates"][0]["name"]) == ("match", "Ann")
        by_bytes = {"base64": base64.encodebytes((folder / "13.jpg").read_bytes()).decode()}
        verified = await call(client, "verify_photos", photo_a=by_path, photo_b=by_bytes)
        assert (verified["outcome"], verified["target_fmr"]) == ("no_match", 1e-4)
        (here,) = (await call(client, "who_is_present", collection="staff"))["present"]
        assert here["name"] == "Ann"
        (event,) = (await call(client, "list_events", collection="staff"))["events"]
        why = await call(client, "explain_event", collection="staff", event_id=event["id"])
        assert why["event"]["name"] == "Ann"
        day = await call(client, "day_sheet", collection="staff", day=event["at"][:10], zone="UTC")
        assert [row["name"] for row in day["rows"]] == ["Ann"]
        assert (await call(client, "list_reviews", collection="staff"))["reviews"] == []

    desk = Desk(url, reader, (folder,))
    asked(make_server(desk), questions)
    assert reader not in repr(desk)
    with Arcid(url, key=BOOT) as arcid:
        until(lambda: "search" in {row.verb.partition(".")[0] for row in arcid.iter_audit()
                                   if row.actor.startswith("key:")})  # fmt: skip


def test_refusals_are_words_that_help(url: str, folder: Path, reader: str) -> None:
    (folder / "out.jpg").symlink_to("/etc/hostname")

    async def questions(client: Client) -> None:
        for path in ("/etc/hostname", str(folder / ".." / "x.jpg"), str(folder / "out.jpg")):
            words = await refused(client, "search_photo", collection="staff", photo={"path": path})
            assert "below these folders only" in words
        photo = {"path": str(folder / "1.jpg")}
        words = await refused(client, "search_photo", collection="guests", photo=photo)
        assert "collection_not_found" in words
        for odd in ({}, photo | {"base64": "aGFsbG8="}):
            words = await refused(client, "search_photo", collection="staff", photo=odd)
            assert "either the path or the base64" in words
        odd = {"base64": "~"}
        words = await refused(client, "search_photo", collection="staff", photo=odd)
        assert "no base64" in words
        words = await refused(client, "enrol_photo", collection="staff", name="Eve", photo=photo)
        assert "enrol_photo" in words

    asked(make_server(Desk(url, reader, (folder,))), questions)

    async def without_scope(client: Client) -> str:
        return await refused(client, "enrol_photo", collection="staff", name="Eve",
                             photo={"path": str(folder / "13.jpg")})  # fmt: skip

    words = asked(make_server(Desk(url, reader, (folder,)), writes=True), without_scope)
    assert "scope_missing" in words
    with Arcid(url, key=BOOT) as arcid:
        assert [person.name for person in arcid.iter_people("staff")] == ["Ann"]

    async def gone(client: Client) -> str:
        return await refused(client, "list_collections")

    nowhere = Desk("http://127.0.0.1:9", options={"retries": 0})
    assert "no answer of http://127.0.0.1:9" in asked(make_server(nowhere), gone)


def test_with_leave_it_writes_what_can_be_taken_back(url: str, folder: Path) -> None:
    async def questions(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == READING | WRITING
        assert not any(tools[name].annotations.read_only_hint for name in WRITING)
        made = await call(client, "enrol_photo", collection="guests", name="Ben",
                          photo={"path": str(folder / "13.jpg")})  # fmt: skip
        assert made["person"]["faces"] == 1
        (event,) = (await call(client, "list_events", collection="staff"))["events"]
        wrong = await call(client, "not_this_person", collection="staff", event_id=event["id"],
                           note="a twin")  # fmt: skip
        assert wrong["event"]["id"] == event["id"]
        assert (await call(client, "who_is_present", collection="staff"))["present"] == []

    with Arcid(url, key=BOOT) as arcid:
        arcid.create_collection("guests")
        asked(make_server(Desk(url, BOOT, (folder,)), writes=True), questions)
        (correction, *_) = arcid.list_events("staff", voided=True).events
        assert correction


def environment(**more: str) -> dict[str, str]:
    """Of a program whose output is kept until it is full, as a pipe's is."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ARCID_")} | more
    kept.pop("PYTHONUNBUFFERED", None)
    return kept


def test_it_runs_as_a_program_that_an_assistant_starts(url: str, reader: str) -> None:
    async def questions(client: Client) -> Any:
        return (await call(client, "list_collections"))["collections"]

    program = StdioServerParameters(
        command=sys.executable,
        args=["-m", "arcid", "mcp", "--url", url],
        env=environment(ARCID_API_KEY=reader),
    )
    assert "staff" in {one["name"] for one in asked(program, questions)}


def test_over_http_each_caller_shows_a_key(url: str, reader: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = [sys.executable, "-m", "arcid", "mcp", "--url", url, "--http", str(port), "--json"]
    with subprocess.Popen(
        program, env=environment(ARCID_API_KEY=BOOT), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())["url"]
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                try:
                    httpx.get(address)
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)

            async def keyless(client: Client) -> str:
                return await refused(client, "list_collections")

            assert "api_key_missing" in asked(address, keyless)

            async def keyed() -> Any:
                shown = {"Authorization": f"Bearer {reader}"}
                async with (
                    httpx2.AsyncClient(headers=shown) as caller,
                    Client(streamable_http_client(address, http_client=caller)) as client,
                ):
                    return (await call(client, "list_collections"))["collections"]

            assert "staff" in {one["name"] for one in asyncio.run(keyed())}
        finally:
            process.terminate()


def test_a_port_that_is_taken_is_an_error_and_announced_by_nobody(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run_command(app, ["mcp", "--http", str(port), "--json"]) == 2
    (line,) = capfd.readouterr().out.splitlines()
    assert f"cannot listen on 127.0.0.1:{port}" in json.loads(line)["error"]["message"]
