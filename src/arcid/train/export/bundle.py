"""One trained network → one bundle, whole or not at all, after it was run on every runtime."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from arcid.errors import ConfigError, DatasetInvalid, ExportRefused, MissingExtra, UsageError
from arcid.files import write_bytes, write_text
from arcid.models import goldens, trust
from arcid.models.install import check_name, publish, require_place, staging
from arcid.models.manifest import InputSpec, Licence, Manifest, OutputSpec, canonical_json
from arcid.train.backbones.inputs import MEAN, STD
from arcid.train.config.recipe import TrainConfig
from arcid.train.export import luxonis
from arcid.train.export.card import NOT_STATED, model_card
from arcid.train.export.crops import (
    LabelledCrops,
    calibration_crops,
    held_out_crops,
    labelled_crops,
    refuse_reserved,
    require_disjoint,
    training_crops,
)
from arcid.train.export.measure import Measured, accuracy, compare, require_close
from arcid.train.export.onnx import INPUT, OUTPUT, store_half, to_bytes, to_onnx
from arcid.train.export.quantise import PHOTOS, quantise
from arcid.train.export.tolerance import (
    Agreement,
    agreements,
    file_embedder,
    require_apart,
    require_float,
    require_int8,
    torch_vectors,
)
from arcid.train.weights.initial import Initial, open_initial
from arcid.types import Crops, FloatArray

_LOG = logging.getLogger(__name__)
FILE = "model.onnx"
CARD = "MODEL_CARD.md"
PRECISIONS = ("fp32", "fp16", "int8")
TARGETS = ("onnx", "luxonis")
ASIDE = 100  # int8: photos of the calibration list that are kept to check on
CHECKED = 64  # float: photos of the run that file and network are compared on …
SYNTHETIC = 16  # … or made-up faces where there are none
EVALUATION_PHOTOS = 1500


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to write. Texts go into the manifest and the model card as they are."""

    name: str = ""  # "": the run's folder, or what was opened
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    target: Literal["onnx", "luxonis"] = "onnx"
    calibration: str = ""  # int8: folder or .tar of crops; "": photos the run was trained on
    #: Labelled crops to measure on, or their folder or .tar; "": identities the run held out.
    evaluate: str | LabelledCrops = ""
    own_contract: bool = False  # int8: a model of its own, whatever the tolerances say
    flip: bool = False  # test-time flip: the vector is the sum over the face and its mirror image
    licence: str = ""
    licence_url: str = ""
    commercial_use: bool | None = None
    training_data: str = ""
    description: str = ""
    replace: bool = False  # an older bundle of that name

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision {self.precision!r}; known: {', '.join(PRECISIONS)}")
        if self.target not in TARGETS:
            raise UsageError(f"target {self.target!r}; known: {', '.join(TARGETS)}")
        if self.target == "luxonis" and self.precision != "fp32":
            raise UsageError(
                "target luxonis is written in fp32; Luxonis' converter makes fp16 and int8 of it"
            )
        if self.target == "luxonis" and self.flip:
            raise UsageError("target luxonis runs one picture once; flip cannot be part of it")
        if self.precision != "int8" and (self.calibration or self.own_contract):
            raise UsageError("calibration and own_contract are for precision int8")


@dataclass(frozen=True, slots=True, eq=False)
class ExportResult:
    """What was written and how it compares with the network it was made from."""

    path: Path  # of the bundle's folder, or of the archive
    name: str
    contract_id: str  # whose vectors these are
    shares_contract: bool  # fp16 and int8: with the fp32 bundle of the same network
    agreement: Mapping[str, Agreement]  # by runtime
    measured: Measured | None  # where there were labelled photos
    notes: tuple[str, ...] = field(default=())


def export(
    source: str | os.PathLike[str] | Initial,
    out: Path,
    request: ExportRequest | None = None,
    *,
    backbone: str | None = None,
    size: int = 112,
) -> ExportResult:
    """Write the bundle ``out/NAME`` (or the archive ``out/NAME.tar.xz``).

    ``source``: what ``open_initial`` takes. The file is run on OpenVINO and ONNX Runtime and
    compared with the network, on photographs where there are any. Raises ``ExportRefused`` where it
    differs by more than the tolerances; then nothing is written.
    """
    request = request or ExportRequest()
    initial = source if isinstance(source, Initial) else open_initial(
        source, backbone=backbone, size=size
    )  # fmt: skip
    request = dataclasses.replace(request, name=request.name or _name_of(initial))
    check_name(request.name)
    refuse_reserved(request.calibration)
    if request.target == "luxonis":
        archive = out / f"{request.name}.tar.xz"
        if archive.exists() and not request.replace:
            raise UsageError(f"{archive} is there already; choose another name, or replace it")
    else:
        require_place(out / request.name, replace=request.replace)
    notes: list[str] = []
    require_apart(initial.backbone.eval())
    evaluation = _evaluation(initial, request, notes)
    with staging(out) as work:
        folder = work / request.name
        folder.mkdir()
        write = _write_luxonis if request.target == "luxonis" else _write_bundle
        return write(initial, out, folder, request, evaluation, notes)


def _write_bundle(
    initial: Initial,
    out: Path,
    folder: Path,
    request: ExportRequest,
    evaluation: LabelledCrops | None,
    notes: list[str],
) -> ExportResult:
    network, file = initial.backbone.eval(), folder / FILE
    float_model = to_onnx(network)
    float_bytes = to_bytes(float_model)
    manifest = _manifest(initial, request, hashlib.sha256(float_bytes).hexdigest())
    check, reference = _check_crops(initial, evaluation)
    if request.precision == "int8":
        fit, aside, calibrated = _calibration(initial, request)
        if evaluation:
            require_disjoint(fit, evaluation)
        else:
            check = aside.crops
            reference = f"on {len(aside)} photos of {aside.name}, not among them"
        folded, transformer = to_onnx(network, fold=True), initial.name.startswith("vit")
        quantised = quantise(folded, fit.crops, manifest.input, transformer=transformer)
        write_bytes(file, to_bytes(quantised))
        manifest = _with_provenance(manifest, calibration=calibrated)
    else:
        half_stored = request.precision == "fp16"
        write_bytes(file, to_bytes(store_half(float_model)) if half_stored else float_bytes)
    wanted = torch_vectors(network, check, flip=request.flip)
    seen = agreements(file, manifest, check, wanted)
    measured = _measured(file, manifest, wanted, evaluation)
    shares = request.precision != "fp32" and not request.own_contract
    if request.precision != "int8":
        require_float(seen)
    elif shares:
        require_int8(seen)
        if measured is not None:
            require_close(measured.difference)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest = dataclasses.replace(
        _with_provenance(manifest, cosine={name: a.to_dict() for name, a in seen.items()}),
        sha256=digest,
        float_sha256=manifest.sha256 if shares else None,
        accuracy=measured.after.to_dict() if measured else {},
    )
    embedder = file_embedder(file, manifest, None)
    goldens.write(folder, manifest, embedder.embed)
    goldens.check(manifest, embedder.embed, folder)
    write_text(folder / CARD, _card(manifest, initial, seen, reference, measured))
    path = publish(folder, manifest, out)
    trust.accept_own(manifest.name, path)
    _LOG.info(
        "bundle written",
        extra={"bundle": manifest.name, "precision": manifest.precision, "folder": str(path)},
    )
    return ExportResult(
        path, manifest.name, manifest.contract_id, shares, seen, measured, tuple(notes)
    )


def _write_luxonis(
    initial: Initial,
    out: Path,
    folder: Path,
    request: ExportRequest,
    evaluation: LabelledCrops | None,
    notes: list[str],
) -> ExportResult:
    network, file = initial.backbone.eval(), folder / FILE
    model = luxonis.to_luxonis(network)
    write_bytes(file, to_bytes(model))
    manifest = dataclasses.replace(
        _manifest(initial, request, hashlib.sha256(file.read_bytes()).hexdigest()),
        input=luxonis.input_spec(network.size),
    )
    check, reference = _check_crops(initial, evaluation)
    wanted = torch_vectors(network, check)
    seen = agreements(file, manifest, check, wanted)
    require_float(seen)
    measured = _measured(file, manifest, wanted, evaluation)
    card = _card(manifest, initial, seen, reference, measured)
    path = luxonis.write_archive(model, request.name, network.size, network.dim, out)
    write_text(out / f"{request.name}.{CARD}", card)
    return ExportResult(
        path, request.name, manifest.contract_id, False, seen, measured, tuple(notes)
    )


def _manifest(initial: Initial, request: ExportRequest, sha256: str) -> Manifest:
    network, given = initial.backbone, initial.manifest
    licence = given.licence if given else Licence(NOT_STATED)
    if request.licence:
        licence = Licence(request.licence, request.licence_url or None, request.commercial_use)
    provenance: dict[str, Any] = {
        "arcid": importlib.metadata.version("arcid"),
        "backbone": initial.name,
        "options": dict(initial.options),
        "dim": network.dim,
        "made_from": initial.kind,
        **initial.notes,
    }
    if initial.config is not None:
        content = canonical_json(initial.config.to_dict())
        provenance |= {
            "config_sha256": hashlib.sha256(content).hexdigest(),
            "step": initial.step,
            "averaged": initial.averaged,
        }
    inherited = given.training_data if given else ""
    return Manifest(
        name=request.name,
        task="recognition",
        family="arcface",
        sha256=sha256,
        file=FILE,
        input=InputSpec(INPUT, "RGB", (MEAN,) * 3, (STD,) * 3, (network.size, network.size)),
        output=OutputSpec(OUTPUT, network.dim),
        precision=request.precision,
        flip=request.flip,
        licence=licence,
        description=request.description or (given.description if given else ""),
        training_data=request.training_data or inherited or _sources(initial.config),
        source=initial.label,
        provenance=provenance,
    )


def _with_provenance(manifest: Manifest, **more: Any) -> Manifest:
    return dataclasses.replace(manifest, provenance={**manifest.provenance, **more})


def _measured(
    file: Path, manifest: Manifest, wanted: FloatArray, evaluation: LabelledCrops | None
) -> Measured | None:
    if evaluation is None:
        return None
    found = file_embedder(file, manifest, None).embed(evaluation.crops).vectors
    before, after = accuracy(wanted, evaluation), accuracy(found, evaluation)
    return Measured(before, after, compare(before, after))


def _card(
    manifest: Manifest,
    initial: Initial,
    seen: Mapping[str, Agreement],
    reference: str,
    measured: Measured | None,
) -> str:
    path = initial.folder / "report.txt" if initial.folder else None
    report = path.read_text("utf-8") if path and path.is_file() else ""
    return model_card(manifest, initial.config, report, seen, reference, measured)


def _evaluation(initial: Initial, request: ExportRequest, notes: list[str]) -> LabelledCrops | None:
    """The labelled photos to measure on: those named, else the people the run held out."""
    size = initial.backbone.size
    if isinstance(request.evaluate, LabelledCrops):
        return request.evaluate
    if request.evaluate:
        return labelled_crops(request.evaluate, size, EVALUATION_PHOTOS)
    if initial.config is None:
        return None
    try:
        return held_out_crops(initial.config.data, EVALUATION_PHOTOS)
    except (ConfigError, DatasetInvalid, MissingExtra) as error:
        notes.append(f"accuracy was not measured: {error.message}")
        return None


def _calibration(
    initial: Initial, request: ExportRequest
) -> tuple[LabelledCrops, LabelledCrops, dict[str, Any]]:
    """Photos to calibrate with, others of the same list to check on, and both in words."""
    count = PHOTOS + ASIDE
    if request.calibration:
        photos = calibration_crops(request.calibration, initial.backbone.size, count)
    elif initial.config is not None and initial.config.data.sources:
        photos = training_crops(initial.config.data, count)
    else:
        raise UsageError(
            "int8 needs photos to find the ranges of activations with; name a folder or .tar of "
            "crops with --calibration"
        )
    cut = len(photos) - len(photos) * ASIDE // count
    return photos[:cut], photos[cut:], {"set": photos.name, "photos": cut}


def _check_crops(initial: Initial, evaluation: LabelledCrops | None) -> tuple[Crops, str]:
    """What file and network are compared on: real faces wherever any can be had."""
    if evaluation is not None:
        return evaluation.crops, f"on {len(evaluation)} photos of {evaluation.name}"
    if initial.config is not None and initial.config.data.sources:
        try:
            photos = training_crops(initial.config.data, CHECKED)
            return photos.crops, f"on {len(photos)} photos of {photos.name}"
        except (ConfigError, DatasetInvalid, ExportRefused, MissingExtra) as error:
            _LOG.warning("made-up faces are compared, no photos: %s", error.message)
    crops = goldens.synthetic_crops(initial.backbone.size, SYNTHETIC)
    return crops, f"on {SYNTHETIC} made-up faces"


def _sources(config: TrainConfig | None) -> str:
    if config is None:
        return ""
    return ", ".join(s.name or s.path.rsplit("/", 1)[-1] for s in config.data.sources)


def _name_of(initial: Initial) -> str:
    if initial.folder is not None:
        return initial.folder.name
    return Path(initial.label).stem if initial.kind == "import" else initial.label


__all__ = ["ExportRequest", "ExportResult", "export"]
