"""What stands around the code says what is so: links, verbs, versions."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import arcid
import arcid.errors
from arcid.cli import app

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob(".github/*.md"), *ROOT.glob("docs/**/*.md")])
WRITTEN_BY_HAND = [ROOT / ".pre-commit-config.yaml", ROOT / ".github/workflows/ci.yml", *PAGES]
VERBS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_what_its_python_imports_is_there(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
        for line in ast.walk(ast.parse(block)):
            if isinstance(line, ast.ImportFrom):
                exec(ast.unparse(line))


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_command_it_shows_parses(page: Path) -> None:
    if page.name == "commands.md":
        pytest.skip("made from the code, where every example is tested")
    blocks = re.findall(r"^```(?:bash|sh)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    for line in re.findall(r"^arcid .*$", "\n".join(blocks).replace("\\\n", " "), re.M):
        words = shlex.split(re.split(r"\s(?:\|\|?|&&|>)\s", line)[0], comments=True)[1:]
        command: Any = typer.main.get_command(app)
        name = []
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, line
            command = command.commands[words[0]]
            name.append(words.pop(0))
        command.make_context(" ".join(name), words)


def test_every_verb_that_is_named_is_one() -> None:
    named = {
        verb
        for page in WRITTEN_BY_HAND
        for verbs in re.findall(r"(?:^|`|: )make ((?:[a-z]+ ?)+)", page.read_text("utf-8"), re.M)
        for verb in verbs.split()
    }
    assert {"test", "lint", "types", "walls"} <= named
    assert named <= VERBS


def test_the_version_stands_in_one_place() -> None:
    assert "version" in PROJECT["dynamic"]
    assert "version" not in PROJECT
    source = (ROOT / "src/arcid/__init__.py").read_text("utf-8")
    assert re.findall(r'__version__ = "(.*)"', source) == [arcid.__version__]


def test_constraints_pin_every_dependency_within_its_range() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    assert "//" not in text  # no addresses of registries
    pinned: dict[str, list[Requirement]] = {}
    for pin in map(Requirement, text.splitlines()):
        pinned.setdefault(canonicalize_name(pin.name), []).append(pin)
    asked = list(chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()))
    for dependency in map(Requirement, asked):
        pins = pinned[canonicalize_name(dependency.name)]
        for pin in pins:
            (exact,) = pin.specifier
            assert exact.operator == "=="
            assert dependency.specifier.contains(exact.version), str(pin)


def locked() -> dict[str, tuple[Requirement, str]]:
    """By name: what ``locked.txt`` pins, and the hashes beside it."""
    text = (ROOT / "locked.txt").read_text("utf-8")
    found = {}
    for block in re.split(r"\n(?=\S)", text.strip()):
        pin, *hashes = block.replace("\\\n", "\n").split("\n")
        assert hashes and all(re.fullmatch(r"\s*--hash=sha256:[0-9a-f]{64}\s*", h) for h in hashes)
        requirement = Requirement(pin)
        found[canonicalize_name(requirement.name)] = (requirement, "".join(hashes))
    return found


def test_what_is_released_is_locked_by_hashes_in_the_versions_that_are_tested() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    tested = {(canonicalize_name(pin.name), str(pin.specifier)) for pin in
              map(Requirement, text.splitlines())}  # fmt: skip
    pins = locked()
    known = {name for name, _ in tested}
    for name, (pin, _) in pins.items():
        assert name not in known or (name, str(pin.specifier)) in tested, str(pin)
    extras = re.findall(r"--extra (\w+)", (ROOT / "Makefile").read_text("utf-8"))
    assert {"server", "postgres", "mqtt"} <= set(extras)
    wanted = chain(
        PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)
    )
    for dependency in map(Requirement, wanted):
        (exact,) = pins[canonicalize_name(dependency.name)][0].specifier
        assert dependency.specifier.contains(exact.version), str(dependency)
    assert "hatchling" in pins  # builds arcid itself, without a look at the index
    docker = (ROOT / "Dockerfile").read_text("utf-8")
    assert "--require-hashes -r locked.txt" in docker


@pytest.mark.long
def test_a_release_says_what_it_is_made_of(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx_py", reason="pip install cyclonedx-bom")
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))
    steps = "\n".join(step.get("run", "") for step in workflow["jobs"]["build"]["steps"])
    (line,) = re.findall(r"^cyclonedx-py .*$", steps, re.M)
    words = shlex.split(line.replace("env/bin/python", sys.executable))[1:]
    words[words.index("--output-file") + 1] = str(tmp_path / "sbom.json")
    subprocess.run([sys.executable, "-m", "cyclonedx_py", *words], cwd=ROOT, check=True)
    made = json.loads((tmp_path / "sbom.json").read_text("utf-8"))
    assert (made["bomFormat"], made["metadata"]["component"]["name"]) == ("CycloneDX", "arcid")
    listed = {canonicalize_name(part["name"]) for part in made["components"]}
    assert {canonicalize_name(Requirement(d).name) for d in PROJECT["dependencies"]} <= listed


def test_the_audit_reads_both_lists() -> None:
    text = (ROOT / ".github/workflows/audit.yml").read_text("utf-8")
    assert "--require-hashes -r locked.txt" in text and "-r constraints.txt" in text


def test_the_workflow_runs_every_python_that_is_supported() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert PROJECT["requires-python"] == f">={matrix['python'][0]}"
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}


def test_the_library_page_has_every_public_name() -> None:
    page = (ROOT / "docs/library.md").read_text("utf-8")
    for name in set(arcid.__all__) - set(arcid.errors.__all__):
        assert re.search(rf"\b{name}\b", page), f"docs/library.md lacks {name}: add an example"


def test_the_site_has_every_page() -> None:
    shown = re.findall(r"[\w/-]+(?:\.md|/\*)", (ROOT / "docs/.nav.yml").read_text("utf-8"))
    for page in sorted((ROOT / "docs").glob("**/*.md")):
        path = page.relative_to(ROOT / "docs")
        assert {path.as_posix(), f"{path.parent}/*"} & set(shown), "add it to docs/.nav.yml"


def test_the_changelog_says_each_thing_once() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    entries = re.findall(r"^- .*$", text, re.M)
    assert len(entries) == len(set(entries))
    for version in text.split("\n## ")[1:]:
        kinds = re.findall(r"^### (\w+)$", version, re.M)
        order = ["Added", "Changed", "Fixed", "Removed"]
        assert kinds == [kind for kind in order if kind in kinds]
