"""What commands that answer about faces share: numbers for JSON, vectors from files, warnings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.output import note, print_table

if TYPE_CHECKING:
    from arcid.calibration import Calibration
    from arcid.types import Embeddings

Fmr = Annotated[float, typer.Option("--fmr", help="Target false match rate of one comparison.")]
Extrapolate = Annotated[
    bool,
    typer.Option("--allow-extrapolation", help="Go beyond what the calibration has measured."),
]


def calibration_keys(calibration: Calibration) -> dict[str, Any]:
    """On what data the decisions of an answer rest."""
    return {
        "id": calibration.calibration_id,
        "dataset": calibration.data["dataset"]["name"],
        "provisional": calibration.provisional,
    }


def calibration_of(contract_id: str) -> Calibration:
    """Of the vectors of a contract; no network is opened. Raises ``CalibrationMissing``."""
    from arcid.errors import CalibrationMissing
    from arcid.models import weights

    bundle = weights.of_contract(contract_id)
    if bundle is None:
        raise CalibrationMissing(
            f"no installed recogniser makes vectors of contract {contract_id[:12]}, so no "
            "threshold is known for them; see: arcid models list"
        )
    return weights.find_calibration(bundle)


def note_provisional(calibration: Calibration, extrapolated: bool) -> None:
    if calibration.provisional:
        note(f"the calibration is provisional: measured on {calibration.data['dataset']['name']}")
    if extrapolated:
        note("the threshold is extrapolated beyond the measured data")


def read_npz(path: Path) -> Embeddings:
    """Vectors that ``arcid embed`` wrote; raises ``InvalidArray``."""
    import zipfile
    import zlib

    import numpy as np

    from arcid.errors import InvalidArray
    from arcid.types import Embeddings

    try:
        with np.load(path, allow_pickle=False) as data:
            vectors, contract = data["vectors"], str(data["contract_id"])
    except FileNotFoundError:
        raise InvalidArray(f"{path} does not exist") from None
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, RuntimeError,
            zipfile.BadZipFile, zlib.error):  # fmt: skip
        raise InvalidArray(
            f"{path} holds no vectors with the id of their model, which an .npy lacks; write it "
            f"with: arcid embed PHOTO -o {path.with_suffix('.npz').name}"
        ) from None
    if vectors.dtype.kind != "f":
        raise InvalidArray(f"{path}: vectors must be floating point, got {vectors.dtype}")
    return Embeddings(vectors.astype(np.float32), contract)


def print_checks(checks: list[dict[str, Any]]) -> None:
    """What was looked at of an onboarding case."""
    if checks:
        print_table(("check", "", "why"), [(c["code"], c["effect"], c["message"]) for c in checks])
