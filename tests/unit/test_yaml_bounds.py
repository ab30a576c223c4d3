"""Recipes from strangers: YAML that grows, nests or means nothing is refused, quickly."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from arcid.errors import ConfigError
from arcid.train.config.file import MOST_CHARACTERS, parse_yaml
from arcid.train.config.recipe import load_config

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12)
)
BAD = {
    "billion laughs": (LAUGHS, "more than 10,000 values"),
    "deep brackets": ("[" * 5000 + "]" * 5000, "more than 32 levels"),
    "deep sections": ("".join(" " * i + "b:\n" for i in range(300)), "more than 32 levels"),
    "a list in itself": ("a: &a [*a]", "more than 32 levels"),
    "too many": ("a: [" + "1," * 20_000 + "]", "more than 10,000 values"),
    "a day of no calendar": ("a: 2026-13-45", "cannot mean"),
    "a number of 6,000 digits": ("a: " + "9" * 6000, "beyond all use"),
    "a list for a key": ("? [a]\n: b", "a plain word"),
    "two documents": ("a: 1\n---\nb: 2", "another document"),
    "a tag": ("a: !!python/object/apply:os.system [x]", "could not determine"),
    "control characters": ("\x00\x01", "not valid YAML"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_no_recipe_needs_is_refused(name: str) -> None:
    text, words = BAD[name]
    began = time.monotonic()
    with pytest.raises(ConfigError, match=words):
        parse_yaml(text, "recipe.yaml")
    assert time.monotonic() - began < 20


def test_anchors_may_be_used() -> None:
    text = "a: &x {b: 1, c: 2e-3}\nd: *x\ne: {<<: *x, b: 3}\n"
    assert parse_yaml(text, "t") == {
        "a": {"b": 1, "c": 0.002}, "d": {"b": 1, "c": 0.002}, "e": {"b": 3, "c": 0.002},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schedule: {epochs: " + "9" * 60 + "}", "beyond all use"),
        ("optim: {lr: 1" + "0" * 400 + "}", "beyond all use"),
        ("optim: {lr: .nan}", "finite"),
        ("x" * (MOST_CHARACTERS + 1), "characters"),
    ],
)
def test_numbers_and_sizes_beyond_use(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_config(tmp_path / "recipe.yaml", [])
