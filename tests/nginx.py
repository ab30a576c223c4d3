"""A real nginx before services of tests."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

Connect = Callable[..., httpx.Client]


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"no {name} on this machine: apt-get install nginx-light openssl")
    return found


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of our own for localhost, and its key."""
    pem, key = folder / "faces.pem", folder / "faces.key"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [program("openssl"), "req", "-x509", "-days", "1", *curve, *named]
    subprocess.run([*command, "-keyout", key, "-out", pem], check=True, capture_output=True)
    return pem, key


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def nginx(
    site: str, services: Mapping[str, str], tls: tuple[Path, Path], folder: Path
) -> Iterator[Connect]:
    """A site as it would be installed, before services, each by its place in the site;
    connections of clients to it."""
    ports = {"80": free_port(), "443": free_port()}
    site = re.sub(r"listen (\d+)", lambda found: f"listen 127.0.0.1:{ports[found[1]]}", site)
    for place, service in services.items():
        site = site.replace(place, service)
    site = site.replace("faces.example", "localhost")
    site = site.replace("/etc/ssl/faces.pem", str(tls[0])).replace(
        "/etc/ssl/faces.key", str(tls[1])
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (folder / "nginx.conf").write_text(
        ("user root;\n" if os.geteuid() == 0 else "")
        + f"daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log stderr;\n"
        + "events {}\nhttp {\naccess_log off;\n"
        + "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        + site
        + "}\n"
    )
    command = [program("nginx"), "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    with ExitStack() as clients:
        clients.callback(process.wait, 20)
        clients.callback(process.terminate)
        used = [port for port in ports.values() if f":{port}" in site]
        deadline = time.monotonic() + 20
        for port in used:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert process.poll() is None, (folder / "nginx.log").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.05)

        def connect(scheme: str = "https", address: str = "127.0.0.1") -> httpx.Client:
            trusted = ssl.create_default_context(cafile=str(tls[0]))
            url = f"{scheme}://localhost:{ports['443' if scheme == 'https' else '80']}"
            transport = httpx.HTTPTransport(verify=trusted, local_address=address)
            client = httpx.Client(
                base_url=url, headers={"Origin": url}, transport=transport, timeout=60
            )
            return clients.enter_context(client)

        yield connect
