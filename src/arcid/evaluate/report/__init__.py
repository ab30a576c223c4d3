"""Reports: a result of any protocol as one HTML page, JSON and Markdown.

    found = document(verify(pair_list, embeddings), Extras(facts={"model": "…"}))
    write(folder, found, record, pictures=picture_of)

``report.html`` is self-contained and holds photos only where ``pictures`` is handed in;
``report.json`` is for machines, ``report.md`` for a model card, ``scores.npz`` for comparing two
runs pair by pair.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arcid import files
from arcid.errors import DatasetInvalid
from arcid.evaluate.metrics import Mask
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.readers import PairList
from arcid.evaluate.report import html, markdown
from arcid.evaluate.report.common import Extras, Qualities, at_product_threshold
from arcid.evaluate.report.contents import document
from arcid.evaluate.report.document import Document, Pictures

SCHEMA_VERSION = 1


def write(
    folder: Path,
    found: Document,
    record: Mapping[str, Any],
    *,
    pictures: Pictures | None = None,
    pairs: PairScores | None = None,
    accepted: Mask | None = None,
) -> dict[str, str]:
    """Write the files of a report; returns their paths by kind. The folder is made when needed.

    A page with photos is readable by its owner only. Raises what ``files.replacing`` does.
    """
    written = {"html": folder / "report.html", "json": folder / "report.json"}
    written["markdown"] = folder / "report.md"
    page = html.page(found, pictures)
    scores = folder / "scores.npz"
    if pairs is not None:
        written["scores"] = scores
        with files.replacing(scores) as stream:
            np.savez_compressed(
                stream,
                scores=pairs.scores,
                same=pairs.same,
                first=pairs.first,
                second=pairs.second,
                accepted=np.zeros(0, bool) if accepted is None else accepted,
            )
    files.write_text(written["html"], page, private=pictures is not None)
    files.write_text(written["markdown"], markdown.text(found))
    text = json.dumps(plain(record), ensure_ascii=False, indent=1, allow_nan=False)
    files.write_text(written["json"], text + "\n")
    if pairs is None:
        scores.unlink(missing_ok=True)  # of an earlier report: these would not be its pairs
    return {kind: str(path) for kind, path in written.items()}


@dataclass(frozen=True, eq=False)
class Kept:
    """What two reports are compared by."""

    record: dict[str, Any]
    pairs: PairScores
    accepted: Mask | None


def read(path: Path) -> Kept:
    """A report written before: ``report.json`` (or its folder) with ``scores.npz`` beside it.

    Raises ``DatasetInvalid`` where one of them cannot be read, or the report has no pairs.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        record = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetInvalid(f"{file} cannot be read as a report ({error})") from None
    if not isinstance(record, dict) or "protocol" not in record:
        raise DatasetInvalid(f"{file} is not a report of arcid evaluate: it names no protocol")
    scores = file.with_name("scores.npz")
    if "pairs_sha256" not in record:
        raise DatasetInvalid(
            f"{file}: a {record['protocol']} report has no list of pairs to compare by; keep the "
            "vectors with --save-embeddings and compare those files with --data"
        )
    try:
        with np.load(scores, allow_pickle=False) as data:
            pairs = PairScores(data["scores"], data["same"], data["first"], data["second"])
            accepted = data["accepted"].astype(bool)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetInvalid(
            f"{scores} cannot be read ({type(error).__name__}); it belongs beside the report"
        ) from None
    return Kept(record, pairs, accepted if len(accepted) == len(pairs) else None)


def pairs_sha256(listed: PairList) -> str:
    """Names the pairs exactly: their photos, labels and order."""
    found = hashlib.sha256()
    for a, b, same in zip(listed.first, listed.second, listed.same, strict=True):
        names = listed.unit_names[int(a)], listed.unit_names[int(b)]
        found.update(f"{names[0]}\t{names[1]}\t{int(same)}\n".encode())
    return found.hexdigest()


def plain(value: Any) -> Any:
    """JSON-ready: arrays as lists, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


__all__ = [
    "Document",
    "Extras",
    "Kept",
    "Pictures",
    "Qualities",
    "at_product_threshold",
    "document",
    "pairs_sha256",
    "plain",
    "read",
    "write",
]
