"""Reports: a result of any protocol as one HTML page, JSON and Markdown.

    found = document(verify(pair_list, embeddings), Extras(facts={"model": "…"}))
    write(folder, found, record, pictures=picture_of)

``report.html`` is self-contained and holds photos only where ``pictures`` is handed in;
``report.json`` is for machines, ``report.md`` for a model card, ``scores.npz`` for comparing two
runs pair by pair.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arcid.errors import UsageError
from arcid.evaluate.bootstrap import PairScores
from arcid.evaluate.report import html, markdown
from arcid.evaluate.report.contents import Extras, Qualities, document
from arcid.evaluate.report.document import Document, Pictures

SCHEMA_VERSION = 1


def write(
    folder: Path,
    found: Document,
    record: Mapping[str, Any],
    *,
    pictures: Pictures | None = None,
    pairs: PairScores | None = None,
) -> dict[str, str]:
    """Write the files of a report; returns their paths by kind. The folder is made when needed.

    A page with photos is readable by its owner only. Raises ``UsageError`` where the folder cannot
    be written.
    """
    files = {"html": folder / "report.html", "json": folder / "report.json"}
    files["markdown"] = folder / "report.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scores = folder / "scores.npz"
        scores.unlink(missing_ok=True)
        if pairs is not None:
            files["scores"] = scores
            np.savez_compressed(
                scores, scores=pairs.scores, same=pairs.same, first=pairs.first, second=pairs.second
            )
        page = files["html"]
        page.touch(mode=0o600 if pictures is not None else 0o644)
        page.chmod(0o600 if pictures is not None else 0o644)
        page.write_text(html.page(found, pictures), "utf-8")
        files["markdown"].write_text(markdown.text(found), "utf-8")
        text = json.dumps(plain(record), ensure_ascii=False, indent=1, allow_nan=False)
        files["json"].write_text(text + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from None
    return {kind: str(path) for kind, path in files.items()}


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


__all__ = ["Document", "Extras", "Pictures", "Qualities", "document", "plain", "write"]
