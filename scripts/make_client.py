"""Write the client's models and methods from the reviewed OpenAPI snapshot.

``python scripts/make_client.py``; ``make openapi`` does it after the snapshot. A method is named as
its operation; what it requires comes first, the rest by keyword.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from openapi_operations import Argument, Operation, Schema, Types, operations, public_names, reached

from arcid import files

ROOT = Path(__file__).parents[1]
SNAPSHOT = ROOT / "tests" / "api" / "openapi.json"
ROOM = ROOT / "src" / "arcid" / "client"
COMMAND = "python scripts/make_client.py"
HEAD = f'"""{{}} Written by ``{COMMAND}``."""\n\nfrom __future__ import annotations\n\n'


def methods(made: Operation, waits: bool) -> Iterator[str]:
    """The operation's method, and one that goes through all pages."""
    head, wait = ("async def", "await ") if waits else ("def", "")
    kind = {"NoneType": "None", "dict": "dict[str, Any]"}.get(made.answer, made.answer)
    back = "" if made.answer == "NoneType" else "return "
    listed = "" if waits else _listed(made.ordered)
    yield (
        f"{head} {made.name}({made.signature()}) -> {kind}:\n"
        f"{_docstring(made.about + listed)}"
        f"    {back}{wait}self._send({made.call()})\n"
    )
    if made.rows:
        rows, row = made.rows
        every = made.name.removeprefix("list_")
        passed = ", ".join(f"{a.name}={a.name}" for a in made.ordered)
        about = f"Every row of ``{made.name}``, fetched a page of ``limit`` rows at a time."
        yield (
            f"def iter_{every}({made.signature('after')}) -> "
            f"{'AsyncIterator' if waits else 'Iterator'}[{row}]:\n{_docstring(about)}"
            f"    return self._rows(lambda after: self.{made.name}({passed}), "
            f"lambda page: page.{rows})\n"
        )


def _listed(arguments: list[Argument]) -> str:
    told = [f"{a.name}: {a.about}" for a in arguments if a.about]
    return "\n\nArgs:\n" + "\n".join(f"    {line}" for line in told) if told else ""


def _docstring(text: str, indent: str = "    ") -> str:
    lines = []
    for line in text.replace("\\", "\\\\").split("\n"):
        inner = line[: len(line) - len(line.lstrip(" "))]
        further = inner + ("    " if inner else "")
        lines += textwrap.wrap(line, 88, subsequent_indent=further, break_long_words=False) or [""]
    lines[0] = f'"""{lines[0]}'
    lines = [*lines, '"""'] if len(lines) > 1 else [f'{lines[0]}"""']
    return "".join(f"{indent}{line}".rstrip() + "\n" for line in lines)


def client(made: list[Operation], waits: bool) -> str:
    """The module of one of the two clients."""
    kind = "Async" if waits else ""
    text = "".join(method for one in made for method in methods(one, waits))
    about = "As ``Client``, to be awaited." if waits else "The service, method by method."
    body = f"class {kind}Client({kind}Sender):\n{_docstring(about)}\n" + textwrap.indent(
        text, "    "
    )
    head = HEAD.format("The asynchronous client." if waits else "The client.")
    names = {
        "collections.abc": [f"{'Async' if waits else ''}Iterator", "Mapping", "Sequence"],
        "datetime": ["date", "datetime"],
        "types": ["NoneType"],
        "typing": ["Any", "Literal"],
        "arcid.client.photos": ["Photo"],
        "arcid.client.requests": ["OMIT", "File", "Omit", "segment"],
        "arcid.client.sending": ["Erased", f"{kind}Sender"],
    }
    named = "import arcid.client.models as m\n"  # an operation is called models
    return f'{head}{named}{imports(names, body)}\n\n{body}\n\n__all__ = ["{kind}Client"]\n'


def imports(names: Mapping[str, list[str]], body: str) -> str:
    """Those that the body uses."""
    words = set(re.findall(r"\w+", body))
    used = {module: [n for n in given if n in words] for module, given in names.items()}
    return "".join(f"from {m} import {', '.join(given)}\n" for m, given in used.items() if given)


def models(described: Schema, names: Mapping[str, str]) -> str:
    """The module of what is answered."""
    text = [
        "class Model(BaseModel):",
        '    """Words and fields that a newer service adds do not disturb an older client."""\n',
        "    model_config = ConfigDict("
        'protected_namespaces=(), extra="ignore", defer_build=True)\n',
    ]
    for name in sorted(reached(described), key=lambda n: names[n]):
        schema = described["components"]["schemas"][name]
        taken = schema.get("additionalProperties") is False  # a body refuses what it does not know
        types = Types(names, "", "list", "dict", open_ended=not taken)
        text.append(f"class {names[name]}(Model):")
        text.append(_docstring(schema.get("description") or f"``{names[name]}`` of the service."))
        for own, kind in schema["properties"].items():
            annotation = types.of(kind)
            if own not in schema.get("required", ()):
                annotation += f" = {kind.get('default')!r}"
            elif not taken and annotation.endswith("| None"):
                annotation += " = None"  # an older service may not have it yet
            about = " ".join(kind.get("description", "").split())
            text.append(f"    {own}: {annotation}")
            if about:
                text.append(_docstring(about))
    body = "\n".join(text)
    standard = {"datetime": ["date", "datetime"], "typing": ["Any", "Literal"]}
    head = imports(standard, body) + "\nfrom pydantic import BaseModel, ConfigDict\n\n\n"
    return HEAD.format("What the service answers.") + head + body + "\n"


def written() -> dict[str, str]:
    """By file name: what stands in it."""
    described = json.loads(SNAPSHOT.read_text("utf-8"))
    names = public_names(described["components"]["schemas"])
    made = list(operations(described, names))
    texts = {
        "models.py": models(described, names),
        "sync.py": client(made, waits=False),
        "asynchronous.py": client(made, waits=True),
    }
    return {name: _formatted(text, name) for name, text in texts.items()}


def _formatted(text: str, name: str) -> str:
    ruff = str(Path(sys.executable).with_name("ruff"))
    for work in (["check", "--quiet", "--fix", "--select", "I,RUF036"], ["format"]):
        done = subprocess.run(
            [ruff, *work, "--stdin-filename", str(ROOM / name), "-"],
            input=text.encode(),
            capture_output=True,
            check=True,
            cwd=ROOT,
        )
        text = done.stdout.decode()
    return text


if __name__ == "__main__":
    for name, text in written().items():
        files.write_text(ROOM / name, text)
        print(f"{ROOM / name}: {len(text.splitlines())} lines")
