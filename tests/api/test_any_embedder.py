"""A service over a detector and an embedder that are not ours, without manifest or session."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image as Pil
from tests.toys import picture

from arcid import Pipeline


def png(*columns: int) -> bytes:
    out = io.BytesIO()
    Pil.fromarray(picture(*columns)).save(out, "PNG")
    return out.getvalue()


def test_the_service_works_with_it(start: Any, toy: Pipeline) -> None:
    with start(models=toy) as client:
        models = {model["role"]: model for model in client.get("/v1/models").json()["models"]}
        assert models["recognition"]["name"] == "Brightness"
        assert models["recognition"]["dim"] == 5
        assert models["detection"]["name"] == "Squares"
        system = client.get("/v1/system").json()
        assert system["recogniser"]["runtime"] == "unknown"
        answer = client.post("/v1/embeddings", files={"image": png(0, 2)}).json()
        assert answer["model"] == "Brightness" and len(answer["faces"]) == 2
        both = {"image_a": png(1), "image_b": png(1)}
        assert client.post("/v1/compare", files=both).json()["outcome"] == "match"
        assert client.post("/v1/collections", json={"name": "staff"}).status_code == 201
        enrolled = client.post(
            "/v1/collections/staff/enrol",
            files={"image": png(1)},
            data={"name": "Ada", "require_quality": "false"},
        )
        assert enrolled.status_code == 201, enrolled.text
        found = client.post("/v1/collections/staff/search", files={"image": png(1)}).json()
        assert found["faces"][0]["candidates"][0]["name"] == "Ada"
