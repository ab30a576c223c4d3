"""Where people come from: archives that attack, lists, and other systems as their contracts say."""

from __future__ import annotations

import io
import json
import pickle
import stat
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image as Pil
from tests.toys import FACE, Brightness, Squares, picture

from arcid.apps.importing import archive, folder, lists, stores
from arcid.apps.importing.compreface import CompreFace
from arcid.apps.importing.insightface import Server, Vectors
from arcid.apps.importing.items import About, Item, Source
from arcid.apps.importing.rekognition import Rekognition
from arcid.apps.importing.remote import Remote
from arcid.apps.jobs import Held, Jobs, Means, Options, begin_import, finish
from arcid.errors import (
    ArchiveRefused,
    ArcidError,
    ContractMismatch,
    ImageTooLarge,
    ImageUnreadable,
    InputError,
    UsageError,
)
from arcid.gallery import Gallery, NewConsent, NewFace
from arcid.image import load_image
from arcid.models import weights
from arcid.pipeline import Pipeline
from arcid.server.compat.insightface_server.telling import person_told


def png(*faces: int, width: int = 300, mark: int = 0) -> bytes:
    image = picture(*faces, width=width)
    image[0, 0] = mark
    data = io.BytesIO()
    Pil.fromarray(image).save(data, "PNG")
    return data.getvalue()


def zipped(path: Path, files: dict[str, bytes], change: Any = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            if change is not None:
                change(info)
            packed.writestr(info, content)
    return path


def taken(source: Source, tmp_path: Path) -> tuple[dict[str, int], dict[str, str]]:
    """People with their faces, and why the rest stayed behind."""
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        gallery.ensure_collection("staff")
        options = Options(require_quality=False, allow_duplicate=True)
        job = begin_import(gallery, "staff", source, options, origin="command")
        with Held(gallery, job.id, "command") as held:
            finish(held, Means(Pipeline(Squares(), Brightness()), lambda spec: source))
        assert Jobs(gallery).get(job.id).state == "done"
        left = {one.label: one.code for one in Jobs(gallery).every_refused(job.id)}
        return {p.name: p.faces for p in gallery.people("staff")}, left


# archives


def refusal(path: Path) -> str:
    with pytest.raises(ArchiveRefused) as caught:
        archive(path)
    return caught.value.message


def link(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("../out.jpg", None, "leads out"),
        ("a/../../out.jpg", None, "leads out"),
        ("/etc/out.jpg", None, "leads out"),
        ("C:/out.jpg", None, "leads out"),
        ("a\\..\\out.jpg", None, "read differently"),
        ("Ada/1.jpg", link, "is a link"),
        ("Ada/1.jpg", lambda info: setattr(info, "compress_type", zipfile.ZIP_BZIP2), "packed"),
    ],
)
def test_an_archive_that_could_lead_out_of_itself_is_refused(
    tmp_path: Path, name: str, change: Any, says: str
) -> None:
    path = zipped(tmp_path / "a.zip", {"Bea/1.jpg": b"1", name: b"2"}, change)
    message = refusal(path)
    assert says in message and "entry" in message and "Ada" not in message


def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "a.zip", {f"Ada/{n}.jpg": bytes(2**20) for n in range(3)})
    data = path.read_bytes()
    monkeypatch.setattr(stores, "MAX_UNPACKED_BYTES", 2**21)
    assert "would unpack" in refusal(path)
    monkeypatch.undo()
    monkeypatch.setattr(stores, "MAX_ENTRIES", 2)
    assert "lists 3 files" in refusal(path)
    monkeypatch.undo()
    # two entries of the directory that share one place, as bombs have thousands
    with zipfile.ZipFile(path) as packed:
        first, second, _ = packed.infolist()
        at = data.index(b"PK\1\2")
        second_at = data.index(b"PK\1\2", at + 1)
    shared = bytearray(data)
    struct.pack_into("<I", shared, second_at + 42, first.header_offset + 1)
    assert second.header_offset > first.header_offset
    path.write_bytes(shared)
    assert "overlaps" in refusal(path)
    large = zipped(tmp_path / "b.zip", {"Ada/1.jpg": bytes(2**20)})
    with pytest.raises(ImageTooLarge):
        stores.Archive(large, max_photo_bytes=2**19).read("Ada/1.jpg")


def test_what_is_damaged_is_said_and_harms_nothing(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"Ada/1.png": png(0), "Bea/2.png": png(0, mark=1)})
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:cut])
        refusal(path)
    broken = bytearray(whole)
    at = whole.index(b"Ada/1.png") + len("Ada/1.png") + 20
    broken[at : at + 20] = bytes(20)
    path.write_bytes(broken)
    people, left = taken(archive(path), tmp_path)
    assert people == {"Bea": 1} and left == {"Ada/1.png": "image_unreadable"}
    with pytest.raises(ImageUnreadable):
        archive(path).take(Item("Nobody", "not/there.png"))


def test_an_archive_with_one_folder_around_and_what_systems_leave(tmp_path: Path) -> None:
    files = {
        "export/Ada/1.png": png(0), "export/Ada/._1.png": b"", "__MACOSX/export/1.png": b"",
        "export/stray.png": png(0), "export/Ada/deep/2.png": png(0), "export/Thumbs.db": b"",
        f"export/{'x' * 201}/3.png": png(0), "export/ada/4.png": png(0),
    }  # fmt: skip
    listing = archive(zipped(tmp_path / "a.zip", files)).listing()
    assert listing.items == [Item("Ada", "export/Ada/1.png")]
    codes = sorted(one.code for one in listing.left)
    assert codes == ["layout", "layout", "name_ambiguous", "name_invalid"]


# folders and lists


def test_a_list_names_photos_in_whatever_composition(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "Jose\u0301").mkdir(parents=True)  # as a Mac writes it
    (photos / "Jose\u0301/mu\u0308de.png").write_bytes(png(0))
    rows = "person,photo\nJos\u00e9,Jos\u00e9/m\u00fcde.png\n"
    (photos / "people.csv").write_text(rows, "utf-8")
    people, left = taken(folder(photos), tmp_path)
    assert people == {"Jos\u00e9": 1} and left == {}


def test_a_pickle_beside_the_photos_is_not_opened(tmp_path: Path) -> None:
    people, trap = tmp_path / "db", tmp_path / "sprung"
    (people / "Ada").mkdir(parents=True)
    (people / "Ada" / "1.png").write_bytes(png(0))

    class Attack:
        def __reduce__(self) -> Any:
            return Path.touch, (trap,)

    for name in ("representations_vgg_face.pkl", "ds_model_facenet_detector_opencv_x.pkl"):
        (people / name).write_bytes(pickle.dumps(Attack()))
    np.savez(people / "ds_model_arcface_detector_skip.npz", a=np.zeros(3))
    taken_, left = taken(folder(people), tmp_path)
    assert taken_ == {"Ada": 1} and set(left.values()) == {"vectors_left"} and len(left) == 3
    assert not trap.exists()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "says: nothing"),
        (b"name,file\na,b\n", "says: name, file"),
        (b"person,photo,person\n", "once each"),
        (b"person,photo\n\xff\xfe\n", "not UTF-8"),
        (b'person,photo\n"a,b\n', "cannot be read"),
        (b"person,photo,consent,consent_at\na,b,x,soon\n", "no time"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        lists.read(data)


def test_formulas_of_a_spreadsheet_stay_text_and_excel_is_read() -> None:
    data = "\ufeffPerson;Photo;Note\r\n'=Ada;./a\\1.jpg;x\r\n".encode()
    found = lists.read(data, ["a/1.jpg"])
    assert found.items == [Item("=Ada", "a/1.jpg")] and found.left == []
    assert found.about["=Ada"].metadata == {"note": "x"}
    two = lists.read(b"person,photo,external_id\nAda,1,E1\nAda,2,\nAda,3,E2\n")
    assert [item.label for item in two.items] == ["1", "2"]
    assert [one.code for one in two.left] == ["external_id_differs"]
    assert two.about["Ada"].external_id == "E1"


def test_what_any_line_says_of_somebody_is_kept() -> None:
    found = lists.read(
        b"person,photo,external_id,consent,consent_evidence,hall\n"
        b"Ada,1,,,,\nAda,2,E7,2026-03,form 1,3\nAda,3,,2026-04,form 2,4\nAda,4,E8,,,\n"
    )
    assert [item.label for item in found.items] == ["1", "2", "3"]
    assert [one.code for one in found.left] == ["external_id_differs"]
    assert found.about == {"Ada": About(NewConsent("2026-03", "form 1"), {"hall": "3"}, "E7")}


# other systems


@contextmanager
def served(answer: Callable[[str, dict[str, str], Any], Any]) -> Iterator[str]:
    """``answer`` (path, query, headers) → JSON, bytes, or a status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            found = answer(parts.path, query, self.headers)
            status = found if isinstance(found, int) else 200
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/stolen")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("without", ["id-4", "id-0"])  # it may have begun to keep them later
def test_compreface_gives_its_photos_where_it_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool, without: str
) -> None:
    monkeypatch.setattr("arcid.apps.importing.compreface.PAGE", 2)
    faces = [{"image_id": f"id-{n}", "subject": f"Person {n % 2}"} for n in range(5)]
    photos = {f"id-{n}": png(0, mark=n) for n in range(5)} | {without: b""}
    busy = iter([503, 503])

    def answer(path: str, query: dict[str, str], headers: Any) -> Any:
        assert headers["x-api-key"] == "the-key"
        if path.endswith("/img"):
            return photos[path.split("/")[-2]] if kept else b""
        if (status := next(busy, None)) is not None:
            return status
        assert path == "/api/v1/recognition/faces"
        page, size = int(query["page"]), int(query["size"])
        part = faces[page * size : (page + 1) * size]
        return {"faces": part, "total_pages": 3, "total_elements": 5, "page_number": page}

    with served(answer) as address:
        source = CompreFace(address, "the-key")
        source._remote._wait_s = 0.0
        assert "the-key" not in json.dumps(source.spec)
        people, left = taken(source, tmp_path)
    if kept:
        assert people == {"Person 0": 2, "Person 1": 2} and left == {without: "image_unreadable"}
    else:
        assert people == {} and set(left.values()) == {"no_photo"} and len(left) == 5


def test_an_insightface_server_gives_its_crops(tmp_path: Path) -> None:
    crops = {}
    for mark, face in ((1, "f1"), (2, "f4")):
        crop = np.full((112, 112, 3), mark, np.uint8)
        crop[50:90, 50:90] = FACE
        Pil.fromarray(crop).save(data := io.BytesIO(), "PNG")
        crops[face] = data.getvalue()
    first = {"id": "p1", "name": "Ada", "external_id": "E7", "metadata": {"hall": 3}}
    third = {"id": "p3", "name": "ada"}  # another one
    people = {"": ([first], "more"), "more": ([{"id": "p2", "name": None}, third], None)}
    faces = {
        "p1": [{"id": "f1", "has_crop": True}],
        "p2": [{"id": "f2", "has_crop": False}, {"id": "f3", "has_crop": True}],
        "p3": [{"id": "f4", "has_crop": True}],
    }
    top = "/v1/collections/office/persons"

    def answer(path: str, query: dict[str, str], headers: Any) -> Any:
        assert headers["Authorization"] == "Bearer k"
        if path == top:
            rows, following = people[query.get("cursor", "")]
            return {"persons": rows, "next_cursor": following}
        if path.endswith("/faces"):
            return {"faces": faces[path.split("/")[-2]], "next_cursor": None}
        return crops[path.split("/")[-2]] if path.endswith(("/f1/image", "/f4/image")) else 404

    with served(answer) as address:
        found, left = taken(Server(address, "office", "k"), tmp_path)
    assert found == {"Ada (E7)": 1, "ada (p3)": 1}
    assert left == {"p2/f2": "no_photo", "p2/f3": "bad_input"}
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        told = [person_told(person) for person in gallery.people("staff")]
        assert [
            tuple(one[key] for key in ("id", "name", "external_id", "metadata")) for one in told
        ] == [("p1", "Ada", "E7", {"hall": 3}), ("p3", "ada", None, {})]  # as that server does


@pytest.mark.data
def test_crops_of_an_insightface_server_are_no_aligned_ones(data_dir: Path, tmp_path: Path) -> None:
    """It cuts out the box and stretches it to 112×112, whatever its shape."""
    pipeline = Pipeline.from_models()
    image = load_image(data_dir / "data/deepface-pairs/img6.jpg")
    whole = pipeline.faces(image)[0]
    assert whole.box is not None and whole.points is not None
    x1, y1, x2, y2 = (round(float(side)) for side in whole.box)
    crop = Pil.fromarray(image[y1:y2, x1:x2]).resize((112, 112), Pil.Resampling.BOX)
    crop.save(data := io.BytesIO(), "JPEG", quality=92)
    box = {"pixels": {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}}
    face = {"id": "f1", "has_crop": True, "bounding_box": box, "landmarks": whole.points.tolist()}

    def answer(path: str, query: dict[str, str], headers: Any) -> Any:
        if path.endswith("/image"):
            return data.getvalue()
        rows = {"faces": [face]} if path.endswith("/faces") else {"persons": [{"id": "ada"}]}
        return rows | {"next_cursor": None}

    with Gallery.open(tmp_path / "gallery.db") as gallery, served(answer) as address:
        gallery.ensure_collection("staff")
        source = Server(address, "office", None)
        job = begin_import(gallery, "staff", source, Options(), origin="command")
        with Held(gallery, job.id, "command") as held:
            finish(held, Means(pipeline, lambda spec: source))
        (stored,) = gallery.faces("staff")
        kept = gallery.embedding("staff", stored.id, pipeline.embedder.contract_id)
    assert float(kept.cosine(whole.embedding)[0, 0]) > 0.9


@pytest.mark.parametrize("status", [302, 401, 404])
def test_a_service_that_refuses_is_told_as_it_is(status: int) -> None:
    with served(lambda *_: status) as address, pytest.raises(InputError, match=str(status)):
        Remote(address, {"x-api-key": "k"}, wait_s=0).json("faces")
    with served(lambda *_: b"<html>") as address, pytest.raises(InputError, match="as expected"):
        Remote(address, {}, wait_s=0).json("faces")
    with pytest.raises(InputError, match="cannot be reached"):
        Remote(address, {}, wait_s=0).json("faces")
    for bad in ("ftp://host", "http://user:pw@host", "faces"):
        with pytest.raises(UsageError):
            Remote(bad, {})


def test_vectors_come_along_where_the_model_is_the_same_file(tmp_path: Path) -> None:
    manifest = weights.resolve_default("recognition").manifest
    manifest = replace(manifest, flip=False)
    assert manifest.output is not None
    rows = np.random.default_rng(1).normal(size=(4, manifest.output.dim)).astype(np.float32)
    rows[3] = 0
    path = tmp_path / "faces.npz"
    names = np.array(["Ada", "Ada", "Bea", "Cleo"])
    np.savez(path, names=names, embeddings=rows, model_sha256=manifest.sha256)
    source = Vectors(path, manifest)
    people, left = taken(source, tmp_path)
    assert people == {"Ada": 2, "Bea": 1} and left == {"3": "invalid_array"}
    again, left = taken(source, tmp_path)
    assert again == people and sorted(left.values())[0] == "already_exists"
    face = source.take(Item("Ada", "0"))
    assert isinstance(face, NewFace)
    assert np.allclose(face.embedding.vectors[0], rows[0] / np.linalg.norm(rows[0]), atol=1e-6)
    faults: list[tuple[dict[str, Any], type[ArcidError]]] = [
        ({"names": names, "embeddings": rows}, InputError),
        ({"names": names, "embeddings": rows, "model_sha256": "0" * 64}, ContractMismatch),
        ({"names": names, "embeddings": rows[:, :9], "model_sha256": manifest.sha256}, ArcidError),
        ({"names": names[:2], "embeddings": rows, "model_sha256": manifest.sha256}, InputError),
        ({"embeddings": rows, "model_sha256": manifest.sha256}, InputError),
        ({"names": np.array([[]], object), "embeddings": rows}, InputError),
    ]
    for wrong, kind in faults:
        np.savez(path, **wrong)
        with pytest.raises(kind):
            Vectors(path, manifest)
    np.savez(path, names=names, embeddings=rows, model_sha256=manifest.sha256)
    with pytest.raises(ContractMismatch):
        Vectors(path, replace(manifest, flip=True))


def test_faces_of_rekognition_meet_photos_of_ones_own(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for number, name in enumerate(
        (
            "ada_1.png",
            "halls/north/bea.png",
            "Cleo/1.png",
            "Cleo/2.png",
            "x/twin.png",
            "y/twin.png",
            "party.png",
        )
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(0, mark=number))
    faces = [
        {"FaceId": "1", "ExternalImageId": "ada_1.png", "UserId": "Ada"},
        {"FaceId": "2", "ExternalImageId": "halls:north:bea"},
        {"FaceId": "3", "ExternalImageId": "Cleo"},
        {"FaceId": "4", "ExternalImageId": "twin"},
        {"FaceId": "5", "ExternalImageId": "gone.jpg"},
        {"FaceId": "6"},
        {"FaceId": "7", "ExternalImageId": "party.png", "UserId": "Ada"},
        {"FaceId": "8", "ExternalImageId": "party.png", "UserId": "Ben"},
    ]
    (tmp_path / "faces.json").write_text(json.dumps({"Faces": faces, "FaceModelVersion": "7.0"}))
    people, left = taken(Rekognition(tmp_path / "faces.json", root), tmp_path)
    assert people == {"Ada": 1, "bea": 1, "Cleo": 2}
    assert left == {
        "4": "ambiguous", "5": "photo_missing", "6": "no_external_id", "7": "ambiguous",
        "8": "ambiguous",
    }  # fmt: skip
    for bad in ("", "[1]", "{}", '{"Faces": [1]}'):
        (tmp_path / "faces.json").write_text(bad)
        with pytest.raises(InputError, match="list-faces"):
            Rekognition(tmp_path / "faces.json", root)
