"""Many requests at once: the same answers, bounded queues, nobody harmed by a neighbour."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from arcid.errors import InvalidArray, Overloaded
from arcid.pipeline import Pipeline
from arcid.results import Faces, Prepared
from arcid.server.batching import Batcher
from arcid.server.metrics import Metrics
from arcid.server.settings import Settings
from arcid.types import Crops

pytestmark = pytest.mark.data
FaceBytes = Callable[[int], bytes]
PhotoBytes = Callable[[str], bytes]
SMALL = (5, 10, 12, 16, 17, 21, 25, 14)


class Gated(Pipeline):
    """The real models behind two gates, counting what passes."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline.detector, pipeline.embedder, calibration=pipeline.calibration)
        self.may_prepare, self.may_embed = threading.Event(), threading.Event()
        self.may_prepare.set()
        self.may_embed.set()
        self.preparing = self.most_preparing = 0
        self.batches: list[int] = []
        self.broken: Crops | None = None
        self._lock = threading.Lock()

    def prepare(self, source: Any, **options: Any) -> Prepared:
        with self._lock:
            self.preparing += 1
            self.most_preparing = max(self.most_preparing, self.preparing)
        try:
            assert self.may_prepare.wait(20)
            return super().prepare(source, **options)
        finally:
            with self._lock:
                self.preparing -= 1

    def embed(self, prepared: Sequence[Prepared]) -> list[Faces]:
        self.batches.append(len(prepared))
        assert self.may_embed.wait(20)
        if self.broken and any(self.broken[0] in p.crops for p in prepared):
            raise InvalidArray("the model returned a zero embedding")
        return super().embed(prepared)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def queue_images(client: httpx.Client) -> float:
    (line,) = [
        line
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("arcid_queue_images ")
    ]
    return float(line.split()[1])


def test_concurrent_answers_equal_single_ones(
    start: Any, pipeline: Pipeline, face: FaceBytes, photo: PhotoBytes
) -> None:
    photos = [face(n) for n in SMALL] * 2
    photos[3] = photo("photos/group/friends.jpg")
    photos[7] = b"damaged"
    photos[11] = photo("photos/misc/no_face.png")
    gated = Gated(pipeline)
    with start(models=gated) as client:
        singles = [client.post("/v1/embeddings", files={"image": data}) for data in photos]
        gated.batches.clear()

        def post(data: bytes) -> httpx.Response:
            return client.post("/v1/embeddings", files={"image": data})

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(post, photos))
        assert [a.status_code for a in answers] == [s.status_code for s in singles]
        assert answers[7].json()["error"]["code"] == "image_unreadable"
        assert answers[11].json()["faces"] == []
        for one, many in zip(singles, answers, strict=True):
            if one.status_code != 200:
                continue
            expected, got = one.json()["faces"], many.json()["faces"]
            assert [f["box"] for f in got] == [f["box"] for f in expected]
            for a, b in zip(expected, got, strict=True):
                assert np.dot(a["vector"], b["vector"]) > 0.99999
        assert len(answers[3].json()["faces"]) == 6
        assert sum(gated.batches) == 15
        assert queue_images(client) == 0


def test_photos_that_wait_are_embedded_in_one_call(pipeline: Pipeline, face: FaceBytes) -> None:
    gated = Gated(pipeline)
    gated.may_embed.clear()
    metrics = Metrics()
    batcher = Batcher(gated, Settings.load(max_batch=4), metrics)
    try:
        futures = batcher.submit([face(5)])
        until(lambda: gated.batches == [1])
        futures += batcher.submit([face(n) for n in SMALL[1:7]])
        until(lambda: gated.preparing == 0 and batcher._preparing == 0)
        gated.may_embed.set()
        answers = [future.result(20) for future in futures]
    finally:
        batcher.close()
    assert gated.batches == [1, 4, 2]
    assert [len(a) for a in answers] == [1] * 7
    assert batcher.pending == 0


def test_a_photo_that_cannot_be_embedded_costs_no_other(
    pipeline: Pipeline, face: FaceBytes
) -> None:
    gated = Gated(pipeline)
    gated.broken = pipeline.faces(face(10)).crops
    gated.may_embed.clear()
    batcher = Batcher(gated, Settings.load(max_wait_ms=50), Metrics())
    try:
        first = batcher.submit([face(5)])
        until(lambda: gated.batches == [1])
        good, bad, other = batcher.submit([face(12), face(10), face(16)])
        until(lambda: batcher._preparing == 0)
        gated.may_embed.set()
        assert len(first[0].result(20)) == len(good.result(20)) == len(other.result(20)) == 1
        with pytest.raises(InvalidArray):
            bad.result(20)
    finally:
        batcher.close()


def test_a_full_queue_answers_429_at_once(start: Any, pipeline: Pipeline, face: FaceBytes) -> None:
    gated = Gated(pipeline)
    gated.may_prepare.clear()
    with start(models=gated, queue_size=3, max_images=3, workers=2) as client:

        def post(_: int) -> httpx.Response:
            return client.post("/v1/detect", files={"image": face(5)})

        with ThreadPoolExecutor(12) as pool:
            answers = [pool.submit(post, n) for n in range(12)]
            until(lambda: sum(a.done() for a in answers) == 9)
            assert queue_images(client) == 3
            started = time.monotonic()
            assert client.get("/v1/health").status_code == 200
            assert time.monotonic() - started < 2, "the event loop is free"
            gated.may_prepare.set()
            results = [a.result(30) for a in answers]
        assert sorted(r.status_code for r in results) == [200] * 3 + [429] * 9
        refused = [r for r in results if r.status_code == 429]
        for answer in refused:
            assert answer.json()["error"]["code"] == "overloaded"
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert gated.most_preparing == 2, "decoded photos are bounded by the workers"
        assert post(0).status_code == 200
        assert "arcid_overloaded_total 9.0" in client.get("/metrics").text


def test_a_request_is_admitted_whole_or_not_at_all(pipeline: Pipeline, face: FaceBytes) -> None:
    gated = Gated(pipeline)
    gated.may_prepare.clear()
    batcher = Batcher(gated, Settings.load(queue_size=4, max_images=4), Metrics())
    try:
        first = batcher.submit([face(5)] * 3)
        with pytest.raises(Overloaded):
            batcher.submit([face(5)] * 2)
        assert batcher.pending == 3
        last = batcher.submit([face(10)])
        gated.may_prepare.set()
        assert all(len(f.result(20)) == 1 for f in first + last)
    finally:
        batcher.close()
    with pytest.raises(Overloaded):
        batcher.submit([face(5)])


def test_bytes_in_work_are_bounded(start: Any, pipeline: Pipeline, face: FaceBytes) -> None:
    gated = Gated(pipeline)
    gated.may_prepare.clear()
    size = len(face(5))
    limit = int(size * 3.5)
    with start(models=gated, max_request_bytes=limit, max_inflight_bytes=limit) as client:

        def post(_: int) -> httpx.Response:
            return client.post("/v1/detect", files={"image": face(5)})

        with ThreadPoolExecutor(6) as pool:
            answers = [pool.submit(post, n) for n in range(6)]
            until(lambda: sum(a.done() for a in answers) >= 3)
            gated.may_prepare.set()
            statuses = sorted(a.result(30).status_code for a in answers)
        assert statuses == [200] * 3 + [429] * 3
        assert post(0).status_code == 200


def test_a_client_that_leaves_frees_its_place(
    start: Any, pipeline: Pipeline, face: FaceBytes
) -> None:
    gated = Gated(pipeline)
    gated.may_prepare.clear()
    with start(models=gated, queue_size=1, max_images=1) as client:
        request = client.build_request("POST", "/v1/detect", files={"image": face(5)})
        body = request.read()
        head = "".join(f"{k}: {v}\r\n" for k, v in request.headers.items())
        address = (client.base_url.host, client.base_url.port)
        with socket.create_connection(address) as left:
            left.sendall(f"POST /v1/detect HTTP/1.1\r\n{head}\r\n".encode() + body)
            until(lambda: gated.preparing == 1)
        gated.may_prepare.set()
        until(lambda: queue_images(client) == 0)
        assert client.post("/v1/detect", files={"image": face(5)}).status_code == 200
