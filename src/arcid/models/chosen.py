"""The models chosen on this machine, in ``$ARCID_HOME/chosen-models.json``: ``{task: name}``.

They are used where neither a command nor ``ARCID_DETECTOR`` / ``ARCID_RECOGNISER`` names one. Who
runs already goes on with what it started with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from arcid import files, paths
from arcid.errors import ManifestInvalid
from arcid.models.manifest import Task

Why = Literal["named", "chosen", "packaged"]


def chosen(task: Task) -> str | None:
    """The model chosen for a task; None where none was. Raises ``ManifestInvalid``."""
    return _all().get(task)


def choose(task: Task, name: str | None) -> None:
    """Use a model for a task from the next start on; None: the packaged one again.

    Nothing is checked (``apps.model_choice`` does). Raises what ``files.write_text`` does.
    """
    known = {key: value for key, value in _all().items() if key != task}
    if name is not None:
        known[task] = name
    files.write_text(_record(), json.dumps(known, indent=1) + "\n", private=True)


def _all() -> dict[str, str]:
    path = _record()
    if not path.exists():
        return {}
    try:
        return {str(task): str(name) for task, name in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        raise ManifestInvalid(
            f"{path} cannot be read; delete it and choose your models again: arcid models use"
        ) from None


def _record() -> Path:
    return paths.home_dir() / "chosen-models.json"
