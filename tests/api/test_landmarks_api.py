"""68 landmarks over REST: told where asked for, refused in words where nothing finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.serving import Client, running

from arcid.errors import ModelNotFound
from arcid.image import load_image
from arcid.server.opening import open_pipeline
from arcid.server.settings import Settings

ROUTES = ("/v1/detect", "/v1/embeddings")
NAME = "arcid-landmarks-s"


@pytest.fixture(scope="module")
def marked(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service that was started with a model of landmarks."""
    database = str(tmp_path_factory.mktemp("marked") / "gallery.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        patch.setenv("ARCID_LANDMARKS", NAME)
        settings = Settings.load(database=database)
        pipeline = open_pipeline(settings)
        with running(settings, pipeline, None) as client:
            yield client


@pytest.mark.data
@pytest.mark.parametrize("route", ROUTES)
def test_they_are_told_where_asked_for_and_lie_on_the_face(
    marked: Client, face: Callable[[int], bytes], route: str
) -> None:
    photo = {"image": face(1)}
    (found,) = marked.post(route, files=photo, data={"landmarks": "true"}).json()["faces"]
    points = np.array(found["landmarks"])
    assert points.shape == (68, 2)
    between = np.linalg.norm(np.subtract(*found["points"][:2]))
    eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
    assert np.abs(np.array(eyes) - found["points"][:2]).max() < 0.15 * between
    assert {"eye_openness", "mouth_openness"} <= found["quality"]["measured"].keys()
    own = marked.services.pipeline.faces(load_image(face(1))).to_dict(landmarks=True)["faces"][0]
    assert {key: found[key] for key in own} == own
    (plain,) = marked.post(route, files=photo).json()["faces"]
    assert {**plain, "landmarks": found["landmarks"]} == found and "landmarks" not in plain


@pytest.mark.data
def test_other_answers_do_not_carry_them(marked: Client, face: Callable[[int], bytes]) -> None:
    found = marked.post("/v1/compare", files={"image_a": face(1), "image_b": face(2)}).json()
    assert found["outcome"] == "match" and "landmarks" not in found["a"]


@pytest.mark.data
def test_a_crop_that_came_aligned_has_none(marked: Client, face: Callable[[int], bytes]) -> None:
    pixels = np.full((112, 112, 3), 90, np.uint8)
    crop = cv2.imencode(".png", pixels)[1].tobytes()
    asked = {"landmarks": "true", "aligned": "true"}
    answer = marked.post("/v1/embeddings", files={"image": crop}, data=asked)
    assert [one["landmarks"] for one in answer.json()["faces"]] == [None]


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_model_it_says_how_to_get_one(toys: Client, route: str) -> None:
    answer = toys.post(route, files={"image": b"never read"}, data={"landmarks": "true"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "model_not_found")
    assert f"ARCID_LANDMARKS={NAME}" in error["message"]


def test_a_service_does_not_start_with_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model is called 'nobody'"):
        open_pipeline(Settings.load(database=str(tmp_path / "g.db"), landmarks="nobody"))
