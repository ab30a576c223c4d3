"""Where the root key is, which opens every other key, behind one protocol.

``ARCID_ROOT_KEY`` names the place, never the key:

    file:PATH         32 bytes as 64 hex digits, for its owner only; made where there is none
    env:NAME          64 hex digits in another variable
    credential:NAME   of systemd, which hands it over in ``$CREDENTIALS_DIRECTORY``
    pkcs11:…          an AES key that never leaves its token (RFC 7512; extra ``pkcs11``)
    command:PROGRAM   a program that asks a key service: ``PROGRAM wrap|unwrap``

Without it: ``file:`` ``root.key`` in ``ARCID_HOME``.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Protocol

from arcid import paths
from arcid.errors import ConfigError, KeyUnavailable, SealBroken
from arcid.keys import load_key
from arcid.vault import sealing

SETTING = "ARCID_ROOT_KEY"
FILE_NAME = "root.key"
IF_DELETED = "nobody can ever read the faces it protects again"
TIMEOUT_S = 20.0
_KINDS = "file:PATH, env:NAME, credential:NAME, pkcs11:URI or command:PROGRAM"


class Root(Protocol):
    """Wraps the keys of collections; they leave it as they came, for the same context only."""

    described: str  # where it is, without any secret

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Raises ``KeyUnavailable`` where the root key cannot be used."""

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Raises ``KeyUnavailable``, and ``SealBroken`` where another root wrapped it."""


def find(make: bool, named: str | None = None) -> Root:
    """The root key of ``ARCID_ROOT_KEY``, or ``named``. Raises ``ConfigError``,
    ``KeyUnavailable``, and ``MissingExtra`` for a token.

    ``make``: nothing was wrapped yet, so that a file which is not there is made.
    """
    setting = named or _setting()
    kind, _, value = setting.partition(":")
    if not value:
        raise ConfigError(f"{SETTING} must be {_KINDS}; it names where the key is, not the key")
    if kind == "file":
        return _of_file(Path(value).expanduser(), make)
    if kind == "env":
        return Local(_hex(os.environ.get(value, ""), value), f"environment variable {value}")
    if kind == "credential":
        return _of_credential(value)
    if kind == "command":
        return Command(shlex.split(value))
    if kind == "pkcs11":
        from arcid.vault.pkcs11 import Token

        return Token(setting)
    raise ConfigError(f"{SETTING} names no place that is known; use {_KINDS}")


def file_of_root() -> Path | None:
    """Where the root key is a file: its path."""
    kind, _, value = _setting().partition(":")
    return Path(value).expanduser() if kind == "file" else None


def _setting() -> str:
    return os.environ.get(SETTING) or f"file:{paths.home_dir() / FILE_NAME}"


class Local:
    """A key in this process's memory."""

    def __init__(self, key: bytes, described: str) -> None:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        self.described = described
        derived = HKDF(SHA256(), 32, salt=None, info=b"arcid-root").derive(key)
        self._cipher = sealing.cipher(derived)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        return sealing.wrap(self._cipher, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        return sealing.unwrap(self._cipher, wrapped, context)


class Command:
    """A program that asks a key service.

    It is run as ``PROGRAM wrap`` or ``PROGRAM unwrap`` with one JSON object on standard input,
    ``{"data": base64, "context": base64}``, and answers ``{"data": base64}`` on standard output.
    What it says on standard error goes where ours goes; any other exit than 0 is a refusal.
    """

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self.described = f"program {Path(arguments[0]).name}"

    def wrap(self, key: bytes, context: bytes) -> bytes:
        return self._ask("wrap", key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        return self._ask("unwrap", wrapped, context)

    def _ask(self, verb: str, data: bytes, context: bytes) -> bytes:
        asked = {"data": _base64(data), "context": _base64(context)}
        try:
            ran = subprocess.run(  # noqa: S603
                [*self._arguments, verb], input=json.dumps(asked).encode(), stdout=subprocess.PIPE,
                timeout=TIMEOUT_S, check=True,
            )  # fmt: skip
            return base64.b64decode(json.loads(ran.stdout)["data"], validate=True)
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
            raise KeyUnavailable(
                f"the {self.described} of {SETTING} did not {verb} a key "
                f"({type(error).__name__}); nothing was changed. See what it says, try again"
            ) from None


def _of_file(path: Path, make: bool) -> Root:
    """With the next one, where a change of root keys was interrupted (``rotation``)."""
    described = f"file {path.name}"
    if not make and not path.exists():
        raise KeyUnavailable(
            f"the root key {path} is gone: without it nobody can read the faces in this gallery. "
            f"Put your copy of it back, or name its place in {SETTING}; nothing was changed"
        )
    now = Local(load_key(path, IF_DELETED), described)
    upcoming = next_file(path)
    if not upcoming.exists():
        return now
    return Either(now, Local(load_key(upcoming, IF_DELETED), described))


def next_file(path: Path) -> Path:
    """Where the root key that replaces the one in a file lies until it has."""
    return path.with_name(f"{path.name}-next")


class Either:
    """Two keys, one of which replaces the other: what either wrapped opens."""

    def __init__(self, now: Root, upcoming: Root) -> None:
        self.described = now.described
        self._both = (now, upcoming)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        return self._both[1].wrap(key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self._both[0].unwrap(wrapped, context)
        except SealBroken:
            return self._both[1].unwrap(wrapped, context)


def _of_credential(name: str) -> Local:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise KeyUnavailable(
            f"{SETTING} names the credential {name!r}, but systemd handed none over: add "
            f"LoadCredentialEncrypted={name} to the unit, and start arcid as that service"
        )
    try:
        text = (Path(folder) / name).read_text("ascii")
    except (OSError, ValueError) as error:
        raise KeyUnavailable(
            f"the credential {name!r} of systemd cannot be read ({type(error).__name__})"
        ) from None
    return Local(_hex(text, f"the credential {name!r}"), f"systemd credential {name}")


def _hex(text: str, what: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != sealing.KEY_BYTES:
        raise KeyUnavailable(f"{what} must hold {2 * sealing.KEY_BYTES} hex digits, the root key")
    return key


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
