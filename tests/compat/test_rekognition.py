"""Rekognition's face operations as boto3 sees them, which checks every request against the service
model and parses every answer by it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.compat.judges import ask, judge, run_script, scripts
from tests.serving import Client, running

from arcid.pipeline import Pipeline
from arcid.protection import VERBS, Keys
from arcid.server.settings import Settings

pytestmark = [pytest.mark.data, pytest.mark.slow]
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def service(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    database = tmp_path_factory.mktemp("rekognition") / "gallery.db"
    settings = Settings.load(database=str(database), compat="rekognition")
    with running(settings, Pipeline.from_models(), None) as client:
        yield client


@pytest.fixture
def keys(service: Client) -> Iterator[dict[str, str | None]]:
    """One that may do everything, one that may only look, one that is none, and no key."""
    book = Keys(service.gallery)
    made = [book.add("all", VERBS), book.add("look", ["read"])]
    service.services.keys.refresh()
    yield {"all": made[0][1], "look": made[1][1], "none": "no-key-of-this", "nothing": None}
    for key, _ in made:
        book.delete(key.id)
    service.services.keys.refresh()


def test_boto3_indexes_lists_searches_compares_and_deletes(
    service: Client, keys: dict[str, str | None], data_dir: Path, tmp_path: Path
) -> None:
    pairs = data_dir / "data/deepface-pairs"
    one, two, three, four = ({"photo": str(pairs / f"img{n}.jpg")} for n in (1, 2, 3, 4))
    nobody = {"photo": str(data_dir / "data/photos/misc/no_face.png")}
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    office, anywhere = {"CollectionId": "office"}, {"CollectionId": "nowhere"}

    def id_of(call: int) -> dict[str, Any]:
        return {"call": call, "path": ["FaceRecords", 0, "Face", "FaceId"]}

    bucket = {"S3Object": {"Bucket": "bucket", "Name": "a.jpg"}}
    calls: list[tuple[list[Any], set[str] | str]] = [
        (["create_collection", office], {"StatusCode", "CollectionArn", "FaceModelVersion"}),
        (["index_faces", {**office, "Image": one, "ExternalImageId": "ann-1", "MaxFaces": 1}],
         {"FaceRecords", "UnindexedFaces", "FaceModelVersion"}),
        (["index_faces", {**office, "Image": two}],
         {"FaceRecords", "UnindexedFaces", "FaceModelVersion"}),
        (["index_faces", {**office, "Image": three}],
         {"FaceRecords", "UnindexedFaces", "FaceModelVersion"}),
        (["list_faces*", {**office, "PaginationConfig": {"PageSize": 2}}], "pages"),
        (["create_user", {**office, "UserId": "ann"}], set()),
        (["associate_faces", {**office, "UserId": "ann", "FaceIds": [id_of(1), id_of(2)]}],
         {"AssociatedFaces", "UnsuccessfulFaceAssociations", "UserStatus"}),
        (["search_faces_by_image", {**office, "Image": four, "FaceMatchThreshold": 90}],
         {"SearchedFaceBoundingBox", "SearchedFaceConfidence", "FaceMatches", "FaceModelVersion"}),
        (["search_users_by_image", {**office, "Image": four}],
         {"UserMatches", "SearchedFace", "UnsearchedFaces", "FaceModelVersion"}),
        (["search_faces", {**office, "FaceId": id_of(3), "FaceMatchThreshold": 0}],
         {"SearchedFaceId", "FaceMatches", "FaceModelVersion"}),
        (["search_users", {**office, "UserId": "ann"}],
         {"SearchedUser", "UserMatches", "FaceModelVersion"}),
        (["compare_faces", {"SourceImage": one, "TargetImage": four}],
         {"SourceImageFace", "FaceMatches", "UnmatchedFaces"}),
        (["detect_faces", {"Image": four, "Attributes": ["DEFAULT"]}], {"FaceDetails"}),
        (["describe_collection", office],
         {"FaceCount", "UserCount", "FaceModelVersion", "CollectionARN", "CreationTimestamp"}),
        (["list_collections", {}], {"CollectionIds", "FaceModelVersions"}),
        (["list_users", office], {"Users"}),
        # what is refused
        (["create_collection", office], "ResourceAlreadyExistsException"),
        (["describe_collection", anywhere], "ResourceNotFoundException"),
        (["index_faces", {**anywhere, "Image": one}], "ResourceNotFoundException"),
        (["create_user", {**office, "UserId": "ann"}], "ConflictException"),
        (["delete_user", {**office, "UserId": "zoe"}], "ResourceNotFoundException"),
        (["search_faces", {**office, "FaceId": NOBODY}], "ResourceNotFoundException"),
        (["search_faces_by_image", {**office, "Image": nobody}], "InvalidParameterException"),
        (["compare_faces", {"SourceImage": nobody, "TargetImage": one}],
         "InvalidParameterException"),
        (["search_users", office], "InvalidParameterException"),
        (["detect_faces", {"Image": bucket}], "InvalidS3ObjectException"),
        (["detect_faces", {"Image": {"photo": str(text)}}], "InvalidImageFormatException"),
        (["list_faces", {**office, "NextToken": "x"}], "InvalidPaginationTokenException"),
        (["index_faces", {**office, "Image": one}, "look"], "AccessDeniedException"),
        (["detect_faces", {"Image": one}, "look"], "AccessDeniedException"),
        (["list_users", office, "none"], "UnrecognizedClientException"),
        (["list_users", office, "nothing"], "MissingAuthenticationTokenException"),
        (["detect_labels", {"Image": one}], "UnknownOperationException"),
        (["list_users", office, "look"], {"Users"}),
        # and gone
        (["disassociate_faces", {**office, "UserId": "ann", "FaceIds": [id_of(1)]}],
         {"DisassociatedFaces", "UnsuccessfulFaceDisassociations", "UserStatus"}),
        (["delete_faces", {**office, "FaceIds": [id_of(1), id_of(2)]}],
         {"DeletedFaces", "UnsuccessfulFaceDeletions"}),
        (["delete_user", {**office, "UserId": "ann"}], set()),
        (["delete_collection", office], {"StatusCode"}),
        (["list_faces", office], "ResourceNotFoundException"),
    ]  # fmt: skip
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    sent = [call if len(call) == 3 else [*call, "all"] for call, _ in calls]
    (tmp_path / "calls.json").write_text(json.dumps(sent))
    endpoint = str(service.base_url).rstrip("/") + "/compat/rekognition"
    ask("clients", "ask_rekognition.py", endpoint, *(str(tmp_path / name) for name in
        ("keys.json", "calls.json", "out.json")))  # fmt: skip
    answers = json.loads((tmp_path / "out.json").read_text())
    for (call, expected), answer in zip(calls, answers, strict=True):
        if expected == "pages":
            assert len(set(answer)) == 3
        elif isinstance(expected, str):
            assert answer.get("raised") == expected and answer["message"], (call, answer)
        else:
            assert set(answer) == expected, (call, answer)
    assert answers[17]["class"] == "ResourceNotFoundException"  # of the model, not ClientError

    ids = [answers[n]["FaceRecords"][0]["Face"]["FaceId"] for n in (1, 2, 3)]
    assert answers[1]["FaceRecords"][0]["Face"]["ExternalImageId"] == "ann-1"
    assert answers[4] == ids
    assert {face["FaceId"] for face in answers[6]["AssociatedFaces"]} == set(ids[:2])
    (match,) = answers[7]["FaceMatches"]
    assert match["Similarity"] > 90 and match["Face"]["UserId"] == "ann"
    assert answers[8]["UserMatches"][0]["User"]["UserId"] == "ann"
    assert answers[9]["FaceMatches"][0]["Face"]["FaceId"] in ids[:2]
    assert answers[11]["FaceMatches"][0]["Similarity"] > 99
    assert (answers[13]["FaceCount"], answers[13]["UserCount"]) == (3, 1)
    assert answers[13]["CreationTimestamp"].startswith("20")
    assert answers[35]["DeletedFaces"] == [ids[0]]
    (kept,) = answers[35]["UnsuccessfulFaceDeletions"]
    assert kept["Reasons"] == ["ASSOCIATED_TO_AN_EXISTING_USER"]


def test_a_script_changes_one_line(service: Client, data_dir: Path, tmp_path: Path) -> None:
    before, after = scripts("rekognition")
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == 1 and "endpoint_url=" in changed[0][1]
    pairs = data_dir / "data/deepface-pairs"
    for name, photo in (("ann", "img1"), ("ben", "img3"), ("door", "img4")):
        shutil.copyfile(pairs / f"{photo}.jpg", tmp_path / f"{name}.jpg")
    script = "\n".join(after)
    address = "http://localhost:8000"
    assert script.count(address) == 1
    credentials = (
        "import os\n"
        "for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_DEFAULT_REGION'):\n"
        "    os.environ[name] = 'x'\n"
    )
    script = credentials + script.replace(address, str(service.base_url).rstrip("/"))
    (tmp_path / "after.py").write_text(script)
    said = run_script(judge("clients"), tmp_path / "after.py", home=tmp_path)
    assert re.fullmatch(r"ann \d\d\.\d+\n", said), said
