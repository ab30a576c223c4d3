"""How the service is reached: TLS, and a Unix socket instead of a port."""

from __future__ import annotations

import json
import signal
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.serving import without_settings

from arcid.client import Client
from arcid.errors import ConfigError
from arcid.server.run import _bind, serve
from arcid.server.settings import Settings

KEY = "Vj3-wq8Tn0Zr5yLk2Xc7"


def certificate(folder: Path, password: bytes | None = None) -> tuple[Path, Path]:
    """Of 127.0.0.1, signed by itself: certificate and key."""
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "arcid")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(secret.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(secret, hashes.SHA256())
    )  # fmt: skip
    kept = (
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password)
    )
    form = serialization.PrivateFormat.PKCS8
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(secret.private_bytes(serialization.Encoding.PEM, form, kept))
    return files


@contextmanager
def served(home: Path, data_dir: Path, *words: str, **more: str) -> Iterator[Any]:
    env = without_settings() | {"ARCID_HOME": str(home), "ARCID_DATA": str(data_dir)} | more
    command = [sys.executable, "-m", "arcid", "serve", "--port", "0", "--json", *words]
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.data
def test_tls_is_spoken_and_nothing_else(tmp_path: Path, data_dir: Path) -> None:
    cert, key = certificate(tmp_path)
    with served(tmp_path, data_dir, "--tls-cert", str(cert), "--tls-key", str(key)) as ready:
        url = ready["url"]
        assert url.startswith("https://127.0.0.1:") and ready["set_up"].startswith(url)
        trusting = ssl.create_default_context(cafile=str(cert))
        with Client(url, verify=trusting) as arcid:
            assert arcid.health().status == "ready"
        with httpx.Client(base_url=url, verify=trusting, timeout=60) as client:
            code = ready["set_up"].partition("#")[2]
            made = client.post(
                "console/set-up",
                data={"code": code, "name": "Ada", "password": "correct horse battery",
                      "repeat": "correct horse battery"},
                headers={"Origin": url.rstrip("/")},
            )  # fmt: skip
            assert made.status_code == 303 and "Secure" in made.headers["set-cookie"]
        with pytest.raises(httpx.HTTPError):
            httpx.get(url.replace("https", "http") + "v1/health")
        served_by = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # as uvicorn makes it
        assert served_by.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.data
def test_a_unix_socket_is_for_its_owner_and_a_named_proxy_needs_keys(
    tmp_path: Path, data_dir: Path
) -> None:
    path = tmp_path / "arcid.sock"
    with served(tmp_path, data_dir, "--uds", str(path)) as ready:
        assert ready["socket"] == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        through = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(base_url="http://localhost", transport=through, timeout=60) as client:
            forwarded = client.get("/v1/collections", headers={"X-Forwarded-For": "192.0.2.7"})
            assert forwarded.json()["error"]["code"] == "proxy_refused"
        with Client("http://localhost", transport=httpx.HTTPTransport(uds=str(path))) as arcid:
            assert arcid.list_collections().collections == []
        with pytest.raises(ConfigError, match="another service answers"):
            _bind(Settings.load(uds=path))
    assert not path.exists()
    trusted = {"ARCID_TRUSTED_PROXIES": "unix", "ARCID_API_KEYS": KEY}
    with served(tmp_path, data_dir, "--uds", str(path), **trusted):
        through = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(base_url="http://localhost", transport=through, timeout=60) as client:
            told = {"X-Forwarded-For": "192.0.2.7", "X-API-Key": KEY, "Host": "faces.example"}
            client.post("/v1/collections", json={"name": "staff"}, headers=told)
            client.delete("/v1/collections/staff", headers=told)
            (row,) = client.get("/v1/audit", headers=told).json()["entries"]
            assert (row["verb"], row["address"]) == ("collection.delete", "192.0.2.7")
            assert client.get("/v1/audit").status_code == 401


def test_what_cannot_be_spoken_is_said_before_anything_opens(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other")
    (tmp_path / "locked").mkdir()
    locked = certificate(tmp_path / "locked", b"secret")
    for pair in ((cert, cert), (other, key), locked, (tmp_path / "none.pem", key)):
        with pytest.raises(ConfigError, match="ARCID_TLS_CERT"):
            serve(Settings.load(tls_cert=pair[0], tls_key=pair[1]))
    with pytest.raises(ConfigError, match="go together"):
        Settings.load(tls_cert=cert)
    with pytest.raises(ConfigError, match="no TLS"):
        Settings.load(tls_cert=cert, tls_key=key, uds=tmp_path / "x.sock")
    with pytest.raises(ConfigError, match="API key"):
        Settings.load(uds=tmp_path / "x.sock", trusted_proxies="unix").check_exposed()
