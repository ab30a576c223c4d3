"""One opened copy of a kept index for all processes of a user on one machine (Linux).

Whoever opens the file of an index first puts what was sealed into memory without a name
(``memfd_create``), which nobody can change from then on, and hands it to other processes over a
local socket. They have to be of the same user, and to have the key of the file: an erasure destroys
that, and the offer ends with it. The memory is gone with the last process that maps it. Where any
of this cannot be had, each process opens the file for itself.
"""

from __future__ import annotations

import logging
import mmap
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from arcid.gallery.index.state import Part
from arcid.runtime import default_threads
from arcid.vault.sealing import NONCE_BYTES, Cipher

WAIT_S = 2.0  # for another process
_PREFIX = "arcid-index"
_ASKED, _GIVEN = b"arcid/1/index/asked", b"arcid/1/index/given"
_PROOF = NONCE_BYTES + 16  # a nonce, and the tag of nothing
_PEER = struct.Struct("3i")  # pid, uid, gid: unix(7)
_LISTENING = "00010000"  # flags in /proc/net/unix
_ALIGNED = 64

_log = logging.getLogger(__name__)


class Offer:
    """Read-only memory that processes with the key may have. Close it once an erasure ends it."""

    def __init__(self, name: str, by: Cipher, fd: int) -> None:
        """Owns ``fd``. Raises ``OSError``."""
        self._by, self._fd = by, fd
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(f"\0{_PREFIX}/{name}/{os.getpid()}-{os.urandom(4).hex()}")
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, name="arcid-index-offer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nobody gets it any more; who has it keeps it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)

    def _serve(self) -> None:
        with self._socket, suppress(OSError):
            while True:
                connection, _ = self._socket.accept()  # until ``close``
                with connection, suppress(OSError):
                    connection.settimeout(WAIT_S)
                    self._answer(connection)
        os.close(self._fd)

    def _answer(self, connection: socket.socket) -> None:
        if _user_of(connection) != os.getuid():
            return
        asked = connection.recv(_PROOF)
        if _proven(self._by, asked, _ASKED):
            given = _proof(self._by, _GIVEN + asked)
            socket.send_fds(connection, [given], [self._fd])


def parts(
    name: str,
    by: Cipher,
    rows: Sequence[int],
    dim: int,
    read: Sequence[Callable[[], Part]],
) -> tuple[Sequence[Callable[[], Part]], Offer | None]:
    """``read`` once for all processes: views of memory that another one offers under ``name``, or
    that is filled here, and offered from now on. Raises what ``read`` raises.

    ``rows`` of each part. Without Linux, ``read`` itself.
    """
    if sys.platform != "linux":
        return read, None
    places, size = [], 0
    for count in rows:
        places.append((size, Part.nbytes_of(count, dim)))
        size += -(-places[-1][1] // _ALIGNED) * _ALIGNED
    try:
        fd = _asked(name, by, size)
        if fd is None:
            fd = _filled(places, size, read)
        try:
            memory = memoryview(mmap.mmap(fd, size, prot=mmap.PROT_READ))
            offer = Offer(name, by, fd)
        except OSError:
            os.close(fd)
            raise
    except OSError as error:
        _log.info("an index is not shared", extra={"cause": type(error).__name__})
        return read, None
    return [partial(Part.unpacked, memory[at : at + n], dim) for at, n in places], offer


def _filled(
    places: Sequence[tuple[int, int]], size: int, read: Sequence[Callable[[], Part]]
) -> int:
    """A file of memory with all parts in their places, which cannot be changed any more."""
    import fcntl

    fd = os.memfd_create(_PREFIX, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)

        def fill(part: Callable[[], Part], place: tuple[int, int]) -> None:
            data, at = part().packed(), place[0]
            while data:
                done = os.pwrite(fd, data, at)
                data, at = data[done:], at + done

        with ThreadPoolExecutor(default_threads(), "arcid-index") as threads:
            list(threads.map(fill, read, places))
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _seals())
    except BaseException:
        os.close(fd)
        raise
    return fd


def _asked(name: str, by: Cipher, size: int) -> int | None:
    """The memory that another process offers; None where none does."""
    for address in _offered(name):
        with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(WAIT_S)
            connection.connect(f"\0{address}")
            if _user_of(connection) != os.getuid():
                continue
            asked = _proof(by, _ASKED)
            connection.sendall(asked)
            given, fds, _, _ = socket.recv_fds(connection, _PROOF, 1)
            if fds and _proven(by, given, _GIVEN + asked) and _whole(fds[0], size):
                return fds[0]
            for fd in fds:
                os.close(fd)
    return None


def _offered(name: str) -> list[str]:
    """Addresses of sockets that offer it."""
    with suppress(OSError):
        lines = Path("/proc/net/unix").read_text("utf-8", "replace").split("\n")
        sockets = [line.split(maxsplit=7) for line in lines]  # names may hold line breaks
        listening = [one[7] for one in sockets if len(one) == 8 and one[3] == _LISTENING]
        return [path[1:] for path in listening if path.startswith(f"@{_PREFIX}/{name}/")]
    return []


def _whole(fd: int, size: int) -> bool:
    """Whether it can neither be changed nor cut."""
    import fcntl

    return os.fstat(fd).st_size == size and fcntl.fcntl(fd, fcntl.F_GET_SEALS) == _seals()


def _seals() -> int:
    import fcntl

    return fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def _user_of(connection: socket.socket) -> int:
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    user: int = _PEER.unpack(packed)[1]
    return user


def _proof(by: Cipher, of: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + by.encrypt(nonce, b"", of)


def _proven(by: Cipher, proof: bytes, of: bytes) -> bool:
    from cryptography.exceptions import InvalidTag

    try:
        return by.decrypt(proof[:NONCE_BYTES], proof[NONCE_BYTES:], of) == b""
    except (InvalidTag, ValueError):
        return False
