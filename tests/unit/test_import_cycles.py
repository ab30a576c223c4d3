"""The wall against import cycles finds every kind of ring, and nothing but rings."""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
CONTRACT = runpy.run_path(str(ROOT / "scripts" / "import_cycles.py"))
RINGS = {
    "two modules": {"a.py": "import house.b", "b.py": "import house.a"},
    "a package and its module": {
        "room/__init__.py": "from house.room.door import knock",
        "room/door.py": "from house.room import bell",
    },
    "inside a function": {
        "a.py": "from house.b import x",
        "b.py": "def late():\n    from house.a import y",
    },
    "for type checkers": {
        "a.py": "from house.b import x",
        "b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.a import Y",
    },
    "three": {"a.py": "import house.b", "b.py": "import house.c", "c.py": "import house.a"},
}
STRAIGHT = {
    "room/__init__.py": "from house.room.door import knock",
    "room/door.py": "import house.b",
    "a.py": "import house.room\nimport house.b",
    "b.py": "",
}


def rings(folder: Path, files: dict[str, str]) -> list[list[str]]:
    for name, text in {"__init__.py": "", **files}.items():
        path = folder / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    graph = grimp.build_graph(
        "house",
        cache_dir=None,
        exclude_type_checking_imports=settings["exclude_type_checking_imports"],
    )
    contract = CONTRACT["NoImportCycles"]("no rings", {}, {})
    check = contract.check(graph, verbose=False)
    assert check.kept is not bool(check.metadata["rings"])
    found: list[list[str]] = check.metadata["rings"]
    return found


@pytest.mark.parametrize("kind", RINGS)
def test_rings_are_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (ring,) = rings(tmp_path, RINGS[kind])
    assert len(ring) == len(RINGS[kind])


def test_a_straight_house_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    assert rings(tmp_path, STRAIGHT) == []


def test_separate_rings_are_told_apart() -> None:
    graph = {"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"e", "torch"}, "e": {"c"}, "f": {"a"}}
    assert CONTRACT["import_rings"](graph) == [["a", "b"], ["c", "d", "e"]]
