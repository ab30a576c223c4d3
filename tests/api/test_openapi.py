"""The OpenAPI description: reviewed in git, true, documented, and survived by the service.

After a wanted change: ``python -m tests.api.update_openapi`` writes the snapshot anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.serving import Client
from tests.toys import LeftHalf

from arcid import errors
from arcid.errors import ArcidError
from arcid.pipeline import load_landmarks
from arcid.protection import Keys
from arcid.server.app import create_app
from arcid.server.errors import HTTP_CODES, STATUS
from arcid.server.settings import Settings
from arcid.server.settings.service import Protocol

HERE = Path(__file__).parent
SNAPSHOT = HERE / "openapi.json"
DOCS = HERE.parent.parent / "docs" / "concepts" / "rest.md"
# raised by evaluation, training and watching, which no route reaches
ELSEWHERE = {"dataset_invalid", "checkpoint_invalid", "checkpoint_mismatch", "export_refused",
             "training_diverged", "source_unreadable", "camera_watched"}  # fmt: skip
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return create_app(Settings.load()).openapi()


def operations(schema: dict[str, Any]) -> list[tuple[str, str]]:
    return [(method.upper(), path) for path, item in schema["paths"].items() for method in item]


def test_the_snapshot_is_current(described: dict[str, Any]) -> None:
    written = json.loads(SNAPSHOT.read_text("utf-8"))
    assert written == json.loads(json.dumps(described)), (
        "the API changed; review it and run: python -m tests.api.update_openapi"
    )


def test_protocols_of_other_systems_are_no_part_of_it(described: dict[str, Any]) -> None:
    assert create_app(Settings.load(compat=",".join(get_args(Protocol)))).openapi() == described


def test_every_route_names_its_errors_and_itself(described: dict[str, Any]) -> None:
    for method, path in operations(described):
        operation = described["paths"][path][method.lower()]
        assert operation["description"], (method, path)
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")):
                schema = answer["content"]["application/json"]["schema"]
                assert schema["$ref"].endswith("/ErrorEnvelope"), (method, path, status)
    assert "HTTPValidationError" not in json.dumps(described)


def test_error_codes_are_documented() -> None:
    text = DOCS.read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", text, re.MULTILINE))

    def check(kind: type[ArcidError]) -> None:
        if kind.code in ELSEWHERE:
            return
        status = next(STATUS[base] for base in kind.__mro__ if base in STATUS)
        assert rows.get(kind.code) == str(status), f"{kind.code} {status}"
        for child in kind.__subclasses__():
            check(child)

    for kind in (errors.InputError, errors.ModelError, errors.CalibrationError,
                 errors.GalleryError, errors.ContractMismatch, errors.Overloaded,
                 errors.MissingExtra):  # fmt: skip
        check(kind)
    for code in ("host_refused", "origin_refused", "api_key_wrong", "internal_error"):
        assert code in rows
    for file in (HERE.parent.parent / "src" / "arcid" / "server").rglob("*.py"):
        if not {"console", "compat"} & set(file.parts):
            source = file.read_text("utf-8")
            refused = set(re.findall(r"HttpError\(\s*\d{3},\s*\"([a-z_]+)\"", source))
            assert refused <= set(rows), file.name
    for status, code in HTTP_CODES.items():
        if code != "forbidden":
            assert rows.get(code) == str(status), code


@pytest.fixture(scope="module")
def fuzzed(client: Client) -> Iterator[dict[str, str]]:
    """Ids that exist, a liveness check and landmarks, so that generated requests get past the first
    door."""
    client.services.passive._found, client.services.passive._asked = LeftHalf(), True
    client.services.pipeline.landmarks = load_landmarks()
    client.post("/v1/collections", json={"name": "fuzz"})
    person = client.post("/v1/collections/fuzz/people", json={"name": "Ann"}).json()["id"]
    yield {"collection": "fuzz", "person_id": person}
    client.services.pipeline.landmarks = None


@pytest.fixture
def keyless(client: Client) -> Iterator[None]:
    """A request that made a key would have all others refused."""
    yield
    book = Keys(client.gallery)
    for key in book.all():
        book.delete(key.id)
    client.services.keys.refresh()


schema = schemathesis.openapi.from_path(SNAPSHOT)


@pytest.mark.data
@schema.parametrize()
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_generated_requests_end_in_documented_answers(
    case: schemathesis.Case, client: Client, fuzzed: dict[str, str], keyless: None
) -> None:
    url = str(client.base_url).rstrip("/")
    case.call_and_validate(base_url=url, checks=CHECKS)
    known = {k: v for k, v in fuzzed.items() if k in (case.path_parameters or {})}
    if known and case.method != "DELETE" and "collection" in known:
        case.path_parameters = {**(case.path_parameters or {}), **known}
        case.call_and_validate(base_url=url, checks=CHECKS)
