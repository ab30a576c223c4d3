"""What an editor is told about a recipe is what arcid reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import make_docs
import pytest

from arcid.train.config.file import parse_yaml
from arcid.train.config.section import Section

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "configs").glob("*.yaml"))


def schema_of(recipe: Path) -> dict[str, Any]:
    first = recipe.read_text("utf-8").splitlines()[0]
    path = first.removeprefix("# yaml-language-server: $schema=")
    found: dict[str, Any] = json.loads((recipe.parent / path).read_text("utf-8"))
    return found


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_as_the_schema_it_names(recipe: Path) -> None:
    tree = parse_yaml(recipe.read_text("utf-8"), recipe.name)
    schema = schema_of(recipe)
    jsonschema.validate(tree, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**tree, "oout": "runs/x"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**tree, "out": 3}, schema)


@pytest.mark.parametrize("kind", make_docs.SCHEMAS.values(), ids=lambda kind: kind.__name__)
def test_every_key_says_what_it_means(kind: type[Section]) -> None:
    made = json.loads(make_docs.schema(kind))
    for section in (made, *made["$defs"].values()):
        for name, field in section["properties"].items():
            assert field.get("description") or "$ref" in field, name
            assert "title" not in field
