"""The tree in the docstring of arcid.errors is the tree of the classes."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Iterator

import pytest

import arcid
from arcid import errors
from arcid.errors import ArcidError


def classes() -> Iterator[type[ArcidError]]:
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, ArcidError):
            yield value


def drawn() -> dict[str, str | None]:
    """Name → name of the parent, read from the box drawing."""
    lines = (inspect.getdoc(errors) or "").splitlines()
    tree: dict[str, str | None] = {}
    path: list[str] = []
    for line in lines:
        match = re.match(r"^ *((?:[│ ]   )*)(?:[├└]── )?([A-Z]\w+)(?: {2,}(.*))?$", line)
        if not match or (not path and match[2] != "ArcidError"):
            continue
        depth = len(match[1]) // 4 + ("── " in line)
        name, remark = match[2], match[3] or ""
        path[depth:] = [name]
        tree[name] = path[depth - 1] if depth else None
        # Leaves may be listed behind their parent: "NotFound   CollectionNotFound, PersonNotFound".
        if re.fullmatch(r"[A-Z]\w+(, [A-Z]\w+)*", remark):
            tree |= dict.fromkeys(remark.split(", "), name)
    return tree


def test_the_drawn_tree_is_the_class_tree() -> None:
    real = {
        cls.__name__: None if cls is ArcidError else cls.__bases__[0].__name__ for cls in classes()
    }
    assert drawn() == real
    assert all(len(cls.__bases__) == 1 for cls in classes())


def test_codes_are_unique_and_stable_looking() -> None:
    codes = [vars(cls)["code"] for cls in classes()]  # each class states its own
    assert len(codes) == len(set(codes))
    for code in codes:
        assert re.fullmatch(r"[a-z][a-z0-9_]+", code)


def test_all_is_complete() -> None:
    assert set(errors.__all__) == {cls.__name__ for cls in classes()}
    assert arcid.ArcidError is ArcidError


@pytest.mark.parametrize("cls", list(classes()), ids=lambda cls: cls.__name__)
def test_every_error_carries_message_and_details(cls: type[ArcidError]) -> None:
    assert cls.__doc__
    assert cls.__doc__ != ArcidError.__doc__ or cls is ArcidError
    if cls is errors.MissingExtra:
        error: ArcidError = errors.MissingExtra("serving", "server")
        assert "pip install 'arcid[server]'" in error.message
        assert error.details == {"extra": "server"}
    elif cls is errors.Overloaded:
        error = errors.Overloaded("the queue is full", retry_after_s=1.5)
        assert error.details == {"retry_after_s": 1.5}
    else:
        error = cls("what was wrong", faces=2)
        assert error.details == {"faces": 2}
        assert error.message == "what was wrong"
    assert str(error) == error.message
    again = pickle.loads(pickle.dumps(error))  # as it comes back from a worker process
    assert type(again) is cls and str(again) == str(error) and vars(again) == vars(error)
    with pytest.raises(ArcidError):
        raise error
