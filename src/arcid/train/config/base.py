"""A recipe that is a whole file, and may be laid on another by ``base``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from arcid.errors import ConfigError
from arcid.train.config.file import DEEPEST, apply_override, named, parse_yaml, read_yaml
from arcid.train.config.section import Section, build, kind_of


class Recipe(Section):
    """A section that is a whole file. Reading one raises ``ConfigError`` for whatever is wrong with
    file, base, overrides, keys and values, ``MissingExtra`` without PyYAML.

    ``overrides``: ``key.sub=value``, whose values are YAML; they win over the file, and that over
    its ``base``.
    """

    @classmethod
    def load(cls, path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Self:
        """From a YAML file, whose ``base`` is meant from its folder."""
        text, name = read_yaml(path, "config")
        return cls.parse(text, overrides, name=name, path=Path(path).resolve())

    @classmethod
    def parse(
        cls,
        text: str,
        overrides: Iterable[str] = (),
        *,
        name: str = "the config",
        path: Path | None = None,
    ) -> Self:
        """From YAML text; ``name`` stands in the messages, ``path`` is the file it comes from."""
        tree, files = _sections(text, name), [path or Path.cwd() / name]
        if "base" not in cls.model_fields:  # what a study calls so is the run it varies
            tree = _on_base(tree, files)
        for override in overrides:
            apply_override(tree, override)
        with named(" on ".join([name, *(file.name for file in files[1:])])):
            return build(cls, tree)


def _sections(text: str, name: str) -> dict[str, Any]:
    tree = parse_yaml(text, name)
    if not isinstance(tree, dict | None):
        raise ConfigError(f"{name} must be a mapping of sections, got {kind_of(tree)}")
    return tree or {}


def _on_base(tree: dict[str, Any], files: list[Path]) -> dict[str, Any]:
    """What the last of ``files`` says laid on what its ``base`` says, which is added to them."""
    if "base" not in tree:
        return tree
    own, base = {key: value for key, value in tree.items() if key != "base"}, tree["base"]
    with named(files[-1].name):
        if not isinstance(base, str):
            raise ConfigError(f"base: must be a file, got {kind_of(base)}", key="base")
        path = (files[-1].parent / expand_path(base)).resolve()
        if path in files or len(files) > DEEPEST:
            way = " → ".join(file.name for file in (*files, path))
            raise ConfigError(f"base: leads back to where it came from: {way}", key="base")
        text, name = read_yaml(path, "base")
    files.append(path)
    return _laid_on(_on_base(_sections(text, name), files), own)


def _laid_on(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Sections key by key, everything else whole; null leaves a key of the base to its default."""
    both = {key: value for key, value in base.items() if own.get(key, value) is not None}
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(both.get(key), dict):
            both[key] = _laid_on(both[key], value)
        elif value is not None or key not in base:
            both[key] = value
    return both


def expand_path(text: str) -> Path:
    """``${NAME}`` and ``~`` replaced.

    Raises ``ConfigError`` for a variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        variable = match[1] or match[2]
        if variable not in os.environ:
            raise ConfigError(f"{text!r} names the environment variable {variable}, not set here")
        return os.environ[variable]

    return Path(re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)).expanduser()


__all__ = ["Recipe", "expand_path"]
