"""``manifest.json`` of version 2: a pack says itself which file does what, and is believed or
refused, never guessed at. Fields: insightface 2.1, ``model_zoo.package_manifest``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from arcid.errors import ManifestInvalid, ModelNotFound
from arcid.models.weights import sha256_file
from arcid.runtime.modelfile import mismatch

NAME, VERSION = "manifest.json", 2
TASKS = ("detection", "recognition")  # that are run; "verification" is read and left out
Positive = Annotated[int, Field(gt=0, strict=True)]
Text = Annotated[str, Field(min_length=1, strict=True)]


class Part(NamedTuple):
    """A file of a pack, what it does, and what is taken off and divided by before it."""

    task: str
    path: Path
    mean: float
    std: float
    size: int | None = None  # pixels of an aligned crop's side


class _Numbers(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    mean: float
    std: float = Field(gt=0)


class _Task(BaseModel):
    file: Text
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    preprocessing: Literal["embedded"] | _Numbers | None = None
    input_size: tuple[Positive, Positive] = (112, 112)
    embedding_dimension: Positive = 512


class _Pack(BaseModel):
    manifest_version: Literal[2]
    model_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    license: Text
    tasks: dict[str, object]


def parts_of(folder: Path) -> list[Part] | None:
    """What a pack's manifest says; None where it has none, or one of another version.

    Raises ``ManifestInvalid`` for one of this version that says something else than it may,
    ``ModelNotFound`` and ``ModelHashMismatch`` for a file that is not what it says.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # as without one: insightface believes only what says that it is version 2
    if not isinstance(said, dict) or type(version := said.get("manifest_version")) is not int:
        return None
    if version != VERSION:
        return None
    try:
        pack = _Pack.model_validate(said)
        tasks = {task: _Task.model_validate(pack.tasks[task]) for task in TASKS
                 if task in pack.tasks}  # fmt: skip
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ManifestInvalid(f"{path}: {where}: {first['msg']}") from None
    found = [_part(folder, task, one) for task, one in tasks.items()]
    if len({part.path for part in found}) < len(found):
        raise ManifestInvalid(f"{path}: two tasks name one file")
    return found


def _part(folder: Path, task: str, one: _Task) -> Part:
    root = folder.resolve()
    path = (root / one.file).resolve()
    if path.suffix.lower() != ".onnx" or "\\" in one.file or not path.is_relative_to(root):
        raise ManifestInvalid(f"{folder / NAME}: {task} names no ONNX file of the pack")
    if one.input_size[0] != one.input_size[1]:
        raise ManifestInvalid(f"{folder / NAME}: {task}: input_size is not square")
    if not path.is_file():
        raise ModelNotFound(f"{path} is missing; {NAME} names it for {task}")
    if one.sha256 is not None and (actual := sha256_file(path)) != one.sha256:
        raise mismatch(path, one.sha256, actual)
    if task == "detection":
        mean, std, size = 127.5, 128.0, None
    else:
        mean, std, size = 127.5, 127.5, one.input_size[0]
    if isinstance(one.preprocessing, _Numbers):
        mean, std = one.preprocessing.mean, one.preprocessing.std
    elif one.preprocessing == "embedded":
        mean, std = 0.0, 1.0
    return Part(task, path, mean, std, size)


__all__ = ["Part", "parts_of"]
