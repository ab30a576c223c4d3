"""One JSON object a log line, never with images, vectors, names or keys.

A record's ``extra`` fields are written only where they are plain numbers or short texts, and of an
exception only its type and where it arose: its message may hold what a database was given.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys
import traceback
from contextvars import ContextVar
from typing import TextIO

request_id_var: ContextVar[str | None] = ContextVar("arcid_request_id", default=None)
MAX_TEXT = 200
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, request id and the record's plain extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := request_id_var.get():
            line["request_id"] = request_id
        for name, value in vars(record).items():
            if name not in _STANDARD and _is_plain(value):
                line[name] = value
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
            line["where"] = [
                f"{frame.name} ({frame.filename.rpartition('/')[2]}:{frame.lineno})"
                for frame in traceback.extract_tb(record.exc_info[2])[-8:]
            ]
        return json.dumps(line)


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return value is None or isinstance(value, (bool, int, float))


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send everything to ``stream`` (standard error) as JSON; called by ``serve`` only."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("uvicorn.access", "alembic", "multipart", "python_multipart", "PIL"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
