"""YAML to frozen dataclasses and back: strict about keys and types, generous with advice.

Knows nothing of any one config; ``arcid.train.config.recipe`` says what there is to set.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import os
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from arcid.errors import ConfigError, MissingExtra

T = TypeVar("T")
MOST_VALUES, DEEPEST = 10_000, 32
MOST_CHARACTERS = 100_000
_INTEGERS = 2**63  # beyond it nothing counts


def refuse(where: str, what: str) -> typing.NoReturn:
    """Raise ``ConfigError`` about one key."""
    raise ConfigError(f"{where}: {what}", key=where)


def at_least(where: str, value: float, low: float) -> None:
    """Raise ``ConfigError`` about ``where`` for anything below ``low``, and for NaN."""
    if not value >= low:
        refuse(where, f"must be at least {low:g}, got {value:g}")


def share(where: str, value: float) -> None:
    """Raise ``ConfigError`` about ``where`` for what is not between 0 and 1."""
    if not 0 <= value <= 1:
        refuse(where, f"is a share and must lie in 0–1, got {value:g}")


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
    except (ValueError, TypeError, OverflowError) as error:  # a day 32, a number of 5,000 digits
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

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node.value, str):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a plain word", key_node.start_mark
                )
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} is given twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return cast(dict[Any, Any], loader.construct_mapping(node, deep=True))

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
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


def load(
    kind: type[T], path: str | os.PathLike[str], overrides: Iterable[str], what: str = "config"
) -> T:
    """``parse`` on a YAML file. Raises ``ConfigError``, ``MissingExtra``."""
    text, name = read_yaml(path, what)
    return parse(kind, text, overrides, name)


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


def parse(kind: type[T], text: str, overrides: Iterable[str], name: str) -> T:
    """A dataclass from YAML text and ``key.sub=value`` overrides; ``name`` stands in the messages.

    Raises ``ConfigError``, ``MissingExtra``.
    """
    tree = parse_yaml(text, name)
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{name} must be a mapping of sections, got {kind_of(tree)}")
    for override in overrides:
        apply_override(tree, override)
    with named(name):
        return build(kind, tree)


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Put the file's name before what a ``ConfigError`` says."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{name}: {error.message}", **error.details) from None


def to_dict(config: Any) -> dict[str, Any]:
    """Plain mappings and lists, complete: every key is there with the value that counts."""
    return cast(dict[str, Any], plain(dataclasses.asdict(config)))


def dump(config: Any) -> str:
    """The resolved config as YAML; ``parse`` gives it back unchanged."""
    text: str = yaml_package().safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
    return text


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


def build(kind: type[T], tree: Any, where: str = "", root: type[Any] | None = None) -> T:
    """A dataclass from plain mappings and lists, every key and type checked.

    A class with ``SHORTHAND`` takes a plain string for that field, one with ``FORMER`` also the
    former names of its fields. ``where`` is the key so far, ``root`` the outermost class, whose
    other sections are searched for a misplaced key. Raises ``ConfigError``.
    """
    root = root or kind
    if isinstance(tree, str) and (short := getattr(kind, "SHORTHAND", "")):
        tree = {short: tree}
    if tree is None and where:  # a section with nothing under it
        tree = {}
    if not isinstance(tree, Mapping):
        refuse(where or "config", f"must be a section, got {kind_of(tree)}")
    tree = _renamed(kind, tree, where)
    known = {item.name: item for item in _fields(kind)}
    for key in tree:
        if key not in known:
            _unknown(kind, str(key), where, root)
    hints = _hints(kind)
    values = {
        key: _coerce(hints[key], value, _join(where, key), root) for key, value in tree.items()
    }
    required = [
        name
        for name, item in known.items()
        if item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
        and name not in values
    ]
    if required:
        refuse(where or "config", f"needs {', '.join(required)}")
    return kind(**values)


def _renamed(kind: type[Any], tree: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The section with the former names of its keys replaced."""
    former: Mapping[str, str] = getattr(kind, "FORMER", {})
    for old in former.keys() & tree.keys():
        if former[old] in tree:
            refuse(_join(where, old), f"is now called {former[old]}; give one of the two")
    return {former.get(key, key): value for key, value in tree.items()}


def _unknown(kind: type[Any], key: str, where: str, root: type[Any]) -> typing.NoReturn:
    names = [item.name for item in _fields(kind)]
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    if near:
        advice = f"did you mean {_join(where, near[0])}?"
    else:
        elsewhere = [full for full in _all_keys(root) if full.rpartition(".")[2] == key]
        advice = (
            f"there is {' and '.join(elsewhere)}" if elsewhere else f"known: {', '.join(names)}"
        )
    refuse(_join(where, key), f"unknown key; {advice}")


def _all_keys(root: type[Any]) -> list[str]:
    keys: list[str] = []
    for name, hint in _hints(root).items():
        keys.append(name)
        if dataclasses.is_dataclass(hint):
            keys += [f"{name}.{item.name}" for item in _fields(hint)]
    return keys


def _fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)


def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _coerce(hint: Any, value: Any, where: str, root: type[Any]) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return build(cast(type[Any], hint), value, where, root)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            refuse(where, f"must be one of {', '.join(map(str, arguments))}, got {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            refuse(where, f"must be a list, got {kind_of(value)}")
        if arguments[-1] is ...:
            return tuple(
                _coerce(arguments[0], v, f"{where}.{i}", root) for i, v in enumerate(value)
            )
        if len(value) != len(arguments):
            refuse(where, f"must have {len(arguments)} entries, got {len(value)}")
        return tuple(
            _coerce(a, v, f"{where}.{i}", root)
            for i, (a, v) in enumerate(zip(arguments, value, strict=True))
        )
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            refuse(where, f"must be a mapping of names to values, got {kind_of(value)}")
        return dict(value)
    if hint is bool and isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) >= _INTEGERS:
        refuse(where, "is a number beyond all use")
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
        if number - number != 0:
            refuse(where, f"must be a finite number, got {value}")
        return number
    if hint is str and isinstance(value, str):
        return value
    refuse(where, f"must be {_NAMES[hint]}, got {value!r} ({kind_of(value)})")


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def kind_of(value: Any) -> str:
    """What a YAML value is, in words."""
    names = {type(None): "nothing", dict: "a section", list: "a list", str: "text"}
    return names.get(type(value)) or {bool: "true/false", int: "a whole number"}.get(
        type(value), "a number" if isinstance(value, float) else type(value).__name__
    )


def plain(value: Any) -> Any:
    """Tuples as lists, mappings as dicts, all the way down."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value


__all__ = [
    "apply_override",
    "at_least",
    "build",
    "differences",
    "dump",
    "flat",
    "kind_of",
    "load",
    "named",
    "parse",
    "parse_yaml",
    "plain",
    "read_yaml",
    "refuse",
    "share",
    "to_dict",
    "yaml_package",
]
