"""One JSON object a log line, never with images, vectors, names or keys.

A record's ``extra`` fields are written only where they are plain numbers or short texts, and of an
exception only its type and where it arose: its message may hold what a database was given. Lines of
other libraries may quote what a client sent; of those only the text without its arguments is
written, where the library is known to keep the two apart.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys
import threading
import traceback
from contextvars import ContextVar
from typing import TextIO

log = logging.getLogger(__name__)
request_id_var: ContextVar[str | None] = ContextVar("arcid_request_id", default=None)
MAX_TEXT = 200
OURS = "arcid"
TEMPLATED = frozenset({"uvicorn", "asyncio", "concurrent", "alembic"})
NOT_SHOWN = "reported something; the text is left out, it may quote what a client sent"
_REFUSED = "ASGI callable returned without completing handshake"
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
            "message": _message(record),
        }
        if request_id := request_id_var.get():
            line["request_id"] = request_id
        if _package(record) == OURS:
            extra = vars(record).items()
            line |= {k: v for k, v in extra if k not in _STANDARD and _is_plain(v)}
        elif record.levelno >= logging.WARNING:
            line["from"] = f"{record.module}:{record.lineno}"
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
            line["where"] = [
                f"{frame.name} ({frame.filename.rpartition('/')[2]}:{frame.lineno})"
                for frame in traceback.extract_tb(record.exc_info[2])[-8:]
            ]
        return json.dumps(line)


def _package(record: logging.LogRecord) -> str:
    return record.name.partition(".")[0]


def _message(record: logging.LogRecord) -> str:
    package = _package(record)
    if package == OURS:
        return record.getMessage()
    if package in TEMPLATED and isinstance(record.msg, str):
        numbers = all(isinstance(value, int) for value in record.args or ())
        return (record.getMessage() if numbers else record.msg).partition("\n")[0]
    return f"{package} {NOT_SHOWN}"


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return value is None or isinstance(value, (bool, int, float))


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send everything to ``stream`` (standard error) as JSON; called by ``serve`` only."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_says_something)
    logging.captureWarnings(True)
    threading.excepthook = _thread_ended
    sys.unraisablehook = _unraisable
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("uvicorn.access", "alembic", "multipart", "python_multipart", "PIL"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _says_something(record: logging.LogRecord) -> bool:
    """The server writes lines about every WebSocket, and calls each that is refused an error."""
    words = str(record.msg)
    return not record.name.startswith("uvicorn") or not (
        "WebSocket" in words or words.startswith(("connection ", _REFUSED))
    )


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and args.exc_type is not SystemExit:
        found = (args.exc_type, args.exc_value, args.exc_traceback)
        log.error("a thread ended", exc_info=found)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:
        found = (args.exc_type, args.exc_value, args.exc_traceback)
        log.error("an exception could not be raised", exc_info=found)
