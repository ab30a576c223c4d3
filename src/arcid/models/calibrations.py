"""The calibrations measured here: one in force for each contract, the earlier ones kept.

In ``$ARCID_MODELS/calibrations``: ``CONTRACT.json`` is in force (where there is none, the packaged
calibration is), ``CONTRACT.before.json`` is the one that ``undo`` returns to (where there is none,
the packaged one), and ``CONTRACT.1.json``, ``.2.json``, … are those before it. Nothing goes but by
``delete``, which leaves alone what is in force.
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path

from arcid import files, paths
from arcid.calibration import Calibration
from arcid.errors import CalibrationError, CalibrationMissing, UsageError


def in_force(contract_id: str) -> Path:
    """Where the calibration measured here lies, whether or not there is one."""
    return _file(contract_id, "")


def before(contract_id: str) -> Path:
    """Where the one lies that ``undo`` returns to, whether or not there is one."""
    return _file(contract_id, ".before")


def install(calibration: Calibration) -> Path | None:
    """Put a calibration in force; returns where the one before is kept, None where that was the
    packaged one. The one that is in force already is not installed twice.

    Raises what ``files.replacing`` does; then nothing has changed.
    """
    contract_id = calibration.contract_id
    current, kept, fresh = (_file(contract_id, suffix) for suffix in ("", ".before", ".new"))
    _finish(contract_id)
    if not current.is_file() or current.read_text("utf-8") != calibration.to_json():
        calibration.save(fresh, private=True)
        _number(kept)
        if current.is_file():
            files.move(current, kept)
        files.move(fresh, current)
    return kept if kept.is_file() else None


def undo(contract_id: str) -> Path | None:
    """Change the places of the calibration in force and the one before it; twice changes nothing.

    Returns where the one that was in force is kept, None where that was the packaged one. Raises
    ``CalibrationMissing`` where nothing was ever installed.
    """
    current, kept = in_force(contract_id), before(contract_id)
    _finish(contract_id)
    if current.is_file():
        files.move(current, _file(contract_id, ".aside"))
    elif kept.is_file():
        files.move(kept, current)
    else:
        raise CalibrationMissing(
            "there is nothing to undo: no calibration was measured here for this model"
        )
    _finish(contract_id)
    return kept if kept.is_file() else None


def own(contract_id: str) -> list[tuple[Calibration, bool]]:
    """Those measured here, each once, with whether it is in force: that one first, then the one
    ``undo`` returns to, then by number. Files that cannot be read are left out."""
    found: dict[str, tuple[Calibration, bool]] = {}
    for path in _files(contract_id):
        with suppress(CalibrationError):
            kept = Calibration.load(path)
            found.setdefault(kept.calibration_id, (kept, path == in_force(contract_id)))
    return list(found.values())


def use(contract_id: str, calibration_id: str | None) -> None:
    """Put one that was measured here in force again; None: the packaged one. The one that is in
    force now becomes the one that ``undo`` returns to.

    Raises ``CalibrationMissing``, and what ``files.move`` does.
    """
    _finish(contract_id)
    current, kept = in_force(contract_id), before(contract_id)
    if calibration_id is None:
        if current.is_file():
            _number(kept)
            files.move(current, kept)
        return
    install(_one(contract_id, calibration_id))
    for path in _holding(contract_id, calibration_id):
        if path != current:  # it has moved from there
            path.unlink(missing_ok=True)


def delete(contract_id: str, calibration_id: str) -> None:
    """Erase one that was measured here and is not in force. Raises ``CalibrationMissing``, and
    ``UsageError`` for the one that is."""
    _finish(contract_id)
    _one(contract_id, calibration_id)
    holding = _holding(contract_id, calibration_id)
    if in_force(contract_id) in holding:
        raise UsageError(
            "this calibration is in force: put another one in force first, then delete it"
        )
    for path in holding:
        path.unlink(missing_ok=True)


def _one(contract_id: str, calibration_id: str) -> Calibration:
    for kept, _ in own(contract_id):
        if kept.calibration_id == calibration_id:
            return kept
    raise CalibrationMissing(
        f"no calibration {calibration_id[:12]!r} was measured here for this model"
    )


def _holding(contract_id: str, calibration_id: str) -> list[Path]:
    found = []
    for path in _files(contract_id):
        with suppress(CalibrationError):
            if Calibration.load(path).calibration_id == calibration_id:
                found.append(path)
    return found


def _files(contract_id: str) -> list[Path]:
    """All that are there: in force, before, then by number."""
    named = [path for path in (in_force(contract_id), before(contract_id)) if path.is_file()]
    folder = in_force(contract_id).parent
    numbered = {
        int(number): path
        for path in folder.glob(f"{contract_id}.*.json")
        if (number := path.name.removeprefix(f"{contract_id}.").removesuffix(".json")).isdigit()
    }
    return [*named, *(numbered[number] for number in sorted(numbered))]


def _number(kept: Path) -> None:
    """Give the one before a number of its own, where there is one."""
    if kept.is_file():
        stem = kept.name.removesuffix(".before.json")
        numbers = (_file(stem, f".{n}") for n in itertools.count(1))
        files.move(kept, next(path for path in numbers if not path.exists()))


def _finish(contract_id: str) -> None:
    """End an ``install`` or ``undo``, also one that was cut off."""
    current, kept = in_force(contract_id), before(contract_id)
    aside, fresh = _file(contract_id, ".aside"), _file(contract_id, ".new")
    if fresh.is_file() and not current.is_file():
        files.move(fresh, current)
    if aside.is_file():
        if kept.is_file() and not current.is_file():
            files.move(kept, current)
        files.move(aside, kept)


def _file(contract_id: str, suffix: str) -> Path:
    return paths.models_dir() / "calibrations" / f"{contract_id}{suffix}.json"
