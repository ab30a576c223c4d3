"""A part of a recipe as a frozen pydantic model, whose mistakes are one ``ConfigError``.

Knows nothing of any one recipe; ``arcid.train.config.recipe`` says what there is to set.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NoReturn, Self, TypeVar, cast, get_args, get_origin

from arcid.errors import ConfigError, MissingExtra

try:
    from pydantic import (
        BaseModel,
        BeforeValidator,
        ConfigDict,
        Field,
        ValidationError,
        model_validator,
    )
    from pydantic_core import ErrorDetails, PydanticCustomError
except ImportError:
    raise MissingExtra("a training config", "train") from None

T = TypeVar("T")
S = TypeVar("S", bound="Section")
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Options = dict[str, Any]  # handed to the named loss or backbone, which checks them
MOST_TOLD = 20  # mistakes of one recipe
_KINDS = {
    "bool": "true or false", "int": "a whole number", "float": "a number", "string": "text",
    "finite_number": "a finite number", "tuple": "a list", "model": "a section",
    "dict": "a mapping of names to values",
}  # fmt: skip
_LIMITS = {
    "ge": "at least", "gt": "above", "le": "at most", "lt": "below", "multiple_of": "a multiple of",
}  # fmt: skip


class Section(BaseModel):
    """Base: unknown keys are refused, text is no number, true is no number, NaN is none."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, loc_by_alias=False
    )

    def __init__(self, **values: Any) -> None:
        """Raises ``ConfigError``."""
        with _told(type(self)):
            super().__init__(**values)

    # pydantic's own mark: a tree is validated as a whole, not by a call for each section
    vars()["__init__"].__pydantic_base_init__ = True

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, tree: Any) -> Any:
        """A section with nothing under it is an empty one; lists are tuples."""
        if isinstance(tree, Mapping):
            return {k: tuple(v) if isinstance(v, list) else v for k, v in tree.items()}
        return {} if tree is None else tree

    @model_validator(mode="after")
    def _checked(self) -> Self:
        self.check()
        return self

    def check(self) -> None:
        """``refuse`` what does not go together; each value alone is as its field says."""

    def but(self, **changes: Any) -> Self:
        """The same with other values, checked anew. Raises ``ConfigError``."""
        return type(self)(**{**dict(self), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Plain mappings and lists, complete: every key is there with the value that counts."""
        return self.model_dump(mode="json")


def key(default: T, meaning: str, **limits: Any) -> T:
    """A field of a section: its default, what it means, and what ``pydantic.Field`` takes."""
    return cast(T, Field(default, description=meaning, **limits))


def needed(meaning: str, **limits: Any) -> Any:
    """A field without a default."""
    return Field(description=meaning, **limits)


def shorthand(kind: type[Section], key: str) -> BeforeValidator:
    """In a list of sections, a plain string stands for one's ``key``."""

    def whole(items: Any) -> Any:
        if not isinstance(items, (list, tuple)):
            return items
        return tuple({key: item} if isinstance(item, str) else item for item in items)

    # a type that is known when it runs, which the schema may name and mypy may not
    return BeforeValidator(whole, json_schema_input_type=list[str | kind])  # type: ignore[valid-type]


def refuse(key: str, what: str) -> NoReturn:
    """Say in ``Section.check`` what is wrong with one of its keys ("": with the section)."""
    raise PydanticCustomError("refused", "{what}", {"key": key, "what": what})


def build(kind: type[S], tree: Mapping[str, Any]) -> S:
    """A section from plain mappings and lists, every key checked. Raises ``ConfigError``."""
    with _told(kind):
        return kind.model_validate(tree)


def kind_of(value: Any) -> str:
    """What a YAML value is, in words."""
    for kind, words in (
        (type(None), "nothing"), (Mapping, "a section"), ((list, tuple), "a list"), (str, "text"),
        (bool, "true/false"), (int, "a whole number"), (float, "a number"),
    ):  # fmt: skip
        if isinstance(value, kind):
            return words
    return type(value).__name__


@contextlib.contextmanager
def _told(kind: type[Section]) -> Iterator[None]:
    """All mistakes pydantic finds as one ``ConfigError``, whose key is the first one's."""
    try:
        yield
    except ValidationError as error:
        faults = [_fault(kind, fault) for fault in error.errors(include_url=False)]
        told = [f"{name or 'config'}: {what}" for name, what in faults[:MOST_TOLD]]
        if more := len(faults) - len(told):
            told.append(f"and {more} more")
        message = "\n  ".join([f"{len(faults)} settings are wrong:", *told] if told[1:] else told)
        raise ConfigError(message, key=faults[0][0]) from None


def _fault(kind: type[Section], fault: ErrorDetails) -> tuple[str, str]:
    """(dotted key, what is wrong and what was expected)."""
    where = tuple(part for part in fault["loc"] if part != "[key]")
    key, type_, context = _dotted(*where), fault["type"], fault.get("ctx", {})
    got = _shown(fault["input"])
    if type_ == "refused":
        return _dotted(*where, *context["key"].split(".")), context["what"]
    if type_ == "extra_forbidden":
        return key, f"unknown key; {_advice(kind, where)}"
    if type_ == "missing":
        *section, last = where
        if isinstance(last, int):
            return _dotted(*section), f"must have {last + 1} entries or more"
        meaning = _at(kind, section).model_fields[last].description
        return _dotted(*section), f"needs {last} ({meaning})"
    if type_ == "too_long":
        return key, f"must have {context['max_length']} entries, got {context['actual_length']}"
    if type_ == "string_too_short":
        return key, "is empty"
    if type_ == "literal_error":
        known = re.findall("'(.*?)'", context["expected"])
        near = difflib.get_close_matches(str(fault["input"]), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return key, f"must be one of {', '.join(known)}, got {got}{hint}"
    if (name := type_.removesuffix("_type")) in _KINDS:
        of = "" if got == kind_of(fault["input"]) else f" ({kind_of(fault['input'])})"
        return key, f"must be {_KINDS[name]}, got {got}{of}"
    limits = _limits(kind, where, context)
    return key, f"must be {limits}, got {got}" if limits else fault["msg"]


def _shown(value: Any) -> str:
    """A value in a message: what it is, where it is no single one."""
    single = value is not None and not isinstance(value, (Mapping, list, tuple))
    return reprlib.repr(value) if single else kind_of(value)


def _limits(kind: type[Section], where: Sequence[int | str], context: Mapping[str, Any]) -> str:
    """All limits of a field, not only the one that was passed."""
    field = getattr(_at(kind, where[:-1]), "model_fields", {}).get(where[-1])
    own = {n: getattr(m, n) for m in (field.metadata if field else ()) for n in _LIMITS
           if hasattr(m, n)}  # fmt: skip
    return " and ".join(
        f"{_LIMITS[name]} {value:g}" for name, value in (own or context).items() if name in _LIMITS
    )


def _advice(kind: type[Section], where: Sequence[int | str]) -> str:
    """What may be meant by an unknown key: one like it, one elsewhere, or what is known."""
    fields = _at(kind, where[:-1]).model_fields
    for name, field in fields.items():
        if where[-1] in getattr(field.validation_alias, "choices", ()):
            return f"it is now called {name}; give one of the two"
    names = list(fields)
    if near := difflib.get_close_matches(str(where[-1]), names, n=1):
        return f"did you mean {_dotted(*where[:-1], near[0])}?"
    elsewhere = [name for name in _keys(kind) if name.rpartition(".")[2] == where[-1]]
    return f"there is {' and '.join(elsewhere)}" if elsewhere else f"known: {', '.join(names)}"


def _keys(kind: type[Section]) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        yield name
        for inner in getattr(field.annotation, "model_fields", ()):
            yield f"{name}.{inner}"


def _at(kind: Any, where: Sequence[int | str]) -> Any:
    """The type of what stands at a place of a tree."""
    for part in where:
        if isinstance(part, str):
            kind = kind.model_fields[part].annotation
        else:
            inner = get_args(kind)
            kind = inner[0 if inner[-1] is ... else part]
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
    return kind


def _dotted(*parts: int | str) -> str:
    return ".".join(str(part) for part in parts if part != "")


__all__ = [
    "Decay",
    "Options",
    "Section",
    "Share",
    "build",
    "key",
    "kind_of",
    "needed",
    "refuse",
    "shorthand",
]
