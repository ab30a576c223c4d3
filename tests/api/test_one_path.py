"""One place decides and one schema tells it: library, command line and service alike."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image
from tests.serving import Client, StartService

import arcid
from arcid.apps.enrol import new_face
from arcid.cli import app
from arcid.cli.output import run_command
from arcid.gallery import Gallery
from arcid.image import load_image
from arcid.pipeline import Pipeline

SOURCE = Path(arcid.__file__).parent
DECIDING = {"verify", "verify_templates", "identify"}


class Told(NamedTuple):
    service: Client
    command: Callable[..., Any]
    gallery: Gallery


def plain(value: Any) -> Any:
    """As JSON carries it."""
    return json.loads(json.dumps(value))


def callers(tree: ast.AST) -> set[str]:
    """Functions of ``arcid.decide`` that a module calls or imports by name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "arcid.decide":
            found |= {alias.name for alias in node.names} & DECIDING
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found |= {node.attr} & DECIDING if node.value.id == "decide" else set()
    return found


def test_only_the_pipeline_decides() -> None:
    found = {}
    for path in SOURCE.rglob("*.py"):
        if names := callers(ast.parse(path.read_text("utf-8"))):
            found[path.relative_to(SOURCE).as_posix()] = names
    assert found == {"pipeline/identifier.py": DECIDING}


@pytest.fixture
def told(pipeline: Pipeline, start: StartService, capfd: Any, monkeypatch: Any) -> Iterator[Told]:
    """A gallery with two people, and the three ways to ask it."""
    monkeypatch.setattr(Pipeline, "from_models", lambda *_, **__: pipeline)
    with start() as service:
        gallery = service.gallery

        def command(*words: object) -> Any:
            capfd.readouterr()
            code = run_command(app, [*map(str, words), "--database", gallery.url, "--json"])
            return {"exit": code, **json.loads(capfd.readouterr().out)}

        yield Told(service, command, gallery)


def test_faces_are_told_alike(told: Told, pipeline: Pipeline, data_dir: Path, capfd: Any) -> None:
    photo = data_dir / "data" / "deepface-pairs" / "img4.jpg"
    asked = told.service.post("/v1/detect", files={"image": photo.read_bytes()}).json()
    found = pipeline.faces(photo)
    assert asked == plain(found.to_dict())
    assert asked["faces"] == plain([face.to_dict() for face in found])
    capfd.readouterr()
    assert run_command(app, ["detect", str(photo), "--json"]) == 0
    (listed,) = json.loads(capfd.readouterr().out)["photos"]
    assert {key: listed[key] for key in asked} == asked


def test_a_face_that_fills_the_photo_is_found_alike(
    told: Told, pipeline: Pipeline, data_dir: Path, tmp_path: Path, capfd: Any
) -> None:
    photo, whole = tmp_path / "tight.png", load_image(data_dir / "data/deepface-pairs/img11.jpg")
    tight = Image.fromarray(whole[72:445, 152:437]).resize((570, 746))
    tight.save(photo)
    assert len(pipeline.detect(photo)) == 1
    asked = told.service.post("/v1/detect", files={"image": photo.read_bytes()}).json()
    assert asked == plain(pipeline.faces(photo).to_dict()) and len(asked["faces"]) == 1
    capfd.readouterr()
    assert run_command(app, ["detect", str(photo), "--json"]) == 0
    (listed,) = json.loads(capfd.readouterr().out)["photos"]
    assert {key: listed[key] for key in asked} == asked


def test_answers_are_told_alike(told: Told, pipeline: Pipeline, data_dir: Path) -> None:
    pairs = data_dir / "data" / "deepface-pairs"
    files = {n: pairs / f"img{n}.jpg" for n in (1, 2, 3, 4)}
    people = {}
    told.gallery.create_collection("default")
    for name, numbers in {"Ann": (1, 2), "Bea": (3,)}.items():
        faces = [new_face(pipeline.one_face(files[n]), f"img{n}.jpg", {}) for n in numbers]
        people[name] = told.gallery.enrol("default", name, faces)[0].id
    image = {"image": files[4].read_bytes()}

    searched = told.service.post("/v1/collections/default/search", files=image).json()
    found = pipeline.identify(files[4], told.gallery, "default")
    assert searched["faces"] == plain([one.to_dict() for one in found])
    assert told.command("search", files[4])["faces"] == searched["faces"]
    (face,) = searched["faces"]
    assert face["decision"]["gallery_size"] == 3 and face["decision"]["target_fpir"] == 0.01
    assert face["candidates"][0]["name"] == "Ann" and face["decision"]["outcome"] == "match"

    for name, outcome in (("Ann", "match"), ("Bea", "no_match")):
        url = f"/v1/collections/default/people/{people[name]}/verify"
        verified = told.service.post(url, files=image).json()
        answer = pipeline.verify_person(files[4], told.gallery, "default", people[name])
        assert verified == plain(answer.to_dict())
        commanded = told.command("verify", files[4], "--person", name)
        assert {key: commanded[key] for key in verified} == verified
        assert verified["outcome"] == outcome and commanded["exit"] == (outcome != "match")
        assert verified["target_fmr"] == 1e-4 and verified["gallery_size"] == (2, 1)[name == "Bea"]

    body = {"person_id": people["Bea"]}
    doubled = told.service.post("/v1/collections/default/search/person", json=body).json()
    alike = pipeline.identify_person(people["Bea"], told.gallery, "default")
    assert {key: doubled[key] for key in alike.to_dict()} == plain(alike.to_dict())
    commanded = told.command("search", "--person", "Bea")
    assert {key: commanded[key] for key in doubled} == doubled
    assert doubled["decision"]["gallery_size"] == 2
    assert "2 comparisons" in doubled["decision"]["reason"]

    compared = told.service.post(
        "/v1/compare", files={"image_a": files[1].read_bytes(), "image_b": files[4].read_bytes()}
    ).json()
    assert compared == plain(pipeline.verify(files[1], files[4]).to_dict())
    enrolled = told.service.get(f"/v1/collections/default/people/{people['Ann']}/faces").json()
    stored = told.gallery.faces("default", people["Ann"])
    assert enrolled["faces"] == plain([one.to_dict() for one in stored])


def test_who_is_asked_for_must_be_there(told: Told, photo: Any) -> None:
    told.gallery.create_collection("default")
    person = told.gallery.add_person("default", "Nobody yet").id
    url = "/v1/collections/default/people/{}/verify"
    image = {"image": photo("deepface-pairs/img4.jpg")}
    missing = told.service.post(url.format("someone"), files=image)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "person_not_found")
    faceless = told.service.post(url.format(person), files=image)
    assert (faceless.status_code, faceless.json()["error"]["code"]) == (404, "face_not_found")
    rate = told.service.post(url.format(person), files=image, data={"fmr": "2"})
    assert rate.status_code == 422
