"""Any ONNX or OpenVINO recogniser → a bundle, after it was run: ``arcid models import``.

How a network wants its pixels cannot be read off its file, so the contract is always said, never
guessed. What can be checked by running is checked, and a file that contradicts it is refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from arcid.errors import ManifestInvalid, ModelError, ModelNotFound, ModelUnsupported, UsageError
from arcid.models import catalogue, goldens, trust, weights
from arcid.models.install import check_name, publish, staging
from arcid.models.manifest import InputSpec, Licence, Manifest, OutputSpec
from arcid.models.weights import Bundle
from arcid.runtime import Session, open_session
from arcid.runtime.modelfile import is_openvino, weights_file
from arcid.types import Crops, Embeddings, FloatArray

FILE = "model.onnx"
MIN_DIM, MAX_DIM = 16, 8192


class _Embedder(Protocol):
    def embed(self, crops: Crops) -> Embeddings: ...


Load = Callable[[Bundle], _Embedder]


@dataclass(frozen=True, slots=True)
class Request:
    """What is said about the file; None takes the contract's value or, for names, the only one."""

    name: str
    like: str  # key of catalogue.CONTRACTS
    dim: int | None = None
    input_name: str | None = None
    output_name: str | None = None
    colour: Any = None
    mean: tuple[float, float, float] | None = None  # of pixels 0–255, as std
    std: tuple[float, float, float] | None = None
    size: int | None = None
    layout: Any = None
    flip: bool = False
    licence: str = ""
    description: str = ""


def import_model(
    file: Path, request: Request, root: Path, load: Load, *, replace: bool = False
) -> Bundle:
    """Copy, run and describe a model file as a bundle in ``root``.

    ``load`` opens a recogniser bundle (``pipeline.load_embedder``). Raises ``UsageError`` for what
    was said, ``ManifestInvalid`` and ``ModelUnsupported`` for what the file contradicts; nothing is
    installed then.
    """
    check_name(request.name)
    contract = catalogue.CONTRACTS.get(request.like)
    if contract is None:
        raise UsageError(
            f"input contract {request.like!r} is unknown; known: {', '.join(catalogue.CONTRACTS)}"
        )
    if request.name in catalogue.ENTRIES or request.name in catalogue.PACKS:
        raise UsageError(f"{request.name} is the catalogue's name of another model; choose another")
    if (root / request.name).exists() and not replace:
        raise UsageError(
            f"a model called {request.name} is in {root} already; choose another name, or --replace"
        )
    if not file.is_file():
        raise ModelNotFound(f"model file {file} does not exist", path=str(file))
    with staging(root) as work:
        folder = work / request.name
        folder.mkdir()
        copy = (folder / FILE).with_suffix(".xml" if is_openvino(file) else ".onnx")
        try:
            shutil.copyfile(file, copy)
            if is_openvino(file) and weights_file(file).is_file():
                shutil.copyfile(weights_file(file), weights_file(copy))
        except OSError as error:
            raise ModelError(f"{file} cannot be copied to {root}: {error.strerror}") from None
        spec = _input_spec(request, contract)
        session = _open(copy, file, spec)
        output, batch = _probe(session, spec, request, contract)
        manifest = Manifest(
            name=request.name,
            task="recognition",
            family=request.like,
            sha256=weights.sha256_file(copy),
            file=copy.name,
            weights_sha256=weights.sha256_file(weights_file(copy)) if is_openvino(copy) else None,
            input=InputSpec(
                session.input_name, spec.colour, spec.mean, spec.std, spec.size, spec.layout, batch
            ),
            output=output,
            template=contract.template,
            flip=request.flip,
            licence=Licence(request.licence or "not stated"),
            description=request.description,
            source=file.name,
            provenance={"imported_like": request.like},
        )
        embed = load(Bundle(request.name, manifest, copy, "path", folder)).embed
        goldens.write(folder, manifest, embed)
        goldens.check(manifest, embed, folder)
        target = publish(folder, manifest, root)
    judged = trust.judge(request.name, manifest, target)
    return Bundle(request.name, manifest, target / manifest.file, "models", target, judged)


def _input_spec(request: Request, contract: catalogue.InputContract) -> InputSpec:
    said = {"--mean": request.mean, "--std": request.std}
    if any(0 < value < 1 for values in said.values() for value in values or ()):
        of_bytes = (
            f"{option} {','.join(f'{255 * value:g}' for value in values)}"
            for option, values in said.items()
            if values is not None
        )
        raise UsageError(
            "mean and std are those of pixels from 0 to 255; these are of pixels from 0 to 1, and "
            f"every face would look alike: say {' '.join(of_bytes)}"
        )
    size = request.size or contract.size
    return InputSpec(
        name=request.input_name or contract.names[0],
        colour=request.colour or contract.colour,
        mean=request.mean or contract.mean,
        std=request.std or contract.std,
        size=(size, size),
        layout=request.layout or contract.layout,
    )


def _open(copy: Path, file: Path, spec: InputSpec) -> Session:
    try:
        return open_session(copy, input_name=spec.name)
    except ModelNotFound:
        raise ModelNotFound(
            f"{weights_file(file)} does not exist; {file.name} is an OpenVINO model and its "
            "weights lie in the .bin of the same name",
            path=str(weights_file(file)),
        ) from None
    except ManifestInvalid as error:
        raise ManifestInvalid(f"{error.message}; say which with --input") from None
    except ModelUnsupported as error:
        apart = file.with_name(file.name + ".data")
        hint = f"; its weights lie apart in {apart.name}: save it as one file first"
        message = error.message + (hint if apart.exists() else "")
        raise ModelUnsupported(message, **error.details) from None


def _probe(
    session: Session, spec: InputSpec, request: Request, contract: catalogue.InputContract
) -> tuple[OutputSpec, int | None]:
    """The output and its dimension, and the fixed batch (None: any), found by running."""
    size = (spec.size or (0, 0))[0]
    _check_input(session, spec, size)
    name = request.output_name or contract.names[1]
    if name is None:
        if len(session.output_names) > 1:
            raise ManifestInvalid(
                f"the model has several outputs ({', '.join(session.output_names[:8])}); "
                "say which holds the vector with --output"
            )
        name = session.output_names[0]
    if name not in session.output_names:
        raise ManifestInvalid(
            f"the model has no output {name!r}, it has {', '.join(session.output_names[:8])}; "
            "say which with --output"
        )
    batch = session.input_shape[0]
    pixels = goldens.synthetic_crops(size, batch or 2).pixels
    single = _vectors(session, name, spec.prepare(pixels[: batch or 1]), batch or 1)
    dim = single.shape[1]
    if request.dim is not None and request.dim != dim:
        raise ManifestInvalid(f"output {name!r} has {dim} dimensions, --dim says {request.dim}")
    if not MIN_DIM <= dim <= MAX_DIM:
        raise ManifestInvalid(
            f"output {name!r} has {dim} values a face; a vector has {MIN_DIM} to {MAX_DIM}: "
            "say which output with --output"
        )
    if batch is None and not _takes_batches(session, name, spec.prepare(pixels), single):
        batch = 1
    return OutputSpec(name, dim), batch


def _check_input(session: Session, spec: InputSpec, size: int) -> None:
    wanted = (3, size, size) if spec.layout == "NCHW" else (size, size, 3)
    shape = session.input_shape
    if len(shape) == 4 and all(
        have in (None, want) for have, want in zip(shape[1:], wanted, strict=True)
    ):
        return
    other = "NHWC" if spec.layout == "NCHW" else "NCHW"
    shown = ",".join("any" if d is None else str(d) for d in shape)
    raise ManifestInvalid(
        f"input {session.input_name!r} takes ({shown}), but {spec.layout} crops of {size} pixels "
        f"are (N,{','.join(map(str, wanted))}); say otherwise with --layout {other} or --size"
    )


def _vectors(session: Session, output: str, tensor: FloatArray, count: int) -> FloatArray:
    try:
        raw = np.asarray(session.run(tensor)[output])
    except Exception as error:  # runtimes raise their own kinds
        reason = str(error).strip().splitlines()[-1]
        raise ModelUnsupported(f"the model cannot be run on float32 crops: {reason}") from None
    if raw.ndim < 2 or raw.shape[0] != count or raw.dtype.kind != "f":
        raise ManifestInvalid(
            f"output {output!r} is {raw.dtype} {raw.shape} for {count} faces, expected "
            f"({count}, D) floats; say which output with --output"
        )
    vectors = raw.reshape(count, -1).astype(np.float32)
    if not np.isfinite(vectors).all():
        raise ModelUnsupported(f"output {output!r} holds NaN or infinite values")
    return vectors


def _takes_batches(session: Session, name: str, tensor: FloatArray, single: FloatArray) -> bool:
    """Whether a model that declares any batch really gives each face its own vector."""
    try:
        both = _vectors(session, name, tensor, len(tensor))
    except ModelError:
        return False  # it then runs one by one
    cosine = float(both[0] @ single[0])
    norm = float(np.linalg.norm(both[0]) * np.linalg.norm(single[0]))
    return norm > 0 and cosine / norm > 0.999
