"""An OpenAPI description of arcid's → operations with typed parameters, for ``make_client``."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Routes that are asked with POST and change nothing, or the same thing twice.
REPEATABLE = frozenset({
    "detect", "embeddings", "compare", "search_photo", "search_embedding", "search_person",
    "verify_person", "compare_faces", "liveness", "search_photos", "search_embeddings",
    "verify_embedding",
})  # fmt: skip
SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
FORMATS = {"date-time": "datetime", "date": "date"}

Schema = Mapping[str, Any]


def public_names(schemas: Schema) -> dict[str, str]:
    """By a schema's name: the class's. FastAPI puts the module before a name that occurs twice."""
    names = {}
    for name in schemas:
        *_, module, own = name.split("__") if "__" in name else ("", "", name)
        room = "" if module == "schemas" else "".join(w.title() for w in module.split("_"))
        names[name] = room + own
    if len(set(names.values())) < len(names):
        raise ValueError("two schemas would have one name; give one of them another")
    return names


@dataclass
class Types:
    """A schema as a Python annotation: the one place that decides it, for models and methods."""

    names: Mapping[str, str]
    prefix: str  # before a model's name
    many: str  # of arrays
    named: str  # of objects with names of their own
    open_ended: bool = False  # answers may bring words that this version does not know

    def of(self, schema: Schema) -> str:
        """The annotation. Raises ``ValueError`` for what no operation of arcid has."""
        known = schema.keys() & {"type", "$ref", "anyOf", "enum", "const"}
        if not known or schema.get("$ref") == "#/components/schemas/JsonValue":
            return "Any"
        if "$ref" in schema:
            return self.prefix + self.names[schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema:
            kinds = dict.fromkeys(self.of(one) for one in schema["anyOf"])
            return "Any" if "Any" in kinds else " | ".join(kinds)
        if "enum" in schema or "const" in schema:
            words = ", ".join(f'"{word}"' for word in schema.get("enum", [schema.get("const")]))
            return f"Literal[{words}]" + (" | str" if self.open_ended else "")
        if "contentMediaType" in schema:
            return "Photo"
        kind = schema["type"]
        if kind == "array":
            if "prefixItems" in schema:
                return f"tuple[{', '.join(map(self.of, schema['prefixItems']))}]"
            return f"{self.many}[{self.of(schema.get('items', {}))}]"
        if kind == "object":
            values = schema.get("additionalProperties", True)
            return f"{self.named}[str, {'Any' if values is True else self.of(values)}]"
        if kind not in SIMPLE:
            raise ValueError(f"no annotation is known for {schema}")
        return FORMATS.get(schema.get("format", ""), SIMPLE[kind])


@dataclass
class Argument:
    """A parameter of a method, from wherever the request takes it."""

    name: str
    sent: str  # its name in the request
    place: str  # path, query, header, once, body, form, photos or content
    annotation: str
    required: bool
    about: str = ""

    @property
    def written(self) -> str:
        """As it stands in the signature."""
        if self.required:
            return f"{self.name}: {self.annotation}"
        absent, kind = ("OMIT", "Omit") if self.place == "body" else ("None", "None")
        kinds = self.annotation.split(" | ")
        return f"{self.name}: {' | '.join(dict.fromkeys([*kinds, kind]))} = {absent}"


@dataclass
class Operation:
    """One method."""

    name: str
    method: str
    path: str
    about: str
    arguments: list[Argument] = field(default_factory=list)
    answer: str = "NoneType"
    rows: tuple[str, str] | None = None  # of a page: its list, and what it lists

    @property
    def ordered(self) -> list[Argument]:
        """Required ones first, as the request names them."""
        return sorted(self.arguments, key=lambda a: not a.required)

    @property
    def repeatable(self) -> bool:
        return self.method in ("GET", "PUT", "DELETE") or self.name in REPEATABLE

    def signature(self, without: str = "") -> str:
        chosen = [a for a in self.ordered if a.name != without]
        first = [a.written for a in chosen if a.required]
        rest = [a.written for a in chosen if not a.required]
        return ", ".join(["self", *first, *(["*", *rest] if rest else [])])

    def call(self) -> str:
        path = re.sub(r"{(\w+)}", r"{segment(\1)}", self.path)
        parts = [f'"{self.method}"', f'{"f" if path != self.path else ""}"{path}"', self.answer]
        parts.append(f"repeatable={self.repeatable}")
        for place, word in (("query", "query"), ("header", "headers"), ("body", "body"),
                            ("form", "form"), ("photos", "photos")):  # fmt: skip
            held = [f'"{a.sent}": {a.name}' for a in self.arguments if a.place == place]
            if held:
                parts.append(f"{word}={{{', '.join(held)}}}")
        parts += [f"content={a.name}" for a in self.arguments if a.place == "content"]
        parts += [f'once={a.name} or ""' for a in self.arguments if a.place == "once"]
        return ", ".join(parts)


def operations(described: Schema, names: Mapping[str, str]) -> Iterator[Operation]:
    """Every operation of the description, in its order."""
    for path, methods in described["paths"].items():
        for method, told in methods.items():
            yield _operation(method.upper(), path, told, described["components"]["schemas"], names)


def _operation(
    method: str, path: str, told: Schema, schemas: Schema, names: Mapping[str, str]
) -> Operation:
    types = Types(names, "m.", "Sequence", "Mapping")
    needs = told.get("x-arcid-needs")
    key = f" An API key needs ``{needs['verb']}``." if needs else ""
    paragraphs = (" ".join(part.split()) for part in told["description"].split("\n\n"))
    about = "\n\n".join(paragraphs) + f"\n\n``{method} {path}``.{key}"
    made = Operation(told["operationId"], method, path, about)
    for given in told.get("parameters", []):
        made.arguments.append(_parameter(given, types))
    made.arguments += _body(told.get("requestBody"), schemas, types)
    taken = [argument.name for argument in made.arguments]
    if len(set(taken)) < len(taken):
        raise ValueError(f"{made.name}: two parameters would have one name: {sorted(taken)}")
    made.answer = _answer(told["responses"], types)
    if "after" in taken:
        page = schemas[_page_name(told["responses"])]["properties"]
        lists = [name for name, kind in page.items() if kind.get("type") == "array"]
        if "next" not in page or len(lists) != 1:
            raise ValueError(f"{made.name} takes `after`; a page is one list and `next`")
        made.rows = lists[0], types.of(page[lists[0]]["items"])
    return made


def _parameter(given: Schema, types: Types) -> Argument:
    place, sent = given["in"], given["name"]
    name = sent.lower().removeprefix("x-").replace("-", "_")
    if name == "idempotency_key":
        about = "A key of your own for this request; left out: a new one."
        return Argument(name, sent, "once", "str", False, about)
    about = given.get("description", given["schema"].get("description", ""))
    required = given.get("required", False)
    return Argument(_safe(name), sent, place, types.of(given["schema"]), required, about)


def _body(body: Schema | None, schemas: Schema, types: Types) -> Iterator[Argument]:
    if body is None:
        return
    media, content = sent(body)
    if content["schema"].get("format") == "binary":
        yield Argument("content", "", "content", "File", True, "A path, or the bytes.")
        return
    held = schemas[content["schema"]["$ref"].rpartition("/")[2]]
    for name, schema in held["properties"].items():
        annotation, place = types.of(schema), "body" if media == "application/json" else "form"
        if "Photo" in re.findall(r"\w+", annotation):
            place = "photos"
            annotation = annotation.replace("Sequence[Photo]", "Photo | Sequence[Photo]")
        yield Argument(
            _safe(name),
            name,
            place,
            annotation,
            name in held.get("required", ()),
            schema.get("description", ""),
        )


def sent(body: Schema) -> tuple[str, Schema]:
    """Media type and schema; where photos are taken a form, which needs fewer bytes than JSON."""
    content = body["content"]
    media = min(content, key="application/json".__eq__)
    return media, content[media]


def _answer(responses: Schema, types: Types) -> str:
    if "202" in responses and "204" in responses:
        return "Erased"
    ((_, good),) = ((s, r) for s, r in responses.items() if s.startswith("2"))
    content = good.get("content", {})
    if not content:
        return "NoneType"
    if "application/json" not in content or len(content) > 1:
        return "str" if set(content) == {"text/plain"} else "bytes"
    schema = content["application/json"].get("schema", {})
    return types.of(schema) if "$ref" in schema else "dict"


def _page_name(responses: Schema) -> str:
    return str(responses["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2])


def _safe(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


def reached(described: Schema) -> set[str]:
    """Schemas that an answer has, or that stand inside a body."""
    schemas = described["components"]["schemas"]
    todo: list[Any] = []
    found: set[str] = set()
    for path in described["paths"].values():
        for told in path.values():
            todo += [r for s, r in told["responses"].items() if s.startswith("2")]
            if body := told.get("requestBody"):
                _, content = sent(body)
                if "$ref" not in content["schema"]:
                    continue
                todo.append(schemas[content["schema"]["$ref"].rpartition("/")[2]]["properties"])
    while todo:
        new = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(todo.pop()))) - found
        found |= new
        todo += [schemas[name] for name in new]
    return found - {"JsonValue", "ErasureOut"}
