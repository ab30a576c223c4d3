"""The example in JavaScript, run by Node against a running service."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.serving import Client as Service

from arcid.client import Client

pytestmark = pytest.mark.data
EXAMPLE = Path(__file__).parents[2] / "examples/arcid.mjs"


def node(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("no Node 20.11 or newer; Chromium runs the same file in tests/browser")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    major, minor, _ = map(int, version.stdout.strip().lstrip("v").split("."))
    if (major, minor) < (20, 11):
        pytest.skip(f"Node {version.stdout.strip()} is older than 20.11")
    known = {k: v for k, v in os.environ.items() if not k.startswith("ARCID_")}
    return subprocess.run(
        [program, *arguments], env=known, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_example_enrols_and_finds(
    client: Service, face: Callable[[int], bytes], tmp_path: Path
) -> None:
    paths = []
    for number in (1, 4, 16):
        paths.append(str(tmp_path / f"{number}.jpg"))
        Path(paths[-1]).write_bytes(face(number))
    url, (ann, again, stranger) = str(client.base_url), paths
    with Client(url) as arcid:
        arcid.create_collection("java script-ü")
        done = node(str(EXAMPLE), url, "java script-ü", "Ann Example", ann, again)
        assert done.returncode == 0, done.stderr
        enrolled, found, listed = done.stdout.splitlines()
        assert enrolled == "Ann Example: 1 face(s)" and listed == "Ann Example has 1"
        assert found.startswith("Ann Example: ")
        twice = node(str(EXAMPLE), url, "java script-ü", "Ben", ann, stranger)
        assert twice.returncode == 1 and "possible_duplicate, request " in twice.stderr
        refused = node(str(EXAMPLE), url, "nowhere", "Ann", ann, stranger)
        assert refused.returncode == 1 and "collection_not_found" in refused.stderr
        assert [p.name for p in arcid.iter_people("java script-ü")] == ["Ann Example"]


def test_no_name_and_no_id_leads_to_another_route() -> None:
    script = f"""
        import {{ Arcid }} from "{EXAMPLE.as_uri()}";
        const arcid = new Arcid("http://127.0.0.1:9"), told = [];
        const attempt = (call) => {{
            try {{ call(); told.push("taken"); }} catch (error) {{ told.push(error.name); }}
        }};
        for (const name of ["a/b", "a\\\\b", ".", "..", ""]) {{
            attempt(() => arcid.collection(name));
            attempt(() => arcid.collection("a").delete(name));
        }}
        arcid.collection("R&D ... ü%2F");
        console.log(told.join(" "));
    """
    ran = node("--input-type=module", "-e", script)
    assert (ran.returncode, ran.stdout.split()) == (0, ["TypeError"] * 10), ran.stderr
