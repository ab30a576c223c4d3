"""What was found in every photo so far, a line each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arcid import files
from arcid.errors import UsageError


@dataclass(frozen=True, slots=True)
class Entry:
    """One photo: its crop, or the reason why it has none."""

    photo: str  # below the folder, with /
    stamp: tuple[int, int] = (0, 0)  # of ``Photo``, when it was looked at
    picture: str = ""  # its ``photo_id``
    crop: str = ""  # below the crops, with /
    reason: str = ""  # a code
    detail: str = ""  # a sentence about the reason, or about which face was taken
    faces: int | None = None
    rivals: int = 0  # faces that may be meant
    eyes_px: float | None = None  # between the eyes, in the photo
    score: float | None = None  # of the face, 0–1

    @property
    def person(self) -> str:
        """Whose folder it lies in; empty where in nobody's."""
        return self.photo.rpartition("/")[0].partition("/")[0]


class Journal:
    """A file of lines that is only ever added to; the last line about a photo holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.every: list[Entry] = []  # earlier ones included
        self.entries: dict[str, Entry] = {}  # by photo

    @classmethod
    @contextmanager
    def opened(
        cls, path: Path, made: Mapping[str, Any], require_free: Callable[[], None]
    ) -> Iterator[Journal]:
        """Begin one, where ``require_free`` raises nothing, or go on with the one that is there.

        One without a photo when the block ends is taken away again. Raises ``UsageError`` where the
        one that is there is about something else than ``made``, or another process writes it.
        """
        fresh = not path.parent.exists()
        if not path.exists():
            require_free()
            path.parent.mkdir(parents=True, exist_ok=True)
            files.create(path, (json.dumps(made) + "\n").encode(), private=True)
        journal = None
        try:
            with files.alone(path):
                lines = path.read_bytes().split(b"\n")
                _require_same(path, lines[0], json.loads(json.dumps(made)))
                journal = cls(path)
                for line in lines[1:]:
                    journal._read(line)
                if lines[-1]:  # a kill cut it short
                    files.append(path, "\n")
                yield journal
        finally:
            if journal is not None and not journal.entries:
                path.unlink()
                if fresh:
                    with suppress(OSError):
                        path.parent.rmdir()

    def add(self, entry: Entry) -> None:
        """Raises ``StorageFull``, ``UsageError``."""
        files.append(self.path, json.dumps(asdict(entry)) + "\n")
        self._keep(entry)

    def _read(self, line: bytes) -> None:
        try:
            found = json.loads(line)
            entry = Entry(**{**found, "stamp": tuple(found["stamp"])})
        except (ValueError, TypeError, KeyError):  # cut short: its photo is looked at again
            return
        self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        self.every.append(entry)
        self.entries[entry.photo] = entry


def _require_same(path: Path, line: bytes, made: Mapping[str, Any]) -> None:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no journal of arcid align; name another place for the crops")
    other = [
        f"{key} was {found.get(key)}, not {made.get(key)}"
        for key in {**made, **found}
        if found.get(key) != made.get(key)
    ]
    if other:
        raise UsageError(
            f"the crops beside {path} were made otherwise: {'; '.join(other)}. Go on with what was "
            "said then, name another place, or delete these crops and the journal"
        )


__all__ = ["Entry", "Journal"]
