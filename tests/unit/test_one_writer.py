"""``arcid.files`` is the one place that writes and moves files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What may, and why: none of these is an output that somebody else reads while it is written.
ALLOWED = {
    "src/arcid/files.py": "the writer",
    "src/arcid/apps/access/outputs/osdp.py: os.open": "a serial line",
    "src/arcid/cli/process.py: open('wb')": "os.devnull, which keeps nothing",
    "src/arcid/gallery/mark.py: open('r+b')": "numbers overwritten in place at every commit",
    "src/arcid/gallery/place.py: os.open": "an empty file with private rights, for SQLite to fill",
    "src/arcid/gallery/spare.py: os.open": "bytes that keep room free on the disk, of no meaning",
    "src/arcid/gallery/spare.py: os.fdopen": "the same",
    "src/arcid/models/pull.py: open('ab')": "a download that is gone on with, checked when whole",
    "src/arcid/train/data/files.py: os.open": "opened to read",
}
SYSTEM = {
    "os": {"open", "fdopen", "replace", "rename", "link", "fsync", "fdatasync", "truncate"},
    "shutil": {"move"},
    "tempfile": {"NamedTemporaryFile", "mkstemp", "TemporaryFile"},
}


def written(source: str) -> Iterator[str]:
    """Calls that write or move files, other than those of ``arcid.files``."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        function, owner = call.func, None
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            owner = function.value.id
        if owner == "files":
            continue
        method = isinstance(function, ast.Attribute) and owner not in SYSTEM
        positional = len(call.args) == 1 and not call.keywords
        if name in SYSTEM.get(owner or "", ()):
            yield f"{owner}.{name}"
        elif method and (
            name in ("write_text", "write_bytes")
            or (name == "rename" and positional)
            or (name == "replace" and positional and owner != "dataclasses")
        ):
            yield name
        elif name in ("open", "fdopen") and not any(k.arg == "fileobj" for k in call.keywords):
            for argument in [*call.args, *(k.value for k in call.keywords)]:
                mode = argument.value if isinstance(argument, ast.Constant) else None
                if (
                    isinstance(mode, str)
                    and set(mode) <= set("rwaxbt+")
                    and set(mode) & set("wax+")
                ):
                    yield f"open({mode!r})"


def test_nothing_else_writes_files() -> None:
    found: set[str] = set()
    for folder in ("src/arcid", "scripts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name not in ALLOWED:
                found |= {f"{name}: {call}" for call in written(path.read_text("utf-8"))}
    assert found - set(ALLOWED) == set(), "write with arcid.files"
    assert set(ALLOWED) - found == {"src/arcid/files.py"}, "no exception is needed here any more"


@pytest.mark.parametrize(
    "line",
    [
        "path.write_text(x)", "Path(p).write_bytes(x)", "path.open('w')", "open(p, 'ab')",
        "open(p, mode='x')", "os.replace(a, b)", "a.rename(b)", "a.replace(b)",
        "tempfile.mkstemp()", "zipfile.ZipFile(p).open('r+')",
    ],
)  # fmt: skip
def test_what_writes_is_seen(line: str) -> None:
    assert list(written(line))


@pytest.mark.parametrize(
    "line",
    [
        "files.write_text(p, x)", "files.replacing(p)", "'a'.replace('b', 'c')", "path.open('rb')",
        "now.replace(tzinfo=None)", "dataclasses.replace(a)", "archive.open(info)", "open(p)",
        "tarfile.open(fileobj=stream, mode='w')",
    ],
)  # fmt: skip
def test_what_does_not_is_not(line: str) -> None:
    assert not list(written(line))
