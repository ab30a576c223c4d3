"""YAML as plain values and back: bounded, strict about keys, with overrides and differences."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from arcid.errors import ConfigError, MissingExtra
from arcid.train.config.section import Section

MOST_VALUES, DEEPEST = 10_000, 32
MOST_CHARACTERS = 100_000
MOST_DIGITS = 18  # of a whole number; beyond it nothing counts


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots."""
    one: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            one |= flat(value, f"{prefix}{key}.")
        else:
            one[f"{prefix}{key}"] = value
    return one


def yaml_package() -> Any:
    """PyYAML. Raises ``MissingExtra``."""
    try:
        import yaml
    except ImportError:
        raise MissingExtra("reading a training config", "train") from None
    return yaml


def parse_yaml(text: str, name: str) -> Any:
    """YAML text as plain values. Raises ``ConfigError`` with the line.

    At most ``MOST_VALUES`` values, aliases counted as what they stand for, ``DEEPEST`` levels deep.
    """
    yaml = yaml_package()
    loader = None
    try:
        loader = _loader()(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}, DEEPEST) > MOST_VALUES:
            raise ConfigError(f"{name} stands for more than {MOST_VALUES:,} values")
        return loader.construct_document(node)
    except RecursionError:
        raise ConfigError(f"{name} is nested more than {DEEPEST} levels deep") from None
    except (ValueError, TypeError, OverflowError) as error:  # a day 32
        raise ConfigError(f"{name} holds what YAML cannot mean: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not readable"
        raise ConfigError(f"{name}{line} is not valid YAML: {problem}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _values(node: Any, counted: dict[int, int | None], deeper: int) -> int:
    """How many values a node stands for, aliases written out; raises ``RecursionError`` where it
    is nested more than ``deeper`` levels, or in itself."""
    if id(node) in counted:
        found = counted[id(node)]
        if found is None:
            raise RecursionError
        return found
    if deeper < 0:
        raise RecursionError
    counted[id(node)] = None
    inside = node.value if isinstance(node.value, list) else []
    parts = [part for entry in inside for part in (entry if isinstance(entry, tuple) else (entry,))]
    total = 1 + sum(_values(part, counted, deeper - 1) for part in parts)
    counted[id(node)] = total
    return total


@functools.cache
def _loader() -> Any:
    """A safe loader that refuses a key given twice and takes 5e-4 for the number it is."""
    yaml = yaml_package()

    class Loader(yaml.SafeLoader):  # type: ignore[misc,name-defined,unused-ignore]
        pass

    def wrong(what: str, node: Any) -> Exception:
        error: Exception = yaml.constructor.ConstructorError(None, None, what, node.start_mark)
        return error

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node.value, str):
                raise wrong("a key must be a plain word", key_node)
            if key_node.value in seen:
                raise wrong(f"the key {key_node.value!r} is given twice", key_node)
            seen.add(key_node.value)
        return cast(dict[Any, Any], loader.construct_mapping(node, deep=True))

    def integer(loader: Any, node: Any) -> int:
        if len(node.value.lstrip("+-")) > MOST_DIGITS:
            raise wrong("a number beyond all use", node)
        return cast(int, loader.construct_yaml_int(node))

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    Loader.add_constructor("tag:yaml.org,2002:int", integer)
    Loader.yaml_implicit_resolvers = {k: list(v) for k, v in Loader.yaml_implicit_resolvers.items()}
    number = re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789."))
    return Loader


def read_yaml(path: str | os.PathLike[str], what: str) -> tuple[str, str]:
    """Text and name of a YAML file, ``what`` it is. Raises ``ConfigError``."""
    where = Path(path)
    try:
        with where.open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
        if len(text) > MOST_CHARACTERS:
            raise ConfigError(
                f"the {what} {where.name} has more than {MOST_CHARACTERS:,} characters"
            )
        return text, where.name
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"the {what} {where.name} cannot be read: {reason}") from None


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Put the file's name before what a ``ConfigError`` says."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{name}: {error.message}", **error.details) from None


def dump(config: Section) -> str:
    """The resolved config as YAML; ``parse`` gives it back unchanged."""
    text: str = yaml_package().safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True)
    return text


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], *, ignore: Iterable[str] = ()
) -> list[str]:
    """``key: old → new`` for every key that differs, keys and sections in ``ignore`` left out."""
    before, after, skip = flat(dict(old)), flat(dict(new)), tuple(ignore)
    return [
        f"{key}: {before.get(key)!r} → {after.get(key)!r}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
        and not any(key == name or key.startswith(f"{name}.") for name in skip)
    ]


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set ``key.sub=value`` in nested mappings and lists. Raises ``ConfigError``."""
    key, equals, text = override.partition("=")
    if not equals or not re.fullmatch(r"\w+(\.\w+)*", key):
        raise ConfigError(f"override {override!r} must read key.sub=value, such as optim.lr=0.05")
    here: Any = tree
    parts = key.split(".")
    for part in parts[:-1]:
        if isinstance(here, list):
            here = here[_position(here, part, override)]
        else:
            if here.get(part) is None:
                here[part] = {}
            here = here[part]
        if not isinstance(here, (dict, list)):
            raise ConfigError(f"override {override!r}: {part} holds a value, not a section")
    value = parse_yaml(text, f"override {override!r}")
    if isinstance(here, list):
        here[_position(here, parts[-1], override)] = value
    else:
        here[parts[-1]] = value


def _position(items: list[Any], part: str, override: str) -> int:
    if not part.isdigit() or int(part) >= len(items):
        raise ConfigError(f"override {override!r}: the list has entries 0 to {len(items) - 1}")
    return int(part)


__all__ = [
    "apply_override",
    "differences",
    "dump",
    "flat",
    "named",
    "parse_yaml",
    "read_yaml",
    "yaml_package",
]
