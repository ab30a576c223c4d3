"""Every word of the console comes from one catalogue, and every entry of it is used."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import get_args

import arcid
from arcid.apps import onboarding
from arcid.apps.onboarding.records import Effect
from arcid.server import console
from arcid.server.console import strings
from arcid.server.console.ui.icons import svg
from arcid.server.housekeeping import TASKS

FOLDER = Path(console.__file__).parent
SOURCES = {path: path.read_text("utf-8") for path in FOLDER.rglob("*.py")}
SHOWN = dict.fromkeys(
    (
        "text",
        "button",
        "card",
        "chip",
        "note",
        "say",
        "link_button",
        "input",
        "select",
        "checkbox",
        "dialog",
    ),
    slice(0, 1),
) | {
    "empty": slice(1, 3),
    "frame": slice(1, 2),
    "confirm": slice(0, 3),
    "ask": slice(0, 2),
    "Page": slice(3, 5),
}


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_no_page_shows_words_of_its_own() -> None:
    found = []
    for path, source in SOURCES.items():
        for call in calls(ast.parse(source)):
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            if name == "select" and getattr(getattr(call.func, "value", None), "id", "") != "ui":
                continue
            for value in call.args[SHOWN[name]] if name in SHOWN else []:
                if isinstance(value, ast.Constant) and value.value:
                    found.append(f"{path.name}: {name}({value.value!r})")
    assert found == []


def test_every_check_of_onboarding_has_a_name_on_its_page() -> None:
    made = {
        call.args[0].value
        for path in Path(onboarding.__file__).parent.glob("*.py")
        for call in calls(ast.parse(path.read_text("utf-8")))
        if getattr(call.func, "id", "") == "Check"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    assert len(made) > 20 and made == set(strings.ONBOARDING_CHECKS)
    assert set(strings.ONBOARDING_EFFECTS) == set(get_args(Effect))


def test_the_catalogue_holds_nothing_that_is_not_used() -> None:
    everything = "\n".join(SOURCES.values())
    names = [name for name in vars(strings) if name.isupper()]
    assert len(names) > 150
    used = set(re.findall(r"\b(?:S|strings)\.(\w+)", everything))
    assert [name for name in names if name not in used] == []


def test_a_name_is_written_down_once() -> None:
    written = [
        name.id
        for path in Path(strings.__file__).parent.glob("*.py")
        for statement in ast.parse(SOURCES[path]).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    ]
    assert [name for name, times in Counter(written).items() if times > 1] == []


def test_numbers_are_said_plainly() -> None:
    assert strings.percent(0.99999) == "over 99.9 %"
    assert strings.percent(0.0) == "under 0.1 %"
    assert strings.percent(0.973) == "97.3 %"
    assert strings.rate(1e-4) == "1 in 10,000"
    assert strings.rate(0.1) == "10.0 %"
    assert strings.duration(0.2) == "1 second"
    assert strings.duration(90) == "2 minutes"
    assert strings.duration(7200) == "2 hours"
    assert strings.bytes_(2048) == "2.0 KiB"
    assert strings.count(1, "1 face", "{n} faces") == "1 face"


def test_every_icon_named_in_a_page_is_drawn() -> None:
    for source in SOURCES.values():
        for name in re.findall(r'icon="([a-z]+)"|svg\("([a-z]+)"\)', source):
            assert "<path" in svg("".join(name))


def test_every_verb_of_the_audit_and_every_task_has_words() -> None:
    """Verbs are written down whole, or as a kind and a word of a fixed set."""
    source = "\n".join(
        path.read_text("utf-8") for path in Path(arcid.__file__).parent.rglob("*.py")
    )
    kinds = "|".join(strings.AUDIT_KINDS)
    files = ("csv", "db", "html", "js", "json", "key", "zip")
    written = set(re.findall(rf'"((?:{kinds})\.[a-z_]+)"', source))
    verbs = {verb for verb in written if not verb.endswith(files)}
    assert verbs - set(strings.AUDIT_VERBS) == set()
    assert {task.name for task in TASKS} <= set(strings.TASK_NAMES)
