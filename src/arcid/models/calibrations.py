"""The calibrations measured here: one in force for each contract, the earlier ones kept.

In ``$ARCID_MODELS/calibrations``: ``CONTRACT.json`` is in force (where there is none, the packaged
calibration is), ``CONTRACT.before.json`` is the one that ``undo`` returns to (where there is none,
the packaged one), and ``CONTRACT.1.json``, ``.2.json``, … are those before it. Nothing is deleted.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from arcid import files, paths
from arcid.calibration import Calibration
from arcid.errors import CalibrationMissing


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
        if kept.is_file():
            numbers = (_file(contract_id, f".{n}") for n in itertools.count(1))
            files.move(kept, next(path for path in numbers if not path.exists()))
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
