"""The reference pages say what the code says, and what they show can be typed in."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import make_docs
import pytest

from arcid.cli import output

ROOT = Path(__file__).parents[2]

example_of = make_docs.example_of
COMMANDS = {n: c for n, c in make_docs.commands() if not hasattr(c, "commands")}


@pytest.mark.parametrize("name", make_docs.PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    text = (ROOT / "docs" / name).read_text("utf-8")
    assert text == make_docs.page(name), "run: python scripts/make_docs.py"


def test_a_stale_page_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_docs, "DOCS", tmp_path)
    assert make_docs.main(["--check"]) == 1 and not list(tmp_path.iterdir())
    assert make_docs.main([]) == 0 and make_docs.main(["--check"]) == 0
    (tmp_path / "settings.md").write_text("by hand", "utf-8")
    assert make_docs.main(["--check"]) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_with_an_example_that_parses(name: str) -> None:
    command = COMMANDS[name]
    assert len(command.help) > 15 and all(p.help for p in command.params)
    assert any("--json" in p.opts for p in command.params)
    words, path = shlex.split(example_of(command)), name.split()
    assert words[: len(path) + 1] == ["arcid", *path]
    command.make_context(name, words[len(path) + 1 :])


def test_the_list_of_commands_shows_one_sentence_of_each() -> None:
    for name, command in make_docs.commands():
        summary, *rest = command.help.split("\n\n")
        assert len(summary) < 100 and not re.search(r"[.?] [A-Z-]", summary), name
        assert not any("\n" in part for part in (summary, *rest)), f"{name}: wrapped in the source"


def test_every_exit_code_is_documented() -> None:
    text = (ROOT / "docs" / "concepts" / "command-line.md").read_text("utf-8")
    table = text.split("| code | meaning |")[1].split("\n\n")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)}
    names = ("OK", "REJECTED", "USAGE", "BAD_INPUT", "MODEL", "SERVICE", "INTERRUPTED")
    assert documented == {getattr(output, name) for name in names}


def test_every_variable_the_package_reads_is_in_the_settings() -> None:
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    read: set[str] = set()
    for file in (ROOT / "src" / "arcid").rglob("*.py"):
        read |= set(re.findall(r"\bARCID_[A-Z_]*[A-Z]\b", file.read_text("utf-8")))
    assert len(read) > 10
    assert {name for name in read if f"| `{name}` |" not in text} == set()
