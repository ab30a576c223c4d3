"""The table of the console's pages: complete, loadable, and read in the right order."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from arcid.server.console import pages, registry
from arcid.server.console.auth.roles import Permission
from arcid.server.console.ui.icons import svg

LISTED = [*registry.PAGES, *registry.ROUTES.values()]


@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: listed.function)
def test_what_is_listed_can_be_loaded(listed: registry.Page | registry.Route) -> None:
    build = registry.load(listed.function)
    assert inspect.iscoroutinefunction(build)
    taken = list(inspect.signature(build, eval_str=True).parameters.values())
    context = taken[0] if isinstance(listed, registry.Page) else taken[1]
    assert context.annotation.__name__ == "ConsoleContext"


def test_every_page_that_was_written_is_listed() -> None:
    framed = set()
    for path in Path(pages.__file__).parent.glob("[a-z]*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.AsyncFunctionDef) and not node.name.startswith("_"):
                called = {getattr(n, "id", "") for n in ast.walk(node)}
                if called & {"frame", "only_main"}:
                    framed.add(f"{path.stem}:{node.name}")
    assert framed == {page.function for page in registry.PAGES}


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("/people", "people"),
        ("/people/", "people"),
        ("/people/new", "enrol"),
        ("/duplicates", "duplicates"),
        ("/pairs", "duplicates"),
        ("/people/0123", "people"),
        ("/people/0123/more", None),
        ("/attendance/person/0123", "attendance"),
        ("/crop", "people"),
        ("/export/anything", "export"),
        ("/nothing", None),
    ],
)
def test_a_path_needs_the_permission_of_its_page(path: str, permission: Permission | None) -> None:
    assert registry.permission_for(path) == permission


def test_every_entry_of_the_navigation_has_an_icon() -> None:
    for page in registry.PAGES:
        if page.group:
            assert page.label and "<path" in svg(page.icon)
