"""From a name to verified files: packaged default → ``ARCID_MODELS`` → ``$ARCID_DATA/models``.

A folder ``NAME/`` with ``manifest.json`` is a bundle; a raw third-party file lying in one of the
last two places gets its manifest from the catalogue. Every file's sha256 is checked before use, and
the bytes that were checked are those that run.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import logging
import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from arcid import paths
from arcid.calibration import Calibration
from arcid.errors import (
    CalibrationInvalid,
    CalibrationMissing,
    ManifestInvalid,
    ModelError,
    ModelHashMismatch,
    ModelNotFound,
    ModelUnverified,
    UsageError,
)
from arcid.models import calibrations, catalogue, ensembles, trust, votes
from arcid.models import chosen as _chosen
from arcid.models.chosen import Why
from arcid.models.manifest import Manifest, Task
from arcid.models.trust import Trust
from arcid.runtime.hardware import instruction_sets
from arcid.runtime.modelfile import mismatch

log = logging.getLogger(__name__)
Origin = Literal["packaged", "models", "data", "path"]
CALIBRATIONS = Path(__file__).parent / "calibrations"
SUFFIXES = (".onnx", ".xml")  # of model files: ONNX, and the description of an OpenVINO pair
#: What names the model of a task; they have a default.
VARIABLES: dict[Task, str] = {"detection": "ARCID_DETECTOR", "recognition": "ARCID_RECOGNISER"}
VNNI = frozenset({"avx512_vnni", "avx_vnni"})  # of instruction sets


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model found on this machine, its files verified."""

    name: str
    manifest: Manifest
    path: Path  # the model file
    origin: Origin
    folder: Path | None = None  # of a bundle with its own manifest
    trust: Trust = "unverified"
    members: tuple[Bundle, ...] = ()  # of an ensemble or a vote, which has no file of its own
    weights: tuple[float, ...] = ()  # theirs, in an ensemble

    @property
    def vouched(self) -> bool:
        """Whether arcid, the catalogue or you vouch for what the bundle says of itself."""
        return self.trust in trust.VOUCHED

    def file(self, filename: str, sha256: str) -> Path:
        """A further file of the model (cascades have several), verified."""
        path = self.path.parent / filename
        _verify(path, sha256, self.name)
        return path


def resolve(name: str | os.PathLike[str], *, judging: bool = False) -> Bundle:
    """Find a model by name, or by the path of a bundle folder or model file, and verify its sha256.

    Text is a path where it has a separator or a model file's suffix; a ``Path`` always is one.

    ``a+b`` and ``a@0.3+b@0.7`` are ensembles of recognisers (``ensembles``); of detectors, ``a+b``
    and ``any:a+b`` are a vote (``votes``).

    Raises ``ModelNotFound`` (naming what was looked for, where, and the command that gets it),
    ``ModelHashMismatch`` (also for a bundle that ships and is not as it shipped),
    ``ManifestInvalid``, and, unless ``judging``, ``ModelUnverified`` for a bundle that claims
    another model's contract without anybody to vouch for it; ``UsageError`` for an ensemble that
    cannot be read.
    """
    if not isinstance(name, str):
        name = os.fspath(_expanded(os.fspath(name)).absolute())
    try:
        return _resolve(name, judging)
    except OSError as error:  # of a name longer than files have, say
        raise ModelNotFound(f"model {name[:99]!r} cannot be read: {error.strerror}") from None


def has_folder(name: str) -> bool:
    """Whether a separator of this system is in it, so that it is a path and no model's name."""
    return any(separator and separator in name for separator in (os.sep, os.altsep))


def _resolve(name: str, judging: bool) -> Bundle:
    path = _expanded(name)
    if "+" in name and not path.exists():
        return _joined(name, judging)
    if has_folder(name) or name.endswith(SUFFIXES):
        return _usable(_from_path(path), judging)
    for origin, root in _places():
        folder = root / name
        if (folder / "manifest.json").is_file():
            return _usable(_load_folder(folder, origin, name), judging)
        entry = catalogue.ENTRIES.get(name)
        if entry and not entry.convert and origin != "packaged":
            path = _raw(root, entry)
            if path.is_file():
                _verify_all(path, entry.manifest, name)
                return Bundle(name, entry.manifest, path, origin, trust="catalogue")
    raise _not_found(name)


def named(task: Task) -> tuple[str | None, Why]:
    """The model to use where none is asked for, and why: ``ARCID_DETECTOR`` / ``ARCID_RECOGNISER``
    names it, it was chosen on this machine, or (None) the packaged default. Raises
    ``ManifestInvalid``."""
    variable = VARIABLES.get(task)
    if variable and (name := os.environ.get(variable)):
        return name, "named"
    name = _chosen.chosen(task)
    return name, "chosen" if name else "packaged"


def resolve_default(task: Task) -> Bundle:
    """The model to use when none is asked for: as ``named`` says, else the packaged one that is
    marked as the default. Raises what ``resolve`` does."""
    name, why = named(task)
    if name is not None:
        try:
            return resolve(name)
        except ModelNotFound as error:
            if why != "chosen":
                raise
            raise ModelNotFound(
                f"{error.message}. It was chosen on this machine; return to the packaged one with "
                f"arcid models use --packaged {task}",
                model=name,
            ) from None
    shipped = _bundles(paths.packaged_models_dir(), "packaged", task)
    defaults = [bundle for bundle in shipped if bundle.manifest.default]
    if len(defaults) > 1:
        names = ", ".join(sorted(b.name for b in defaults))
        raise ManifestInvalid(f"several packaged {task} models claim to be the default: {names}")
    if not defaults:
        hint = f"; choose one with {VARIABLES[task]}" if task in VARIABLES else ""
        raise ModelNotFound(f"no packaged {task} model is the default{hint}: arcid models list")
    found = _usable(defaults[0])
    _verify_all(found.path, found.manifest, found.name)
    return found


def fast_form() -> str | None:
    """The packaged recogniser in eight bits, for who embeds much on a processor that multiplies
    those fast (VNNI): of the default's contract, so that vectors, galleries and calibrations of
    either are the other's. None where there is none, or another recogniser was named or chosen."""
    if named("recognition")[1] != "packaged" or VNNI.isdisjoint(instruction_sets()):
        return None
    default = resolve_default("recognition").manifest
    shipped = _bundles(paths.packaged_models_dir(), "packaged", "recognition")
    forms = [one.manifest for one in shipped if one.manifest.precision == "int8"]
    return next((one.name for one in forms if one.contract_id == default.contract_id), None)


def installed(problems: dict[str, ManifestInvalid] | None = None) -> list[Bundle]:
    """Every model found on this machine, not verified; the first place wins a name.

    Bundles whose manifest cannot be used raise ``ManifestInvalid``, or go into ``problems`` by name
    where one is handed in.
    """
    found: dict[str, Bundle] = {}
    for origin, root in _places():
        for bundle in _bundles(root, origin, None, problems):
            found.setdefault(bundle.name, bundle)
        if origin == "packaged":
            continue
        for entry in catalogue.ENTRIES.values():
            path = _raw(root, entry)
            if not entry.convert and path.is_file():
                bundle = Bundle(entry.name, entry.manifest, path, origin, trust="catalogue")
                found.setdefault(entry.name, bundle)
    return sorted(found.values(), key=lambda b: (b.manifest.task, b.name))


def of_contract(contract_id: str) -> Bundle | None:
    """The installed recogniser that makes vectors of a contract, or the ensemble that is
    named or chosen here, if there is one."""
    recognisers = [b for b in installed({}) if b.manifest.task == "recognition"]
    with suppress(ModelError, UsageError):
        if "+" in (named("recognition")[0] or ""):
            recognisers.append(resolve_default("recognition"))
    return next((b for b in recognisers if b.manifest.contract_id == contract_id), None)


def find_calibration(bundle: Bundle) -> Calibration:
    """The calibration of a recogniser: the one measured here, else the one that came with it.

    Raises ``CalibrationMissing``.
    """
    own = calibrations.in_force(bundle.manifest.contract_id)
    return _calibration(bundle, own) if own.is_file() else packaged_calibration(bundle)


def packaged_calibration(bundle: Bundle) -> Calibration:
    """The calibration in a recogniser's bundle, else arcid's own for it.

    Raises ``CalibrationMissing``.
    """
    candidates = []
    if bundle.folder:
        candidates.append(bundle.folder / trust.CALIBRATION)
    entry = catalogue.ENTRIES.get(bundle.name)
    if entry and entry.calibration:
        candidates.append(CALIBRATIONS / entry.calibration)
    for path in candidates:
        if path.is_file():
            return _calibration(bundle, path)
    raise CalibrationMissing(
        f"{bundle.name} has no calibration, so no threshold is known for its scores; measure one "
        f"on labelled photos: arcid calibrate FOLDER --model {bundle.name}"
    )


def _calibration(bundle: Bundle, path: Path) -> Calibration:
    calibration = Calibration.load(path)
    calibration.check_contract(bundle.manifest.contract_id)
    _require_unchanged(path, bundle)
    return calibration


def _require_unchanged(path: Path, bundle: Bundle) -> None:
    """Refuse a calibration arcid does not ship, or that changed since its bundle was judged."""
    if path.parent == CALIBRATIONS:
        same = trust.CALIBRATIONS.get(path.name) == sha256_file(path)
    else:
        same = path.parent != bundle.folder or _trust(bundle) == bundle.trust
    if not same:
        raise CalibrationInvalid(
            f"{path} is not the calibration that {bundle.name} came with; get the model again, or "
            "measure your own: arcid calibrate"
        )


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _joined(name: str, judging: bool) -> Bundle:
    """The ensemble or the vote of that name, its members verified; trusted as the least trusted of
    them."""
    rule, listed = votes.split(name)
    wanted = ensembles.parse(listed)
    members = tuple(resolve(member, judging=judging) for member in wanted)
    manifests = {called: one.manifest for called, one in zip(wanted, members, strict=True)}
    if rule or all(one.task == "detection" for one in manifests.values()):
        made = _vote(name, manifests, rule or "majority", list(wanted.values()))
    else:
        made = ensembles.manifest(name, manifests, list(wanted.values()))
    least = max((bundle.trust for bundle in members), key=get_args(Trust).index)
    first = members[0]
    return Bundle(
        name, made, first.path.with_name(re.sub(r"[/\\]", "-", name)), first.origin, trust=least,
        members=members, weights=tuple(wanted.values()),
    )  # fmt: skip


def _vote(
    name: str, members: dict[str, Manifest], rule: votes.Rule, weighed: list[float]
) -> Manifest:
    if others := [one for one, manifest in members.items() if manifest.task != "detection"]:
        raise UsageError(f"detectors alone vote, and {', '.join(others)} is none")
    if len(members) < 2 or set(weighed) != {1.0}:
        raise UsageError(f"{name!r}: two detectors or more vote, without weights: any:a+b, a+b+c")
    return votes.manifest(name, members, rule)


def _places() -> tuple[tuple[Origin, Path], ...]:
    return (
        ("packaged", paths.packaged_models_dir()),
        ("models", paths.models_dir()),
        *((("data", data / "models"),) if (data := paths.data_dir()) else ()),
    )


def _raw(root: Path, entry: catalogue.Entry) -> Path:
    """Where the publisher's file of an entry lies: in ``root``, else in the package that ships it
    (which is not imported)."""
    path = root / entry.files[0].filename
    if path.is_file() or not entry.package:
        return path
    found = importlib.util.find_spec(entry.package)
    inside = [] if found is None else list(found.submodule_search_locations or ())
    return next((Path(folder) / "models" / path.name for folder in inside), path)


def _bundles(
    root: Path,
    origin: Origin,
    task: Task | None,
    problems: dict[str, ManifestInvalid] | None = None,
) -> Iterator[Bundle]:
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        if (folder / "manifest.json").is_file():
            try:
                manifest = Manifest.load(folder / "manifest.json")
            except ManifestInvalid as error:
                if problems is None:
                    raise
                problems.setdefault(folder.name, error)
                continue
            if task is None or manifest.task == task:
                yield _judged(folder, manifest, origin, folder.name)


def _load_folder(folder: Path, origin: Origin, name: str) -> Bundle:
    found = _judged(folder, Manifest.load(folder / "manifest.json"), origin, name)
    _verify_all(found.path, found.manifest, name)
    return found


def _judged(folder: Path, manifest: Manifest, origin: Origin, name: str) -> Bundle:
    bundle = Bundle(name, manifest, folder / manifest.file, origin, folder)
    return dataclasses.replace(bundle, trust=_trust(bundle))


def _trust(bundle: Bundle) -> Trust:
    if bundle.folder is None:
        return bundle.trust
    packaged = bundle.folder.parent == paths.packaged_models_dir()
    return trust.judge(bundle.name, bundle.manifest, bundle.folder, packaged=packaged)


def _usable(bundle: Bundle, judging: bool = False) -> Bundle:
    if bundle.origin == "packaged" and bundle.trust != "packaged":
        raise ModelHashMismatch(
            f"{bundle.folder} is not what arcid ships as {bundle.name}: its manifest, calibration "
            "or goldens were changed. Install arcid again; models of your own belong into "
            f"{paths.models_dir()}",
            model=bundle.name,
        )
    claimed = bundle.manifest.float_sha256 if bundle.manifest.task == "recognition" else None
    if claimed and not bundle.vouched and not judging:
        changed = " in this form" if bundle.trust == "changed" else ""
        raise ModelUnverified(
            f"{bundle.name} says that its vectors mean the same as those of contract "
            f"{bundle.manifest.contract_id[:12]}, and nobody vouches for that{changed}. Where you "
            f"know where it comes from: arcid models accept {_called(bundle)}",
            model=bundle.name,
        )
    if not bundle.vouched and not judging:
        _warn(bundle.name, _called(bundle))
    return bundle


def _called(bundle: Bundle) -> str:
    return str(bundle.folder) if bundle.origin == "path" else bundle.name


@functools.cache
def _warn(name: str, called: str) -> None:
    """Once a process."""
    log.warning(
        "the model %s is unverified: nobody vouches for it yet; where you know where it comes "
        "from: arcid models accept %s",
        name,
        called,
    )


def _expanded(name: str) -> Path:
    """Of a user who is not there, as it is written."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def _from_path(path: Path) -> Bundle:
    folder = path.parent if path.suffix in SUFFIXES else path
    if (folder / "manifest.json").is_file():
        return _load_folder(folder, "path", folder.name)
    if path.is_file():
        digest = sha256_file(path)
        for entry in catalogue.ENTRIES.values():
            if entry.files[0].sha256 == digest and not entry.convert:
                manifest = dataclasses.replace(entry.manifest, file=path.name)
                _verify_all(path, manifest, entry.name)
                return Bundle(entry.name, manifest, path, "path", trust="catalogue")
        raise ModelNotFound(
            f"{path.name} is not a model the catalogue knows (sha256 {digest[:12]}…); make a "
            "bundle of it: arcid models import FILE --like CONTRACT --dim N"
        )
    raise ModelNotFound(f"there is no bundle and no model file at {path}")


def _verify_all(path: Path, manifest: Manifest, name: str) -> None:
    """The model file and, of an OpenVINO pair, its weights beside it."""
    for filename, sha256 in manifest.files.items():
        _verify(path.with_name(filename), sha256, name)


def _verify(path: Path, sha256: str, name: str) -> None:
    if not path.is_file():
        raise ModelNotFound(f"{name}: its file {path.name} is missing from {path.parent}")
    actual = sha256_file(path)
    if actual != sha256:
        raise mismatch(path, sha256, actual)


def _not_found(name: str) -> ModelNotFound:
    looked = ", ".join(str(root) for _, root in _places())
    entry = catalogue.ENTRIES.get(name)
    if entry is None:
        known = ", ".join(sorted({b.name for b in installed()})) or "none"
        return ModelNotFound(
            f"no model is called {name!r}; installed: {known}; to pull: "
            f"{', '.join(sorted(pullable()))}"
        )
    files = ", ".join(f.filename for f in entry.files)
    if entry.convert:
        how = f"convert it: python scripts/convert_weights.py --only {name}"
    elif name in pullable():
        how = f"get it: arcid models pull {name}"
    elif entry.package:
        how = f"get it: pip install {entry.package.replace('_', '-')}"
    else:
        how = f"put {files} into {paths.models_dir()}" + _another(entry.manifest.task)
    return ModelNotFound(
        f"model {name} is not installed: {files} was looked for in {looked}; {how}", model=name
    )


def _another(task: Task) -> str:
    """The command that gets the smallest model of that task whose licence is the freest."""
    found = sorted(
        (
            entry.manifest.licence.commercial_use is not True,
            sum(math.inf if file.size_bytes is None else file.size_bytes for file in entry.files),
            entry.name,
        )
        for entry in catalogue.ENTRIES.values()
        if entry.name in pullable() and entry.manifest.task == task
    )
    if not found or task not in VARIABLES:
        return ""
    name = found[0][-1]
    return f", or take another: arcid models pull {name}, then set {VARIABLES[task]}={name}"


def pullable() -> set[str]:
    """Names that ``arcid models pull`` can fetch: single models with a URL, and packs."""
    single = {
        entry.name
        for entry in catalogue.ENTRIES.values()
        if all(file.url for file in entry.files) and not entry.convert
    }
    return single | set(catalogue.PACKS)
