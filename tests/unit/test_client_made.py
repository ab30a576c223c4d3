"""The client is in step with the service."""

from __future__ import annotations

import inspect
import json

import make_client
import openapi_operations
import pytest

from arcid.client import AsyncClient, Client, models

DESCRIBED = json.loads(make_client.SNAPSHOT.read_text("utf-8"))
NAMES = openapi_operations.public_names(DESCRIBED["components"]["schemas"])
OPERATIONS = {one.name: one for one in openapi_operations.operations(DESCRIBED, NAMES)}


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return make_client.written()


@pytest.mark.parametrize("name", ["models.py", "sync.py", "asynchronous.py"])
def test_the_client_is_in_step_with_the_openapi_snapshot(name: str, made: dict[str, str]) -> None:
    assert (make_client.ROOM / name).read_text("utf-8") == made[name], (
        f"the API changed, or somebody edited the client: run {make_client.COMMAND}"
    )


def test_both_have_every_operation() -> None:
    described = {
        told["operationId"] for path in DESCRIBED["paths"].values() for told in path.values()
    }
    assert described == set(OPERATIONS)
    for name in described:
        assert inspect.iscoroutinefunction(getattr(AsyncClient, name))
        one, other = (inspect.signature(getattr(kind, name)) for kind in (Client, AsyncClient))
        assert one.parameters == other.parameters
    lists = [name for name, one in OPERATIONS.items() if one.rows]
    assert len(lists) >= 15
    for name in lists:
        assert hasattr(Client, f"iter_{name.removeprefix('list_')}")


def test_every_answer_can_be_read() -> None:
    """No name of a field hides a type that another one has."""
    answers = [
        v for v in vars(models).values() if isinstance(v, type) and issubclass(v, models.Model)
    ]
    assert len(answers) > 100
    for answer in answers:
        answer.model_rebuild(force=True)


def test_what_may_be_sent_again_is_named_in_one_place() -> None:
    posts = {name for name, one in OPERATIONS.items() if one.method == "POST" and one.repeatable}
    assert posts == openapi_operations.REPEATABLE
    assert posts <= set(OPERATIONS), (
        "an operation was renamed: correct openapi_operations.REPEATABLE"
    )
    keyed = {n for n, o in OPERATIONS.items() if any(a.place == "once" for a in o.arguments)}
    assert {"enrol", "add_faces", "open_door"} <= keyed


def test_two_schemas_of_one_name_are_refused() -> None:
    twice: dict[str, object] = {"arcid__server__routes__keys__KeyOut": {}, "KeysKeyOut": {}}
    with pytest.raises(ValueError, match="one name"):
        openapi_operations.public_names(twice)
