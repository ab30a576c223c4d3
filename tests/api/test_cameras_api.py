"""Cameras of the service over REST: a real RTSP server, real files, no secret in any answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from tests.streams import Start, end, free_port, rtsp_server

pytestmark = pytest.mark.data
SECRETS = ("admin", "pa55word", "t0ken")
URL = "/v1/cameras"


@pytest.fixture
def stream(data_dir: Path) -> Iterator[tuple[str, Start]]:
    with rtsp_server(data_dir / "data/video/short_hamilton_clip.mp4") as found:
        yield found


@pytest.fixture
def clip(tmp_path: Path) -> str:
    """Twelve grey frames."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    for _ in range(12):
        writer.write(np.full((240, 320, 3), 127, np.uint8))
    writer.release()
    return str(path)


@pytest.fixture
def staff(client: httpx.Client, collection: str) -> Iterator[str]:
    """A collection's name; the cameras a test adds are gone after it."""
    yield collection.rpartition("/")[2]
    for camera in client.get(URL).json()["cameras"]:
        client.delete(f"{URL}/{camera['id']}")


def add(client: httpx.Client, **body: Any) -> Any:
    answer = client.post(URL, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def until(client: httpx.Client, camera: Any, true: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 60
    while not true(found := client.get(f"{URL}/{camera['id']}").json()):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.server
def test_a_stream_is_added_watched_lost_and_found_again(
    client: httpx.Client, staff: str, stream: tuple[str, Start]
) -> None:
    address, start = stream
    server = start()
    secret = address.replace("rtsp://", "rtsp://admin:pa55word@") + "?t0ken"
    tried = client.post(f"{URL}/test", json={"source": secret})
    assert tried.json()["reached"], tried.text
    assert tried.json()["size"] == {"width": 640, "height": 360}
    made = add(client, name=" Front  door", source=secret, collection=staff, place="hall")
    assert (made["name"], made["source"], made["state"]) == ("Front door", address, "starting")
    live = until(client, made, lambda c: c["state"] == "live" and c["frames_per_s"] > 1)
    assert (live["size"], live["problem"]) == ({"width": 640, "height": 360}, None)
    began = time.monotonic()
    assert client.post(f"{URL}/{made['id']}/test").json()["reached"]
    assert time.monotonic() - began < 1, "what is live is not opened a second time"

    end(server)
    lost = until(client, made, lambda c: c["state"] == "trouble")
    assert "again" in lost["problem"] or "picture" in lost["problem"]
    assert (lost["since"] > live["since"], lost["frames_per_s"]) == (True, 0)
    tried = client.post(f"{URL}/{made['id']}/test").json()
    assert not tried["reached"] and tried["problem"]
    start()
    until(client, made, lambda c: c["state"] == "live")

    off = client.patch(f"{URL}/{made['id']}", json={"enabled": False}).json()
    assert (off["state"], off["since"], off["source"]) == ("off", None, address)
    answers = client.get(URL).text + str(made) + str(lost) + str(tried)
    assert not any(secret in answers for secret in SECRETS)
    assert client.delete(f"{URL}/{made['id']}").status_code in (202, 204)
    assert refused(client.get(f"{URL}/{made['id']}")) == (404, "camera_not_found")


def test_a_file_is_read_to_its_end(client: httpx.Client, staff: str, clip: str) -> None:
    made = add(client, name="Film", source=clip, collection=staff)
    ended = until(client, made, lambda c: c["state"] == "ended")
    assert (ended["source"], ended["problem"]) == (clip, None)
    gone = client.patch(f"{URL}/{made['id']}", json={"source": clip + "x"}).json()
    trouble = until(client, gone, lambda c: c["state"] == "trouble")
    assert "clip.avix" in trouble["problem"]


def test_cameras_start_with_a_service_whose_console_nobody_opened(start: Any, clip: str) -> None:
    with start() as client:
        client.post("/v1/collections", json={"name": "staff"})
        made = add(client, name="Film", source=clip, collection="staff", enabled=False)
        other = add(client, name="Gone", source=clip + "x", collection="staff")
        assert made["state"] == "off"
    with start() as client:
        until(client, other, lambda c: c["state"] == "trouble")  # a broken one holds up no other
        client.patch(f"{URL}/{made['id']}", json={"enabled": True})
    with start() as client:
        until(client, made, lambda c: c["state"] == "ended")
        assert [c["state"] for c in client.get(URL).json()["cameras"]] == ["ended", "trouble"]


def test_cameras_come_in_pages_by_name(client: httpx.Client, staff: str) -> None:
    for name in ("Gate", "attic", "Door"):
        add(client, name=name, source="0", collection=staff, enabled=False)
    first = client.get(URL, params={"limit": 2}).json()
    assert [camera["name"] for camera in first["cameras"]] == ["attic", "Door"]
    second = client.get(URL, params={"limit": 2, "after": first["next"]}).json()
    assert ([c["name"] for c in second["cameras"]], second["next"]) == (["Gate"], None)
    assert refused(client.get(URL, params={"after": "nonsense"})) == (422, "cursor_invalid")


def test_a_camera_need_not_keep_attendance(client: httpx.Client, staff: str) -> None:
    made = add(client, name="Door", source="0", collection=staff, enabled=False)
    assert made["attendance"]
    changed = client.patch(f"{URL}/{made['id']}", json={"attendance": False}).json()
    assert not changed["attendance"]
    assert client.patch(f"{URL}/{made['id']}", json={"name": "Gate"}).json()["attendance"] is False
    other = add(client, name="Hall", source="0", collection=staff, enabled=False, attendance=False)
    assert not client.get(f"{URL}/{other['id']}").json()["attendance"]


def test_what_makes_no_camera_is_refused_and_says_so(client: httpx.Client, staff: str) -> None:
    good = {"name": "Door", "source": "0", "collection": staff, "enabled": False}
    made = add(client, **good)
    other = good | {"name": "Other"}
    for change, expected in (
        ({"secret": "pa55word"}, (422, "validation_error")),
        ({"name": " "}, (422, "usage_error")),
        ({"name": "x" * 81}, (422, "validation_error")),
        ({"name": "DOOR"}, (409, "already_exists")),
        ({"collection": "nobody's"}, (404, "collection_not_found")),
        ({"liveness": "perhaps"}, (422, "validation_error")),
        ({"source": "gopher://admin:pa55word@cam"}, (422, "usage_error")),
        ({"source": "rtsp://admin:pa55word@[cam"}, (422, "usage_error")),
        ({"source": "rtsp://admin:pa55word@169.254.169.254/t0ken"}, (422, "address_refused")),
        ({"source": "http://0xa9fea9fe/"}, (422, "address_refused")),
    ):
        answer = client.post(URL, json=other | change)
        assert refused(answer) == expected, change
        assert not any(secret in answer.text for secret in SECRETS)
        if "name" not in change:
            assert refused(client.patch(f"{URL}/{made['id']}", json=change)) == expected
        if "source" in change:
            assert refused(client.post(f"{URL}/test", json=change)) == expected
    unknown = f"{URL}/{'f' * 32}"
    for method, path in (("PATCH", unknown), ("DELETE", unknown), ("POST", f"{unknown}/test")):
        answer = client.request(method, path, json={} if method == "PATCH" else None)
        assert refused(answer) == (404, "camera_not_found"), method
    assert [camera["name"] for camera in client.get(URL).json()["cameras"]] == ["Door"]


def test_a_source_is_tried_before_it_is_added(client: httpx.Client, clip: str) -> None:
    found = client.post(f"{URL}/test", json={"source": clip}).json()
    assert (found["reached"], found["size"]) == (True, {"width": 320, "height": 240})
    for source, words in (
        (clip + "x", "clip.avix"),
        (f"rtsp://admin:pa55word@127.0.0.1:{free_port()}/x?t0ken", "no answer"),
        (f"http://admin:pa55word@127.0.0.1:{free_port()}/x?t0ken", "no answer"),
    ):
        answer = client.post(f"{URL}/test", json={"source": source})
        found = answer.json()
        assert (found["reached"], found["size"]) == (False, None)
        assert words in found["problem"], source
        assert found["seconds"] < 11
        assert not any(secret in answer.text for secret in SECRETS)
    assert client.get(URL).json()["cameras"] == []
