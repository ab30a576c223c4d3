"""Request ids, metrics, and logs that give nobody away."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from arcid.pipeline import Pipeline
from arcid.server.logging import JsonFormatter

pytestmark = pytest.mark.data
KEY = "correct-horse-battery"


def test_request_ids_come_back(client: httpx.Client) -> None:
    given = client.get("/v1/health", headers={"X-Request-ID": "job-17_a.b"})
    assert given.headers["X-Request-ID"] == "job-17_a.b"
    made = {client.get("/v1/health").headers["X-Request-ID"] for _ in range(3)}
    assert len(made) == 3 and all(re.fullmatch("[0-9a-f]{32}", one) for one in made)
    for bad in ("a b", "x" * 65, '"}', "é"):
        answer = client.get("/v2", headers={"X-Request-ID": bad.encode()})
        assert answer.headers["X-Request-ID"] != bad
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_metrics_count_by_route_template(
    client: httpx.Client, collection: str, face: Callable[[int], bytes]
) -> None:
    client.post(f"{collection}/enrol", data={"name": "Ann"}, files={"image": face(5)})
    client.post(f"{collection}/search", files={"image": face(6)})
    for _ in range(3):
        client.get("/v1/some/thing/unknown")
    lines: list[str] = []
    deadline = time.monotonic() + 5  # the gallery is counted every second
    while "arcid_gallery_faces 1.0" not in lines and time.monotonic() < deadline:
        lines = client.get("/metrics").text.splitlines()
        time.sleep(0.1)

    def value(start: str) -> float:
        (found,) = [line for line in lines if line.startswith(start)]
        return float(found.rpartition(" ")[2])

    search = '{method="POST",route="/v1/collections/{collection}/search",status="200"}'
    assert value(f"arcid_http_requests_total{search}") == 1
    unknown = '{method="GET",route="(none)",status="404"}'
    assert value(f"arcid_http_requests_total{unknown}") >= 3
    for stage in ("decode", "detect", "embed"):
        assert value(f'arcid_stage_seconds_count{{stage="{stage}"}}') >= 2
        assert value(f'arcid_stage_seconds_sum{{stage="{stage}"}}') > 0
    assert value("arcid_batch_faces_count") >= 2
    assert value("arcid_queue_images") == 0 and value("arcid_inflight_bytes") == 0
    assert value("arcid_gallery_faces") == 1 and value("arcid_gallery_people") == 1
    text = "\n".join(lines)
    assert "Ann" not in text and collection.rpartition("/")[2] not in text


def test_logs_hold_no_images_vectors_names_or_keys(
    start: Any, pipeline: Pipeline, face: Callable[[int], bytes]
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with start(api_keys=KEY) as client:
            client.headers["X-API-Key"] = KEY
            base = "/v1/collections/secret-team"
            client.post("/v1/collections", json={"name": "secret-team"})
            form = {"name": "Ada Hidden"}
            files = {"image": ("ada-hidden.jpg", face(5))}
            assert client.post(f"{base}/enrol", data=form, files=files).status_code == 201
            assert client.post(f"{base}/enrol", data=form, files=files).status_code == 409
            client.get(f"{base}/people", params={"search": "Hidden"})
            vector = client.post("/v1/embeddings", files=files).json()["faces"][0]["vector"]
            contract = pipeline.embedder.contract_id
            body = {"vector": vector, "contract_id": contract}
            assert client.post(f"{base}/search/embedding", json=body).status_code == 200
            client.post(f"{base}/search/embedding", json=body | {"k": 0})
            client.get("/v1/collections", headers={"X-API-Key": "wrong-wrong-wrong-wrong"})
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    text = stream.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    assert len(requests) == 8
    assert [line["status"] for line in requests] == [201, 201, 409, 200, 200, 200, 422, 401]
    assert [line["error"] for line in requests if line["error"]] == [
        "already_exists",
        "validation_error",
        "api_key_wrong",
    ]
    assert all(line["ms"] > 0 and len(line["request_id"]) == 32 for line in requests)
    for secret in ("Ada", "hidden", "Hidden", "secret-team", KEY, "wrong-wrong", "\\u00ff"):
        assert secret not in text, secret
    assert not any(f"{value:.6f}"[:8] in text for value in vector[:20] if abs(value) > 0.01)


def test_exceptions_are_logged_without_their_message() -> None:
    try:
        raise ValueError("Ada Hidden")
    except ValueError:
        record = logging.LogRecord("arcid.a", logging.ERROR, "", 0, "failed", (), None)
        record.exc_info = sys.exc_info()
    record.__dict__.update(vector=[0.1, 0.2], blob=b"\xff", note="x" * 500, route="/v1")
    line = json.loads(JsonFormatter().format(record))
    assert line["exception"] == "ValueError" and "test_exceptions" in line["where"][0]
    assert line["route"] == "/v1" and not {"vector", "blob", "note"} & set(line)
    assert "Ada" not in json.dumps(line)


@pytest.mark.parametrize(
    ("logger", "message", "arguments", "shown"),
    [
        ("uvicorn.error", "Started server process [%d]", (7,), "Started server process [7]"),
        (
            "uvicorn.error",
            '%s - "WebSocket %s" 403',
            ("1.2.3.4", "/Ada"),
            '%s - "WebSocket %s" 403',
        ),
        ("uvicorn.error", ValueError("Ada"), (), "uvicorn reported something"),
        ("asyncio", "A task failed\nfuture: ValueError('Ada')", (), "A task failed"),
        ("nicegui", "Ada", (), "nicegui reported something"),
    ],
)
def test_other_libraries_lines_are_written_without_what_was_filled_in(
    logger: str, message: object, arguments: tuple[object, ...], shown: str
) -> None:
    record = logging.LogRecord(logger, logging.ERROR, "m.py", 3, message, arguments, None)
    record.__dict__["note"] = "Ada"
    line = json.loads(JsonFormatter().format(record))
    assert line["message"].startswith(shown) and line["from"] == "m:3"
    assert "Ada" not in json.dumps(line)


def test_a_thread_ends_in_the_log_and_not_on_the_terminal() -> None:
    program = (
        "import threading\n"
        "from arcid.server.logging import configure\n"
        "configure('info')\n"
        "def work():\n    raise ValueError('Ada Hidden')\n"
        "thread = threading.Thread(target=work)\nthread.start()\nthread.join()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    line = json.loads(ran.stderr)
    assert line["exception"] == "ValueError" and line["message"] == "a thread ended"
    assert "Ada" not in ran.stderr
