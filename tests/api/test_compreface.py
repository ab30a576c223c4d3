"""CompreFace's protocol: its errors, whose key reaches what, what is written down."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from PIL import Image as Pil
from tests.serving import Client, running

from arcid.errors import ConfigError
from arcid.events import Audit
from arcid.gallery import Gallery
from arcid.protection import VERBS, Keys, Policies
from arcid.server import compat, scopes
from arcid.server.compat.adapter import likeness
from arcid.server.settings import Settings

pytestmark = pytest.mark.data
BOOT = "7d3f1c52-9a44-4e0b-8f6d-2b1c9e5a7f30"  # as a key of CompreFace's looks
FaceBytes = Callable[[int], bytes]
FACES, SUBJECTS = "/api/v1/recognition/faces", "/api/v1/recognition/subjects"
RECOGNIZE, DETECT = "/api/v1/recognition/recognize", "/api/v1/detection/detect"
VERIFY = "/api/v1/verification/verify"
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def service(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    database = tmp_path_factory.mktemp("compreface") / "gallery.db"
    settings = Settings.load(database=str(database), api_keys=BOOT, compat="compreface")
    with running(settings, pipeline, None) as client:
        yield client


@pytest.fixture
def ask(service: Client, request: pytest.FixtureRequest) -> Callable[..., httpx.Response]:
    """With a key that is limited to a collection of the test's own."""
    name = request.node.name[:60]
    service.gallery.create_collection(name)
    key = key_of(service, name, VERBS, collections=[name])

    def asking(method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"x-api-key": key} | more.pop("headers", {})
        return service.request(method, path, headers=headers, **more)

    return asking


def key_of(service: Client, name: str, verbs: Any, **more: Any) -> str:
    _, secret = Keys(service.gallery).add(name, verbs, **more)
    service.services.keys.refresh()
    return secret


def part(photo: bytes, name: str = "a.jpg", field: str = "file") -> dict[str, Any]:
    return {field: (name, photo, "application/octet-stream")}


def beside(*photos: bytes) -> bytes:
    """Photos in one, of one size."""
    whole = Pil.new("RGB", (500 * len(photos), 600))
    for i, photo in enumerate(photos):
        whole.paste(Pil.open(io.BytesIO(photo)).convert("RGB").resize((500, 600)), (500 * i, 0))
    whole.save(data := io.BytesIO(), "PNG")
    return data.getvalue()


def refused(answer: httpx.Response, status: int, code: int) -> str:
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    assert set(body) == {"message", "code"} and body["message"]
    return str(body["message"])


def test_off_it_is_not_there(client: Client) -> None:
    assert client.get(SUBJECTS).json()["error"]["code"] == "route_not_found"
    with pytest.raises(ConfigError, match="ARCID_COMPAT"):
        Settings.load(compat="comprefaces")


def test_every_route_needs_a_verb_but_one_that_tells_nothing_of_anybody() -> None:
    routers = compat.protocol("compreface").routers
    names = {getattr(route, "name", "") for router in routers for route in router.routes}
    needing = {name for name in scopes.ADAPTERS if name.startswith("compreface_")}
    assert names == needing | {"compreface_config"}


def test_keys_are_refused_in_its_own_words(service: Client, face: FaceBytes) -> None:
    assert refused(service.get(SUBJECTS), 400, 20) == "Missing header: x-api-key"
    wrong = service.get(SUBJECTS, headers={"x-api-key": NOBODY})
    assert NOBODY not in refused(wrong, 404, 10)
    assert service.get("/api/v1/config").json()["clientMaxFileSize"] == 16 * 2**20
    ended = key_of(service, "ended", ["read"])
    Keys(service.gallery).revoke("ended")
    service.services.keys.refresh()
    refused(service.get(SUBJECTS, headers={"x-api-key": ended}), 404, 10)
    service.gallery.create_collection("one")
    service.gallery.create_collection("two")
    several = key_of(service, "several", VERBS, collections=["one", "two"])
    assert "several" in refused(service.get(SUBJECTS, headers={"x-api-key": several}), 404, 10)


@pytest.mark.parametrize("verb", ["read", "search", "enrol", "delete", "vectors"])
def test_a_key_without_the_verb_is_refused(service: Client, face: FaceBytes, verb: str) -> None:
    key = key_of(service, f"all but {verb}", set(VERBS) - {verb})
    photo = {"files": part(face(1))}
    asked: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
        "read": [("GET", SUBJECTS, {}), ("GET", FACES, {}), ("GET", f"{FACES}/{NOBODY}/img", {})],
        "search": [
            ("POST", RECOGNIZE, photo), ("POST", DETECT, photo), ("POST", VERIFY, photo),
            ("POST", f"{FACES}/{NOBODY}/verify", photo),
            ("POST", "/api/v1/recognition/embeddings/recognize", {}),
            ("POST", f"/api/v1/recognition/embeddings/faces/{NOBODY}/verify", {}),
            ("POST", "/api/v1/verification/embeddings/verify", {}),
        ],
        "enrol": [
            ("POST", SUBJECTS, {"json": {"subject": "Eve"}}), ("PUT", f"{SUBJECTS}/Eve", {}),
            ("POST", f"{FACES}?subject=Eve", photo),
        ],
        "delete": [
            ("DELETE", SUBJECTS, {}), ("DELETE", f"{SUBJECTS}/Eve", {}), ("DELETE", FACES, {}),
            ("DELETE", f"{FACES}/{NOBODY}", {}), ("POST", f"{FACES}/delete", {"json": []}),
        ],
        "vectors": [("POST", f"{DETECT}?face_plugins=calculator", photo),
                    ("POST", f"{RECOGNIZE}?&face_plugins=age,calculator", photo)],
    }  # fmt: skip
    before = service.gallery.last_change()
    for method, path, more in asked[verb]:
        answer = service.request(method, path, headers={"x-api-key": key}, **more)
        assert verb in refused(answer, 404, 10)
    assert service.gallery.last_change() == before


def test_a_key_of_its_kind_works_in_the_collection_default(
    service: Client, face: FaceBytes
) -> None:
    headers = {"x-api-key": BOOT}
    added = service.post(f"{FACES}?subject=Ann", files=part(face(1)), headers=headers)
    assert added.status_code == 201
    assert [one.name for one in service.gallery.people("default")] == ["Ann"]


def test_subjects(ask: Any, face: FaceBytes) -> None:
    made = ask("POST", SUBJECTS, json={"subject": "Ann"})
    assert (made.status_code, made.json()) == (201, {"subject": "Ann"})
    again = ask("POST", SUBJECTS, json={"subject": "Ann"})
    assert refused(again, 400, 43) == "Subject already exists"
    bodies: tuple[Any, ...] = ({"subject": " "}, {}, [], {"subject": 7})
    for body in bodies:
        message = refused(ask("POST", SUBJECTS, json=body), 400, 26)
        assert message == "Subject name cannot be empty"
    refused(ask("POST", SUBJECTS, content=b"{"), 400, 26)
    refused(ask("POST", SUBJECTS, json={"subject": "x" * 51}), 400, 26)
    for name in ("a;b", "a/b", "a\\b"):
        assert "special characters" in refused(ask("POST", SUBJECTS, json={"subject": name}),
                                               400, 36)  # fmt: skip
    ask("POST", SUBJECTS, json={"subject": "Bea Example"})
    assert ask("GET", SUBJECTS).json() == {"subjects": ["Ann", "Bea Example"]}

    path = f"{SUBJECTS}/Ann"
    assert ask("PUT", path, json={"subject": "Ann"}).json() == {"updated": False}
    assert ask("PUT", path, json={"subject": "Ada"}).json() == {"updated": True}
    assert refused(ask("PUT", path, json={"subject": "x"}), 404, 42) == "Subject Ann not found"
    assert refused(ask("DELETE", path), 404, 42) == "Subject Ann not found"
    ask("POST", f"{FACES}?subject=Ada", files=part(face(1)))
    merged = ask("PUT", f"{SUBJECTS}/Ada", json={"subject": "Bea Example"})
    assert merged.json() == {"updated": True}
    assert ask("GET", SUBJECTS).json() == {"subjects": ["Bea Example"]}
    assert ask("GET", FACES).json()["faces"][0]["subject"] == "Bea Example"
    assert ask("DELETE", f"{SUBJECTS}/Bea Example").json() == {"subject": "Bea Example"}
    ask("POST", SUBJECTS, json={"subject": "Cleo"})
    assert ask("DELETE", SUBJECTS).json() == {"deleted": 1}
    for method, where in (("PATCH", SUBJECTS), ("GET", "/api/v1/nowhere")):
        refused(ask(method, where, headers={"accept": "text/html"}), 404, 0)


def test_photos_that_cannot_be_enrolled(
    ask: Any, face: FaceBytes, photo: Callable[[str], bytes]
) -> None:
    url = f"{FACES}?subject=Ann"
    needed = ask("POST", FACES, files=part(face(1)))
    assert refused(needed, 400, 33) == "Required parameter subject is missing"
    refused(ask("POST", f"{FACES}?subject=%20", files=part(face(1))), 400, 26)
    refused(ask("POST", f"{FACES}?subject=a;b", files=part(face(1))), 400, 36)
    missing = ask("POST", url, files=part(face(1), field="image"))
    assert refused(missing, 400, 34) == "Required part file is missing"
    assert refused(ask("POST", url, json={}), 400, 34) == "Required part file is missing"
    assert "extension" in refused(ask("POST", url, files=part(face(1), "a.txt")), 400, 21)
    for value in ("no base64!", 7):
        message = refused(ask("POST", url, json={"file": value}), 400, 21)
        assert message == "Provided value is not Base64"
    refused(ask("POST", url, files=part(b"no picture")), 400, 21)
    nobody = ask("POST", url, files=part(photo("photos/misc/no_face.png"), "a.png"))
    assert refused(nobody, 400, 28) == "No face is found in the given image"
    unsure = ask("POST", f"{url}&det_prob_threshold=1", files=part(face(1)))
    refused(unsure, 400, 28)
    assert "sharp" in refused(ask("POST", url, files=part(photo("photos/misc/blur.jpg"))), 400, 28)
    group = photo("photos/group/friends.jpg")
    assert refused(ask("POST", url, files=part(group)), 400, 31).startswith("More than one face")
    both = beside(face(4), face(5))
    refused(ask("POST", url, files=part(both)), 400, 31)
    seen = ask("POST", DETECT, files=part(both)).json()["result"]
    least = max(one["box"]["probability"] for one in seen) - 0.01  # the other one is less sure
    alone = ask("POST", f"{FACES}?subject=Zoe&det_prob_threshold={least}", files=part(both))
    assert alone.status_code == 201 and ask("DELETE", SUBJECTS).json() == {"deleted": 1}
    assert "image=" not in refused(ask("POST", url, content=b"x"), 415, 0)  # the part is file
    assert ask("GET", SUBJECTS).json() == {"subjects": []}
    large = base64.b64encode(b"x" * (17 * 2**20)).decode()
    refused(ask("POST", url, json={"file": large}), 413, 0)
    json_type = {"content-type": "application/json"}
    refused(ask("POST", url, content=b"x" * (65 * 2**20), headers=json_type), 413, 0)


def test_faces(ask: Any, face: FaceBytes, service: Client) -> None:
    first = ask("POST", f"{FACES}?subject=Ann", files=part(face(1)))
    assert first.status_code == 201 and set(first.json()) == {"image_id", "subject"}
    assert first.json()["image_id"].count("-") == 4
    again = ask("POST", f"{FACES}?subject=ann", files=part(face(1)))
    assert again.json() == first.json()
    other = ask("POST", f"{FACES}?subject=Bea", files=part(face(2)))
    doubt = refused(other, 400, 43)
    assert "Ann" in doubt and "by arcid's own REST, with allow_duplicate=true" in doubt
    lines = base64.encodebytes(face(2)).decode()
    assert ask("POST", f"{FACES}?subject=Ann", json={"file": lines}).status_code == 201
    third = ask("POST", f"{FACES}?subject=Bea", files=part(face(3))).json()["image_id"]

    listed = ask("GET", f"{FACES}?page=0&size=2").json()
    assert [one["subject"] for one in listed["faces"]] == ["Ann", "Ann"]
    assert {key: listed[key] for key in listed if key != "faces"} == {
        "page_number": 0, "page_size": 2, "total_pages": 2, "total_elements": 3,
    }  # fmt: skip
    last = ask("GET", f"{FACES}?page=1&size=2").json()["faces"]
    assert last == [{"image_id": third, "subject": "Bea"}]
    assert ask("GET", f"{FACES}?subject=Ann").json()["total_elements"] == 2
    assert ask("GET", f"{FACES}?subject=Zoe").json()["faces"] == []
    refused(ask("GET", f"{FACES}?page=-1"), 400, 26)
    refused(ask("GET", f"{FACES}?size=many"), 400, 26)
    refused(ask("GET", f"{FACES}?page={10**18}&size=1000"), 400, 26)
    assert ask("GET", f"{FACES}?page={2**31 - 1}&size=1000").json()["faces"] == []

    refused(ask("GET", f"{FACES}/{third}/img"), 404, 44)  # no crop is kept
    for path in (f"{FACES}/{NOBODY}", f"{FACES}/nothing"):
        assert refused(ask("DELETE", path), 404, 44) == f"Image {path.split('/')[-1]} not found"
    assert refused(ask("POST", f"{FACES}/{NOBODY}/verify", files=part(face(1))), 404, 44)
    gone = ask("POST", f"{FACES}/delete", json=[third, NOBODY, "nothing"]).json()
    assert gone == [{"image_id": third, "subject": "Bea"}]
    refused(ask("POST", f"{FACES}/delete", json={"ids": []}), 400, 26)
    assert ask("DELETE", f"{FACES}/{first.json()['image_id']}").json() == first.json()
    assert ask("DELETE", f"{FACES}?subject=Zoe").json() == {"deleted": 0}
    refused(ask("DELETE", f"{FACES}?subject=%20"), 400, 26)
    assert ask("DELETE", f"{FACES}?subject=Ann").json() == {"deleted": 1}
    assert ask("DELETE", FACES).json() == {"deleted": 0}
    assert ask("GET", SUBJECTS).json()["subjects"] == ["Ann", "Bea"]


def test_a_client_that_names_nobody_deletes_nobody(ask: Any, face: FaceBytes) -> None:
    """compreface-sdk sends these for ``delete("")`` of a face, ``delete("#1")`` of a subject, and
    its requests go where a redirect leads."""
    ask("POST", f"{FACES}?subject=Ann", files=part(face(1)))
    for path, word in ((f"{FACES}/", "Image id"), (f"{SUBJECTS}/", "Subject name")):
        answer = ask("DELETE", path, follow_redirects=True)
        assert refused(answer, 400, 26) == f"{word} cannot be empty"
    assert ask("GET", f"{FACES}/").json()["total_elements"] == 1
    assert ask("GET", f"{SUBJECTS}/").json() == {"subjects": ["Ann"]}
    assert ask("POST", f"{SUBJECTS}/", json={"subject": "Bea"}).status_code == 201


def test_two_requests_at_a_time_delete_everybody(
    ask: Any, face: FaceBytes, service: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for subject, n in (("Ann", 1), ("Bea", 3)):
        ask("POST", f"{FACES}?subject={subject}", files=part(face(n)))
    faces, everybody = Gallery.faces, Gallery.everybody
    deleted: list[Any] = []

    def of_faces(*args: Any, **more: Any) -> Any:
        found = faces(*args, **more)
        monkeypatch.setattr(Gallery, "faces", faces)
        if not deleted:
            deleted.append(ask("DELETE", f"{FACES}?subject=Bea").json())
        return found

    def of_people(*args: Any) -> Any:
        found = list(everybody(*args))
        monkeypatch.setattr(Gallery, "everybody", everybody)
        deleted.append(ask("DELETE", f"{SUBJECTS}/Bea").json())
        return found

    monkeypatch.setattr(Gallery, "faces", of_faces)
    assert ask("DELETE", FACES).json() == {"deleted": 1}
    monkeypatch.setattr(Gallery, "everybody", of_people)
    assert ask("DELETE", SUBJECTS).json() == {"deleted": 1}
    assert deleted == [{"deleted": 1}, {"subject": "Bea"}]
    ask("POST", f"{FACES}?subject=Cleo", files=part(face(1)))
    ask("POST", f"{FACES}?subject=Dora", files=part(face(3)))

    def of_list(*args: Any, **more: Any) -> Any:
        found = faces(*args, **more)
        ask("DELETE", f"{SUBJECTS}/Dora")
        return found

    monkeypatch.setattr(Gallery, "faces", of_list)
    assert [one["subject"] for one in ask("GET", FACES).json()["faces"]] == ["Cleo"]


def test_a_crop_is_shown_where_it_is_kept_and_noted(
    ask: Any, face: FaceBytes, service: Client, request: pytest.FixtureRequest
) -> None:
    service.gallery.update_collection(request.node.name, keep_crops=True)
    image = ask("POST", f"{FACES}?subject=Ann", files=part(face(1))).json()["image_id"]
    shown = ask("GET", f"{FACES}/{image}/img")
    assert shown.content.startswith(b"\x89PNG")
    assert shown.headers["content-type"] == "application/octet-stream"
    service.services.looks.write(service.gallery)
    (row,) = Audit(service.gallery).find(verb="face.view", collection=request.node.name)
    assert row.subject == f"face:{image.replace('-', '')}" and row.actor.startswith("key:")
    Policies(service.gallery).change(request.node.name, crops_for=("admin",))
    refused(ask("GET", f"{FACES}/{image}/img"), 403, 0)


def test_who_is_in_a_photo(
    ask: Any, face: FaceBytes, service: Client, pipeline: Any, request: pytest.FixtureRequest
) -> None:
    empty = ask("POST", RECOGNIZE, files=part(face(4))).json()["result"]
    assert [one["subjects"] for one in empty] == [[]]
    for subject, numbers in (("Ann", (1, 2)), ("Bea", (3,))):
        for number in numbers:
            ask("POST", f"{FACES}?subject={subject}", files=part(face(number)))
    url = f"{RECOGNIZE}?&limit=0&prediction_count=2&face_plugins=age,landmarks,pose,calculator"
    (row,) = ask("POST", f"{url}&status=True", files=part(face(4))).json()["result"]
    (found,) = pipeline.identify(face(4), service.gallery, request.node.name, k=2)
    assert [one["subject"] for one in row["subjects"]] == ["Ann", "Bea"]
    for one, match in zip(row["subjects"], found.candidates, strict=True):
        stated = likeness(pipeline.calibration, match.cosine, among=3)
        assert one["similarity"] == pytest.approx(stated, abs=1.1e-5)
    assert row["subjects"][0]["similarity"] > 0.9 and found.decision.matched
    assert set(row) == {"box", "subjects", "landmarks", "pose", "embedding"}
    assert set(row["box"]) == {"probability", "x_max", "x_min", "y_max", "y_min"}
    assert len(row["landmarks"]) == 5 and set(row["pose"]) == {"pitch", "roll", "yaw"}
    assert row["embedding"] == pytest.approx(pipeline.one_face(face(4)).embedding.vectors[0],
                                             abs=1e-5)  # fmt: skip
    service.services.looks.write(service.gallery)
    rows = Audit(service.gallery).find(verb="search.photo", collection=request.node.name)
    assert [len(one.details["found"]) for one in rows] == [1, 0]

    for query, words in (
        ("limit=-1", "Limit should be equal or greater than 0; "),
        ("prediction_count=0", "prediction_count should be equal or greater than 1; "),
        ("det_prob_threshold=2", "det_prob_threshold should be between 0 and 1; "),
        ("limit=many", "limit has no meaning: many"),
        (f"prediction_count={2**31}", f"prediction_count has no meaning: {2**31}"),
        ("status=perhaps", "status has no meaning: perhaps"),
    ):
        assert refused(ask("POST", f"{RECOGNIZE}?{query}", files=part(face(4))), 400, 26) == words


def test_faces_of_a_group_come_largest_first(ask: Any, photo: Callable[[str], bytes]) -> None:
    group = part(photo("photos/group/friends.jpg"))
    said = ask("POST", f"{DETECT}?status=true", files=group).json()
    areas = [
        (one["box"]["x_max"] - one["box"]["x_min"]) * (one["box"]["y_max"] - one["box"]["y_min"])
        for one in said["result"]
    ]
    assert len(areas) > 2  # whole pixels: a few per cent
    assert all(b < 1.03 * a for a, b in pairwise(areas)) and areas[0] > 1.2 * areas[-1]
    assert set(said["plugins_versions"]) == {"detector", "calculator"}
    two = ask("POST", f"{DETECT}?limit=2&face_plugins=calculator", files=group).json()["result"]
    assert [one["box"] for one in two] == [one["box"] for one in said["result"][:2]]
    assert all(len(one["embedding"]) > 100 for one in two)
    assert ask("POST", f"{DETECT}?det_prob_threshold=1", files=group).json()["code"] == 28


def test_two_photos(ask: Any, face: FaceBytes, photo: Callable[[str], bytes]) -> None:
    def verify(source: bytes, target: bytes, query: str = "") -> httpx.Response:
        files = {**part(source, field="source_image"), **part(target, field="target_image")}
        return ask("POST", f"{VERIFY}?{query}", files=files)

    (same,) = verify(face(1), face(4)).json()["result"]
    assert set(same) == {"source_image_face", "face_matches"}
    assert same["face_matches"][0]["similarity"] > 0.99
    (others,) = verify(face(3), face(4), "status=true&face_plugins=landmarks").json()["result"]
    assert others["face_matches"][0]["similarity"] < 0.1 and others["plugins_versions"]
    group = photo("photos/group/friends.jpg")
    refused(verify(group, face(1), "limit=1"), 400, 31)
    refused(verify(face(1), photo("photos/misc/no_face.png")), 400, 28)
    refused(ask("POST", VERIFY, files=part(face(1), field="source_image")), 400, 34)
    matches = verify(face(1), group).json()["result"][0]["face_matches"]
    said = [one["similarity"] for one in matches]
    assert len(said) > 2 and said == sorted(said, reverse=True)


def test_one_stored_face_and_vectors(
    ask: Any, face: FaceBytes, pipeline: Any, service: Client, request: pytest.FixtureRequest
) -> None:
    image = ask("POST", f"{FACES}?subject=Ann", files=part(face(1))).json()["image_id"]
    (row,) = ask("POST", f"{FACES}/{image}/verify", files=part(face(4))).json()["result"]
    one, other = (pipeline.one_face(face(n)).embedding for n in (1, 4))
    cosine = float(one.cosine(other)[0, 0])
    assert row["subject"] == "Ann"
    assert row["similarity"] == pytest.approx(likeness(pipeline.calibration, cosine), abs=1.1e-5)

    near, far = other.vectors[0].tolist(), pipeline.one_face(face(3)).embedding.vectors[0].tolist()
    contract = f"?contract_id={pipeline.contract_id}"
    where = "/api/v1/recognition/embeddings"
    body = {"embeddings": [far, near]}
    assert "contract_id" in refused(ask("POST", f"{where}/recognize", json=body), 400, 26)
    refused(ask("POST", f"{where}/recognize?contract_id=other", json=body), 400, 26)
    found = ask("POST", f"{where}/recognize{contract}", json=body).json()["result"]
    assert [len(one["similarities"]) for one in found] == [1, 1] and found[0]["embedding"] == far
    said = ask("POST", f"{where}/faces/{image}/verify{contract}", json=body).json()["result"]
    assert [one["embedding"] for one in said] == [near, far]
    dashed = f"{where}/faces/{300 * '-'}{image}/verify{contract}"
    assert ask("POST", dashed, json=body).status_code == 200  # a UUID is read without its dashes
    service.services.looks.write(service.gallery)
    audited = Audit(service.gallery).find(verb="compare", collection=request.node.name)
    assert {row.subject for row in audited} == {f"face:{image.replace('-', '')}"}
    assert [(row.verb, row.details) for row in audited] == [
        ("compare.vectors", {"faces": 2}), ("compare.vectors", {"faces": 2}),
        ("compare.photos", {"faces": 1}),
    ]  # fmt: skip
    url = f"/api/v1/verification/embeddings/verify{contract}"
    said = ask("POST", url, json={"source": near, "targets": [far, near]}).json()["result"]
    assert [one["embedding"] for one in said] == [near, far]
    refused(ask("POST", url, json={"source": near, "targets": []}), 400, 37)
    refused(ask("POST", url, json={"source": near[:5], "targets": [far]}), 400, 26)
    refused(ask("POST", url, json={"source": ["x"] * len(near), "targets": [far]}), 400, 26)
    refused(ask("POST", url, json={"source": [0] * len(near), "targets": [far]}), 400, 26)


def test_consent_is_demanded_here_too(
    ask: Any, face: FaceBytes, service: Client, request: pytest.FixtureRequest
) -> None:
    Policies(service.gallery).change(request.node.name, consent=True)
    said = ask("POST", f"{FACES}?subject=Ann", files=part(face(1)))
    assert "consent" in refused(said, 409, 0)
    assert json.loads(ask("GET", FACES).text)["total_elements"] == 0
