"""docs/commands.md and the command line say the same."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from arcid.cli import app, output

TEXT = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^##+ arcid ([a-z -]+)\n(.*?)(?=^##|\Z)", TEXT, re.M | re.S))


def commands() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name, inner in getattr(command, "commands", {}).items():
            if hasattr(inner, "commands"):
                yield from walk(inner, (*path, name))
            else:
                yield " ".join((*path, name)), inner

    yield from walk(typer.main.get_command(app), ())


COMMANDS = dict(commands())


def options(command: Any) -> set[str]:
    found = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
    return {flag for flag in found if flag.startswith("-")} - {"--help"}


def test_the_sections_are_the_commands() -> None:
    assert set(SECTIONS) == set(COMMANDS)
    assert len(COMMANDS) > 25


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_option_is_documented(name: str) -> None:
    command, body = COMMANDS[name], SECTIONS[name]
    table = re.findall(r"^\| (`.*?) \|", body, re.M)
    documented = {word for cell in table for word in re.findall(r"`([^`]+)`", cell)}
    arguments = {p.metavar or p.name.upper() for p in command.params if p.opts[0][0] != "-"}
    assert documented == options(command) | arguments


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_parses(name: str) -> None:
    (example,) = re.findall(r"```bash\n(.*?)\n```", SECTIONS[name], re.S)
    words = shlex.split(example)
    path = name.split()
    assert words[: len(path) + 1] == ["arcid", *path]
    COMMANDS[name].make_context(name, words[len(path) + 1 :])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_speaks_json_and_says_what_it_does(name: str) -> None:
    assert "--json" in options(COMMANDS[name])
    assert len(COMMANDS[name].help or "") > 15
    assert all(p.help for p in COMMANDS[name].params)


def test_every_exit_code_is_documented() -> None:
    table = TEXT.split("| code | meaning |")[1].split("\n\n")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)}
    names = ("OK", "REJECTED", "USAGE", "BAD_INPUT", "MODEL", "SERVICE", "INTERRUPTED")
    assert documented == {getattr(output, name) for name in names}
