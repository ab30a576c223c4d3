"""Dockerfile and compose.yaml, read: what they copy exists, what they run is arcid, and the service
starts with exactly their settings and answers their health check."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.api.test_transport import certificate
from tests.serving import serving

from arcid import signing
from arcid.apps.onboarding import evidence
from arcid.apps.telling import hooks
from arcid.cameras import sealing
from arcid.models import calibrations, chosen, trust

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
LINES = [line.split(None, 1) for line in TEXT.splitlines() if re.match(r"[A-Z]+ ", line)]
SERVICE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"][
    "arcid"
]
KEY = "gVq2-tests-only-8Zr4wXnLkPdE"


def instructions(name: str) -> list[str]:
    return [rest for word, rest in LINES if word == name]


def environment() -> dict[str, str]:
    pairs = re.findall(r"(\w+)=(\S+)", " ".join(instructions("ENV")))
    return dict(pairs) | {"ARCID_API_KEYS": KEY}


def health_check() -> list[str]:
    (words,) = re.findall(r"CMD (\[.*\])", instructions("HEALTHCHECK")[0])
    return list(json.loads(words))


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    sources = [
        source
        for line in instructions("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    ]
    kept = set((ROOT / ".dockerignore").read_text("utf-8").split())
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in kept


def test_it_runs_as_nobody_who_matters_on_a_root_that_stays_as_it_is() -> None:
    assert instructions("USER")[-1].split(":")[0] not in {"root", "0"}
    assert SERVICE["read_only"] is True
    assert SERVICE["cap_drop"] == ["ALL"]
    home = environment()["ARCID_HOME"]
    assert instructions("VOLUME") == [home]
    assert [v.split(":")[1] for v in SERVICE["volumes"]] == [home]


def test_only_this_machine_reaches_it_and_a_key_is_asked_for() -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICE["ports"])
    assert SERVICE["ports"][0].endswith(":" + environment()["ARCID_PORT"])
    assert SERVICE["environment"]["ARCID_API_KEYS"].startswith("${ARCID_API_KEYS:?")


def test_the_service_starts_with_these_settings(tmp_path: Path) -> None:
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["arcid"]
    assert json.loads(instructions("CMD")[-1]) == ["serve"]
    settings = environment()
    for name in ("ARCID_HOME", "ARCID_PORT", "PATH"):
        del settings[name]
    with serving(tmp_path, tmp_path, **settings) as address:
        assert address.startswith("http://127.0.0.1:")
        program, *arguments = health_check()
        assert program == "python"
        port = address.rpartition(":")[2]
        asked = [sys.executable, *arguments]
        subprocess.run(asked, env=os.environ | {"ARCID_PORT": port}, check=True, timeout=10)
        wrong = subprocess.run(
            asked, env=os.environ | {"ARCID_PORT": "1"}, check=False, capture_output=True
        )
        assert wrong.returncode == 1
        assert status(f"{address}/v1/collections") == 401
        assert status(f"{address}/v1/collections", Authorization=f"Bearer {KEY}") == 200


def test_the_example_of_several_servers_is_the_documented_site_before_services_like_this_one() -> (
    None
):
    example = ROOT / "examples" / "several-servers"
    services = yaml.safe_load((example / "compose.yaml").read_text("utf-8"))["services"]
    document = (ROOT / "docs" / "concepts" / "several-servers.md").read_text("utf-8")
    (site,) = re.findall(r"```nginx\n(.*?)```", document, re.S)
    ours = (example / "site.conf").read_text("utf-8").partition("\n")[2]
    for number in (1, 2, 3):
        site = site.replace(
            f"10.0.0.1{number}:8000", f"arcid{number}:{environment()['ARCID_PORT']}"
        )
        service = services[f"arcid{number}"]
        for name in ("read_only", "tmpfs", "cap_drop", "security_opt", "mem_limit", "pids_limit"):
            assert service[name] == SERVICE[name]
        assert [v.split(":")[1] for v in service["volumes"]] == [environment()["ARCID_HOME"]]
    theirs = ("443 ssl", "faces.example", "/etc/ssl/faces.pem", "/etc/ssl/faces.key")
    here = ("8443 ssl", "_", "/run/secrets/certificate", "/run/secrets/certificate_key")
    for documented, example_has in zip(theirs, here, strict=True):
        assert documented in site
        site = site.replace(documented, example_has)
    assert ours == site
    assert services["nginx"]["ports"] == ["127.0.0.1:8443:8443"]
    assert not any("ports" in service for name, service in services.items() if name != "nginx")


def test_the_health_check_speaks_tls_where_the_service_does(tmp_path: Path) -> None:
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v1/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            asked = [sys.executable, *health_check()[1:]]
            env = os.environ | {"ARCID_PORT": str(server.server_port), "ARCID_TLS_CERT": str(cert)}
            subprocess.run(asked, env=env, check=True, timeout=10)
        finally:
            server.shutdown()
            thread.join(10)


@pytest.mark.parametrize("page", ["containers", "concepts/backup", "concepts/several-servers"])
def test_what_no_database_holds_is_named_where_it_has_to_be_copied(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_HOME", str(tmp_path))
    monkeypatch.setenv("ARCID_MODELS", str(tmp_path / "models"))
    chosen.choose("detection", None)
    trust.accept("nothing", tmp_path)
    left = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert len(left) == 2
    keys = {signing.KEY_NAME, evidence.KEY_NAME, hooks.NAME, *sealing.NAMES}
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    for name in left | keys | {calibrations.in_force("c").parent.name}:
        assert name in text, name


def status(address: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address, headers=headers), timeout=10
        ) as got:
            return int(got.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
