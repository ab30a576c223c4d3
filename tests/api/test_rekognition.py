"""Rekognition's operations: what each needs, refuses, writes down and says."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.serving import Client, running

from arcid.events import Audit
from arcid.gallery import Gallery, NewFace
from arcid.protection import VERBS, Keys, Policies
from arcid.server import scopes
from arcid.server.compat.adapter import likeness
from arcid.server.compat.rekognition import bodies, faces
from arcid.server.compat.rekognition.telling import own_id
from arcid.server.compat.rekognition.wire import OPERATIONS, PREFIX
from arcid.server.deps import Services
from arcid.server.settings import Settings

pytestmark = pytest.mark.data
BOOT = "correct-horse-battery"
FaceBytes = Callable[[int], bytes]
Ask = Callable[..., Any]
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def service(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    database = tmp_path_factory.mktemp("rekognition") / "gallery.db"
    settings = Settings.load(database=str(database), api_keys=BOOT, compat="rekognition")
    with running(settings, pipeline, None) as client:
        yield client


def send(
    service: Client, operation: str, body: Any, key: str | None = BOOT, **more: Any
) -> httpx.Response:
    headers = {"X-Amz-Target": f"RekognitionService.{operation}",
               "Content-Type": "application/x-amz-json-1.1"}  # fmt: skip
    if key is not None:
        headers["X-Amz-Security-Token"] = key
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return service.post(PREFIX, content=content, headers=headers | more.pop("headers", {}), **more)


@pytest.fixture
def ask(service: Client, request: pytest.FixtureRequest) -> Ask:
    """In a collection of the test's own; what is answered, or the exception's name."""
    name = request.node.name[:60]
    service.gallery.create_collection(name)

    def asking(operation: str, /, **body: Any) -> Any:
        answer = send(service, operation, {"CollectionId": name} | body)
        told = answer.json()
        assert answer.headers["x-amzn-requestid"] == answer.headers["x-request-id"]
        assert answer.headers["content-type"] == "application/x-amz-json-1.1"
        if answer.status_code == 200:
            return told
        return refused(answer)

    return asking


def refused(answer: httpx.Response, status: int = 400) -> str:
    told = answer.json()
    assert answer.status_code == status and set(told) == {"__type", "Message"}, told
    assert told["Message"] and answer.headers["x-amzn-errortype"] == told["__type"]
    return str(told["__type"])


def image(photo: bytes) -> dict[str, str]:
    return {"Bytes": base64.b64encode(photo).decode()}


def key_of(service: Client, name: str, verbs: Any, **more: Any) -> str:
    _, secret = Keys(service.gallery).add(name, verbs, **more)
    service.services.keys.refresh()
    return secret


def test_a_body_shows_no_picture(face: FaceBytes) -> None:
    sent = image(face(1))
    body = bodies.DetectFaces.model_validate({"Image": sent})
    assert body.Image.Bytes == sent["Bytes"] and sent["Bytes"][:20] not in repr(body)


def test_every_operation_needs_a_verb() -> None:
    ours = {name for name in scopes.ADAPTERS if name.startswith("rekognition_")}
    assert ours == {f"rekognition_{name}" for name in OPERATIONS}


def test_keys_are_session_tokens(service: Client) -> None:
    def refusal(key: str | None, **headers: str) -> str:
        return refused(send(service, "ListCollections", {}, key, headers=headers))

    assert refusal(None) == "MissingAuthenticationTokenException"
    signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={BOOT}/20261129/x/rekognition/aws4"}
    assert refusal(None, **signed) == "MissingAuthenticationTokenException"
    assert refusal("no-key-of-this-service") == "UnrecognizedClientException"
    ended = key_of(service, "ended", ["read"])
    Keys(service.gallery).revoke("ended")
    service.services.keys.refresh()
    assert refusal(ended) == "ExpiredTokenException"
    slow = key_of(service, "slow", VERBS, per_minute=1)
    assert send(service, "ListCollections", {}, slow).status_code == 200
    assert refusal(slow) == "ProvisionedThroughputExceededException"


@pytest.mark.parametrize("verb", ["read", "search", "enrol", "delete", "admin"])
def test_a_key_without_the_verb_is_refused(service: Client, verb: str) -> None:
    key = key_of(service, f"all but {verb}", set(VERBS) - {verb})
    before = service.gallery.last_change()
    asked = [name for name in OPERATIONS if scopes.ADAPTERS[f"rekognition_{name}"].verb == verb]
    for name in asked:
        assert refused(send(service, name, b"not read", key)) == "AccessDeniedException"
    assert asked and service.gallery.last_change() == before


def test_a_key_of_one_collection_reaches_no_other(service: Client, face: FaceBytes) -> None:
    for name in ("ours", "theirs"):
        service.gallery.create_collection(name)
    key = key_of(service, "ours only", VERBS, collections=["ours"])
    every = {"FaceId": NOBODY, "FaceIds": [NOBODY], "UserId": "ann", "Image": image(face(1))}
    for name in OPERATIONS:
        reach = scopes.ADAPTERS[f"rekognition_{name}"].reach
        for collection in ("theirs", "nowhere"):
            members = OPERATIONS[name].body.model_fields
            body = {k: v for k, v in every.items() if k in members} | {"CollectionId": collection}
            if name == "SearchUsers":
                del body["FaceId"]
            if reach != "none":
                assert refused(send(service, name, body, key)) == "AccessDeniedException"
    assert send(service, "ListFaces", {"CollectionId": "ours"}, key).json()["Faces"] == []
    assert send(service, "DetectFaces", {"Image": image(face(1))}, key).status_code == 200


def test_calls_that_mean_nothing(service: Client, ask: Ask, face: FaceBytes) -> None:
    parameter = "InvalidParameterException"
    assert ask("DetectLabels") == ask("StartFaceSearch") == "UnknownOperationException"
    other = send(service, "ListFaces", {}, headers={"X-Amz-Target": "Other.ListFaces"})
    assert refused(other) == "UnknownOperationException"
    got = service.get(PREFIX, headers={"X-Amz-Security-Token": BOOT, "accept": "text/html"})
    assert refused(got) == "UnknownOperationException"
    assert refused(send(service, "ListFaces", b"{")) == "SerializationException"
    assert refused(send(service, "ListFaces", [])) == parameter
    assert ask("CreateCollection", CollectionId="a b") == parameter
    assert ask("CreateCollection", CollectionId="x" * 256) == parameter
    assert ask("ListFaces", MaxResults=4097) == ask("ListUsers", MaxResults=0) == parameter
    assert ask("ListFaces", CollectionId="nowhere") == "ResourceNotFoundException"
    assert ask("ListFaces", NextToken="x") == "InvalidPaginationTokenException"
    assert ask("SearchFaces", FaceId=NOBODY) == "ResourceNotFoundException"
    assert ask("SearchFaces", FaceId="none") == "ResourceNotFoundException"
    assert ask("SearchUsers") == ask("SearchUsers", FaceId=NOBODY, UserId="ann") == parameter
    assert ask("ListFaces", UserId="ann") == "ResourceNotFoundException"
    search = "SearchFacesByImage"
    assert ask(search, Image={}) == ask(search, Image={"Bytes": "?"}) == parameter
    elsewhere = {"S3Object": {"Bucket": "b", "Name": "n"}}
    assert ask(search, Image=elsewhere) == "InvalidS3ObjectException"
    assert ask(search, Image=image(b"no picture")) == "InvalidImageFormatException"
    assert ask(search, Image=image(b"x" * (17 * 2**20))) == "ImageTooLargeException"
    assert ask(search, Image=image(face(1)), FaceMatchThreshold=101) == parameter
    huge = send(service, search, b"x" * (65 * 2**20))
    assert refused(huge) == "ImageTooLargeException"


def test_collections(service: Client) -> None:
    def ask(operation: str, **body: Any) -> Any:
        answer = send(service, operation, body)
        return answer.json() if answer.status_code == 200 else refused(answer)

    made = ask("CreateCollection", CollectionId="a.office-1", Tags={"site": "north"})
    contract = service.services.contract_id
    assert made["StatusCode"] == 200 and made["FaceModelVersion"] == contract
    assert ask("CreateCollection", CollectionId="a.office-1") == "ResourceAlreadyExistsException"
    ask("CreateCollection", CollectionId="a.office-2")
    first = ask("ListCollections", MaxResults=1)
    assert len(first["CollectionIds"]) == len(first["FaceModelVersions"]) == 1
    rest = ask("ListCollections", NextToken=first["NextToken"])
    assert {"a.office-1", "a.office-2"} <= {*first["CollectionIds"], *rest["CollectionIds"]}
    assert "NextToken" not in rest
    long = ["l" * 199 + end for end in "ab"]  # a token has more than 255 characters then
    for name in long:
        ask("CreateCollection", CollectionId=name)
    page, names = first, [*first["CollectionIds"]]
    while token := page.get("NextToken"):
        page = ask("ListCollections", MaxResults=1, NextToken=token)
        names += page["CollectionIds"]
    assert {*long, "a.office-2"} <= {*names}
    told = ask("DescribeCollection", CollectionId="a.office-1")
    assert (told["FaceCount"], told["UserCount"]) == (0, 0)
    assert told["CollectionARN"] == made["CollectionArn"] and told["CreationTimestamp"] > 1.7e9
    assert ask("DeleteCollection", CollectionId="a.office-1") == {"StatusCode": 200}
    gone = ask("DescribeCollection", CollectionId="a.office-1")
    assert gone == "ResourceNotFoundException"


def test_faces_are_indexed_listed_and_deleted(
    ask: Ask, face: FaceBytes, photo: Callable[[str], bytes], service: Client
) -> None:
    group = image(photo("photos/group/friends.jpg"))
    done = ask("IndexFaces", Image=group, ExternalImageId="party", MaxFaces=2, QualityFilter="NONE")
    assert len(done["FaceRecords"]) == 2 and len(done["UnindexedFaces"]) > 1
    assert {r for one in done["UnindexedFaces"] for r in one["Reasons"]} == {"EXCEEDS_MAX_FACES"}
    record = done["FaceRecords"][0]
    assert record["Face"]["ExternalImageId"] == "party" and "UserId" not in record["Face"]
    assert record["Face"]["BoundingBox"] == record["FaceDetail"]["BoundingBox"]
    assert {one["Face"]["ImageId"] for one in done["FaceRecords"]} == {record["Face"]["ImageId"]}
    detail = record["FaceDetail"]
    assert set(detail) == {"BoundingBox", "Confidence", "Landmarks", "Pose", "Quality"}
    assert all(0 <= value <= 1 for value in detail["BoundingBox"].values())
    left, right = (m["X"] for m in detail["Landmarks"][:2])
    assert left < right and 50 < detail["Confidence"] <= 100
    again = ask("IndexFaces", Image=group, MaxFaces=2, QualityFilter="NONE")
    assert [one["Face"] for one in again["FaceRecords"]] == [
        one["Face"] for one in done["FaceRecords"]
    ]

    corrected = ask("IndexFaces", Image=group, ExternalImageId="ball", MaxFaces=1)
    (ball,) = (one["Face"] for one in corrected["FaceRecords"])
    assert ball["ExternalImageId"] == "ball" and ball["FaceId"] != record["Face"]["FaceId"]
    assert ask("DeleteFaces", FaceIds=[ball["FaceId"]])["DeletedFaces"] == [ball["FaceId"]]

    blurred = ask("IndexFaces", Image=image(photo("photos/misc/blur.jpg")))
    assert blurred["FaceRecords"] == []
    assert "LOW_SHARPNESS" in blurred["UnindexedFaces"][0]["Reasons"]
    nobody = ask("IndexFaces", Image=image(photo("photos/misc/no_face.png")))
    assert nobody["FaceRecords"] == nobody["UnindexedFaces"] == []

    first = ask("ListFaces", MaxResults=1)
    rest = ask("ListFaces", NextToken=first["NextToken"])
    listed = [*first["Faces"], *rest["Faces"]]
    assert [one["FaceId"] for one in listed] == [
        one["Face"]["FaceId"] for one in done["FaceRecords"]
    ]
    wanted = listed[1]["FaceId"]
    assert [f["FaceId"] for f in ask("ListFaces", FaceIds=[wanted, NOBODY])["Faces"]] == [wanted]
    gone = ask("DeleteFaces", FaceIds=[wanted, NOBODY, "x"])
    assert gone["DeletedFaces"] == [wanted]
    assert [one["Reasons"] for one in gone["UnsuccessfulFaceDeletions"]] == [["FACE_NOT_FOUND"]] * 2
    assert ask("DescribeCollection")["FaceCount"] == 1


def test_two_requests_at_a_time_index_one_face(
    ask: Ask, face: FaceBytes, service: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = faces._index
    told: list[Any] = []

    def both(gallery: Gallery, collection: str, new: Sequence[NewFace]) -> Any:
        barrier = threading.Barrier(2, timeout=20)
        looked = Gallery.photo_known

        def together(*args: Any, **more: Any) -> Any:
            known = looked(*args, **more)
            if not more:
                barrier.wait()  # both have looked, neither has written
            return known

        monkeypatch.setattr(Gallery, "photo_known", together)
        with ThreadPoolExecutor(2) as two:
            told.extend(two.map(lambda _: index(gallery, collection, new), range(2)))
        monkeypatch.setattr(Gallery, "photo_known", looked)
        return told[0]

    monkeypatch.setattr(faces, "_index", both)
    done = ask("IndexFaces", Image=image(face(1)), ExternalImageId="n1")
    assert told[0] == told[1] == [done["FaceRecords"][0]["Face"]]
    assert (ask("DescribeCollection")["FaceCount"], ask("ListFaces")["Faces"]) == (1, told[0])


def test_what_is_deleted_or_given_away_meanwhile_is_no_error(
    ask: Ask, face: FaceBytes, service: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [ask("IndexFaces", Image=image(face(n)))["FaceRecords"][0]["Face"]["FaceId"]
           for n in (1, 2, 3)]  # fmt: skip
    ask("CreateUser", UserId="ann")
    ask("AssociateFaces", UserId="ann", FaceIds=[ids[0]])
    meanwhile = [("AssociateFaces", {"UserId": "ann", "FaceIds": [ids[1]]}),
                 ("DeleteFaces", {"FaceIds": [ids[2]]})]  # fmt: skip
    identify, faces_of = Services.identify, Gallery.faces

    def change() -> None:
        while meanwhile:
            operation, body = meanwhile.pop()
            ask(operation, **body)

    def identified(*args: Any, **more: Any) -> Any:
        found = identify(*args, **more)
        change()
        return found

    def listed(*args: Any, **more: Any) -> Any:
        found = faces_of(*args, **more)
        change()
        return found

    monkeypatch.setattr(Services, "identify", identified)
    found = ask("SearchFacesByImage", Image=image(face(4)), FaceMatchThreshold=0)
    assert meanwhile == []
    assert [
        (m["Face"]["UserId"], m["Face"]["FaceId"] in ids[:2]) for m in found["FaceMatches"]
    ] == [("ann", True)]
    other, hers = (
        ask("IndexFaces", Image=image(face(n)))["FaceRecords"][0]["Face"]["FaceId"] for n in (3, 5)
    )
    meanwhile += [("DeleteFaces", {"FaceIds": [other]}),
                  ("AssociateFaces", {"UserId": "ann", "FaceIds": [hers]})]  # fmt: skip
    monkeypatch.setattr(Gallery, "faces", listed)
    told = ask("ListFaces")["Faces"]
    assert [(one["FaceId"], one["UserId"]) for one in told] == [
        (one, "ann") for one in (*ids[:2], hers)
    ]
    assert meanwhile == []


def test_what_another_door_named_is_reached_by_its_name(
    ask: Ask, face: FaceBytes, service: Client
) -> None:
    hall, user = "Head office", "Zoë O\u2019Hara"
    service.gallery.create_collection(hall)
    service.gallery.add_person(hall, user)
    in_hall = {"CollectionId": hall}
    assert ask("ListUsers", **in_hall)["Users"] == [{"UserId": user, "UserStatus": "CREATED"}]
    done = ask("IndexFaces", **in_hall, Image=image(face(1)))
    face_id = done["FaceRecords"][0]["Face"]["FaceId"]
    whose = in_hall | {"UserId": user}
    given = ask("AssociateFaces", **whose, FaceIds=[face_id])
    assert given["AssociatedFaces"] == [{"FaceId": face_id}]
    assert [one["UserId"] for one in ask("ListFaces", **whose)["Faces"]] == [user]
    assert ask("SearchUsers", **whose)["SearchedUser"] == {"UserId": user}
    ask("DisassociateFaces", **whose, FaceIds=[face_id])
    assert ask("DeleteUser", **whose) == {}
    parameter = "InvalidParameterException"
    assert ask("CreateUser", **whose) == ask("CreateUser", UserId="a b") == parameter
    assert ask("ListFaces", CollectionId="") == ask("ListFaces", UserId="") == parameter


def test_searches_are_calibrated_and_written_down(
    ask: Ask, face: FaceBytes, photo: Callable[[str], bytes], service: Client, pipeline: Any,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    ids = {}
    for number in (1, 2, 3):
        done = ask("IndexFaces", Image=image(face(number)), ExternalImageId=f"n{number}")
        ids[number] = done["FaceRecords"][0]["Face"]["FaceId"]
    found = ask("SearchFacesByImage", Image=image(face(4)))
    (answer,) = pipeline.identify(face(4), service.gallery, request.node.name)
    best = answer.candidates[0]
    stated = 100 * likeness(pipeline.calibration, best.cosine, among=3)
    assert found["FaceMatches"][0]["Similarity"] == pytest.approx(stated, abs=2e-4)
    assert {m["Face"]["ExternalImageId"] for m in found["FaceMatches"]} == {"n1", "n2"}
    assert 50 < found["SearchedFaceConfidence"] <= 100 and found["SearchedFaceBoundingBox"]
    every = ask("SearchFacesByImage", Image=image(face(4)), FaceMatchThreshold=0)
    assert len(every["FaceMatches"]) == 3
    likely = [match["Similarity"] for match in every["FaceMatches"]]
    assert likely == sorted(likely, reverse=True)
    assert len(ask("SearchFacesByImage", Image=image(face(4)), MaxFaces=1)["FaceMatches"]) == 1
    near = ask("SearchFaces", FaceId=ids[1])
    assert near["SearchedFaceId"] == ids[1]
    assert [match["Face"]["FaceId"] for match in near["FaceMatches"]] == [ids[2]]
    no_face = image(photo("photos/misc/no_face.png"))
    assert ask("SearchFacesByImage", Image=no_face) == "InvalidParameterException"
    blurred = image(photo("photos/misc/blur.jpg"))
    refused_too = ask("SearchFacesByImage", Image=blurred, QualityFilter="AUTO")
    assert refused_too == "InvalidParameterException"

    service.services.looks.write(service.gallery)
    rows = Audit(service.gallery).find(verb="search", collection=request.node.name)
    assert [row.verb for row in rows] == ["search.person"] + ["search.photo"] * 3
    assert all(row.actor.startswith("key:") and row.details["found"] for row in rows)


def test_users(
    ask: Ask, face: FaceBytes, photo: Callable[[str], bytes], service: Client, request: Any
) -> None:
    ids = {
        number: ask("IndexFaces", Image=image(face(number)))["FaceRecords"][0]["Face"]["FaceId"]
        for number in (1, 2, 3, 5)
    }
    for user in ("ann", "bea"):
        assert ask("CreateUser", UserId=user, ClientRequestToken="t") == {}
    assert ask("CreateUser", UserId="ann") == "ConflictException"
    assert ask("ListUsers")["Users"][0] == {"UserId": "ann", "UserStatus": "CREATED"}
    assert ask("AssociateFaces", UserId="zoe", FaceIds=[ids[1]]) == "ResourceNotFoundException"

    done = ask("AssociateFaces", UserId="ann", FaceIds=[ids[1], ids[2], ids[3], NOBODY])
    assert [one["FaceId"] for one in done["AssociatedFaces"]] == [ids[1], ids[2]]
    assert done["UserStatus"] == "ACTIVE"
    low, missing = done["UnsuccessfulFaceAssociations"]
    assert low["Reasons"] == ["LOW_MATCH_CONFIDENCE"] and 0 <= low["Confidence"] < 75
    assert (low["FaceId"], missing["Reasons"]) == (ids[3], ["FACE_NOT_FOUND"])
    ask("AssociateFaces", UserId="bea", FaceIds=[ids[3]])
    (other,) = ask("AssociateFaces", UserId="bea", FaceIds=[ids[1]])["UnsuccessfulFaceAssociations"]
    assert (other["UserId"], other["Reasons"]) == ("ann", ["ASSOCIATED_TO_A_DIFFERENT_USER"])

    hers = ask("ListFaces", UserId="ann")["Faces"]
    assert [one["FaceId"] for one in hers] == [ids[1], ids[2]]
    assert {one["UserId"] for one in hers} == {"ann"}
    assert ask("DescribeCollection")["UserCount"] == 2
    (refusal,) = ask("DeleteFaces", FaceIds=[ids[1]])["UnsuccessfulFaceDeletions"]
    assert refusal["Reasons"] == ["ASSOCIATED_TO_AN_EXISTING_USER"]

    found = ask("SearchUsersByImage", Image=image(face(4)))
    assert [match["User"] for match in found["UserMatches"]] == [
        {"UserId": "ann", "UserStatus": "ACTIVE"}
    ]
    assert found["SearchedFace"]["FaceDetail"] and found["UnsearchedFaces"] == []
    nobody, blurred = image(photo("photos/misc/no_face.png")), image(photo("photos/misc/blur.jpg"))
    empty = ask("SearchUsersByImage", Image=nobody)
    assert empty["UserMatches"] == empty["UnsearchedFaces"] == [] and "SearchedFace" not in empty
    poor = ask("SearchUsersByImage", Image=blurred, QualityFilter="AUTO")
    assert poor["UserMatches"] == [] and "SearchedFace" not in poor
    assert "LOW_SHARPNESS" in poor["UnsearchedFaces"][0]["Reasons"]
    by_face = ask("SearchUsers", FaceId=ids[5])
    assert by_face["UserMatches"][0]["User"]["UserId"] == "ann"
    assert by_face["SearchedFace"] == {"FaceId": ids[5]}
    by_user = ask("SearchUsers", UserId="ann", UserMatchThreshold=0)
    assert [match["User"]["UserId"] for match in by_user["UserMatches"]] == ["bea"]
    assert by_user["SearchedUser"] == {"UserId": "ann"}

    again = ask("AssociateFaces", UserId="ann", FaceIds=[ids[1]])  # is hers already
    assert again["AssociatedFaces"] == again["UnsuccessfulFaceAssociations"] == []
    parted = ask("DisassociateFaces", UserId="ann", FaceIds=[ids[1], ids[3], ids[5], NOBODY])
    assert parted["DisassociatedFaces"] == [{"FaceId": ids[1]}]
    assert [one["Reasons"] for one in parted["UnsuccessfulFaceDisassociations"]] == [
        ["ASSOCIATED_TO_A_DIFFERENT_USER"], ["FACE_NOT_FOUND"],
    ]  # fmt: skip
    assert parted["UnsuccessfulFaceDisassociations"][0]["UserId"] == "bea"  # ids[5] is nobody's
    last = ask("DisassociateFaces", UserId="ann", FaceIds=[ids[2]])
    assert last["UserStatus"] == "CREATED"
    assert ask("DeleteUser", UserId="bea") == {}
    assert ask("DeleteUser", UserId="bea") == "ResourceNotFoundException"
    told = ask("ListFaces")["Faces"]
    assert {one["FaceId"] for one in told} == set(ids.values())
    assert not any("UserId" in one for one in told)
    assert [one["UserId"] for one in ask("ListUsers")["Users"]] == ["ann"]
    # people who were enrolled by another door are users too
    service.gallery.add_person(request.node.name, "Cleo")
    assert [one["UserId"] for one in ask("ListUsers")["Users"]] == ["ann", "Cleo"]


def test_of_a_face_that_got_others_only_itself_is_meant(
    ask: Ask, face: FaceBytes, service: Client, request: pytest.FixtureRequest
) -> None:
    gallery, name = service.gallery, request.node.name
    one, two, three = (
        ask("IndexFaces", Image=image(face(n)))["FaceRecords"][0]["Face"]["FaceId"]
        for n in (1, 2, 3)
    )
    owner, *others = (gallery.face(name, own_id(i)).person_id for i in (one, two, three))
    for other in others:
        gallery.merge_people(name, owner, other)
    ask("CreateUser", UserId="ann")
    done = ask("AssociateFaces", UserId="ann", FaceIds=[one])
    assert done["AssociatedFaces"] == [{"FaceId": one}]
    assert [f["FaceId"] for f in ask("ListFaces", UserId="ann")["Faces"]] == [one]
    assert ask("DeleteFaces", FaceIds=[two])["DeletedFaces"] == [two]
    assert [f["FaceId"] for f in ask("ListFaces")["Faces"]] == [one, three]
    assert ask("DeleteFaces", FaceIds=[three])["DeletedFaces"] == [three]
    assert [person.name for person in gallery.people(name)] == ["ann"]


def test_photos_are_compared(ask: Ask, face: FaceBytes, photo: Callable[[str], bytes]) -> None:
    same = ask("CompareFaces", SourceImage=image(face(1)), TargetImage=image(face(4)))
    assert same["FaceMatches"][0]["Similarity"] > 99 and same["UnmatchedFaces"] == []
    assert set(same["SourceImageFace"]) == {"BoundingBox", "Confidence"}
    other = ask("CompareFaces", SourceImage=image(face(3)), TargetImage=image(face(4)))
    assert other["FaceMatches"] == [] and len(other["UnmatchedFaces"]) == 1
    group = image(photo("photos/group/friends.jpg"))
    every = ask("CompareFaces", SourceImage=group, TargetImage=group, SimilarityThreshold=0)
    assert len(every["FaceMatches"]) > 2 and every["FaceMatches"][0]["Similarity"] > 99.9
    nobody = image(photo("photos/misc/no_face.png"))
    assert ask("CompareFaces", SourceImage=nobody, TargetImage=group) == "InvalidParameterException"
    assert ask("CompareFaces", SourceImage=group, TargetImage=nobody) == "InvalidParameterException"
    found = ask("DetectFaces", Image=group, Attributes=["ALL"])["FaceDetails"]
    areas = [one["BoundingBox"]["Width"] * one["BoundingBox"]["Height"] for one in found]
    assert len(areas) > 2 and areas == sorted(areas, reverse=True)
    assert ask("DetectFaces", Image=nobody) == {"FaceDetails": []}


def test_consent_is_demanded_here_too(
    ask: Ask, face: FaceBytes, service: Client, request: pytest.FixtureRequest
) -> None:
    Policies(service.gallery).change(request.node.name, consent=True)
    assert ask("IndexFaces", Image=image(face(1))) == "InvalidParameterException"
    assert ask("DescribeCollection")["FaceCount"] == 0
