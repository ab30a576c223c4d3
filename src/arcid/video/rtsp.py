"""Whether an RTSP server sends callers elsewhere: FFmpeg follows, and takes the password along."""

from __future__ import annotations

import base64
import socket
import ssl
from contextlib import ExitStack
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from arcid.addresses import connect

PORTS = {"rtsp": 554, "rtsps": 322}
_MOST = 65_536


def redirects(url: str, timeout_s: float) -> bool:
    """Ask for the stream's description as FFmpeg will, first without a password.

    The password is sent to the server that the address names only, and only where it asks for it
    openly (Basic); a digest of it tells nobody what it is. Raises ``OSError``.
    """
    parts = urlsplit(url)
    status, wants_basic = _describe(parts, "", timeout_s)
    if status == 401 and wants_basic:
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        token = base64.b64encode(pair.encode()).decode()
        status, _ = _describe(parts, f"Authorization: Basic {token}\r\n", timeout_s)
    return 300 <= status < 400


def _describe(parts: SplitResult, authorisation: str, timeout_s: float) -> tuple[int, bool]:
    """(status, whether a password is asked for openly)."""
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    answer = b""
    with ExitStack() as stack:
        connection = stack.enter_context(connect((host, port), timeout_s))
        if parts.scheme == "rtsps":
            connection = stack.enter_context(_secured(connection, host))
        connection.sendall(
            f"DESCRIBE {bare} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n"
            f"{authorisation}\r\n".encode()
        )
        while b"\r\n\r\n" not in answer and len(answer) < _MOST:
            more = connection.recv(4096)
            if not more:
                break
            answer += more
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1")
    words = head.split(None, 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0
    return status, "www-authenticate: basic" in head.lower()


def _secured(connection: socket.socket, host: str) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as FFmpeg: cameras sign
    return context.wrap_socket(connection, server_hostname=host)  # their own certificates
