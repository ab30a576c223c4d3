"""``arcid models`` and ``arcid doctor`` as a user meets them: output, JSON and exit codes."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arcid import paths
from arcid.apps.doctor import environment, mask
from arcid.cli import app
from arcid.cli.output import run_command
from arcid.gallery import Gallery
from arcid.models import catalogue, measured, weights
from arcid.models.catalogue import Entry, SourceFile
from arcid.models.catalogue.kinds import INSIGHTFACE_LICENCE
from arcid.models.manifest import InputSpec, Licence, Manifest

SHARED = "mobilefacenet_128"
PACKAGED = paths.packaged_models_dir
SECRET = "correct-horse-battery"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine: nothing installed, not even what ships, no gallery."""
    for name in ("ARCID_DETECTOR", "ARCID_RECOGNISER", "ARCID_DATABASE", "ARCID_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ARCID_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("ARCID_DATA", str(tmp_path / "no-data"))
    monkeypatch.setattr("arcid.paths.packaged_models_dir", lambda: tmp_path / "none-shipped")
    return tmp_path


@pytest.fixture
def with_data(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same with what ships and the models of ARCID_DATA."""
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    monkeypatch.setattr("arcid.paths.packaged_models_dir", PACKAGED)
    return data_dir


Arcid = Callable[..., tuple[int, Any]]


@pytest.fixture
def arcid(capsys: pytest.CaptureFixture[str]) -> Arcid:
    """Runs a command; its exit code, and its JSON where ``--json`` is given, else its text."""

    def run(*argv: str) -> tuple[int, Any]:
        code = run_command(app, argv)
        out = capsys.readouterr()
        return code, json.loads(out.out) if "--json" in argv else out.out + out.err

    return run


def test_an_empty_machine_lists_what_can_be_pulled(arcid: Arcid) -> None:
    code, found = arcid("models", "list", "--json")
    assert (code, found["installed"], found["unusable"]) == (0, [], {})
    offers = {row["name"]: row for row in found["available"]}
    assert set(offers) == weights.pullable()
    assert offers["buffalo_l"]["models"] == ["scrfd_10g", "w600k_r50"]
    assert offers["buffalo_l"]["commercial_use"] is False
    code, text = arcid("models", "list")
    assert code == 0
    assert "Nothing is installed" in text
    assert "buffalo_l" in text
    assert "288.6 MB" in text


def test_the_list_says_what_may_be_used_commercially(arcid: Arcid) -> None:
    _, everything = arcid("models", "list", "--json")
    _, free = arcid("models", "list", "--commercial", "--json")
    uses = {row["name"]: row["commercial_use"] for row in everything["available"]}
    assert {row["name"] for row in free["available"]} == {n for n, use in uses.items() if use}
    assert {"yunet_2023mar", "face-reidentification-retail-0095"} <= {n for n in uses if uses[n]}
    assert (uses["edgeface_s"], uses["adaface_ir18"]) == (False, None)
    (row,) = (r for r in free["available"] if r["name"].startswith("face-reid"))
    assert (row["dim"], row["licence"], row["size_bytes"]) == (256, "Apache-2.0", 2_564_055)
    assert [file["file"].rpartition(".")[2] for file in row["files"]] == ["xml", "bin"]
    code, text = arcid("models", "list")
    assert code == 0
    for word in ("commercial", "unclear", "Open Model Zoo", "AdaFace IR-18"):
        assert word in text
    code, text = arcid("models", "list", "--commercial")
    assert "Nothing of that kind is installed." in text
    assert "buffalo" not in text


def test_numbers_of_the_list_are_those_of_the_file(arcid: Arcid) -> None:
    """What was measured is shown for the very model and contract it was measured of."""
    rows = json.loads(measured.FILE.read_text("utf-8"))
    known = {row["model"]: row for row in rows}
    assert len(known) == len(rows)
    _, found = arcid("models", "list", "--json")
    (row,) = (r for r in found["available"] if r["name"] == "face-reidentification-retail-0095")
    expected = known[row["name"]]
    assert row["measured"] == {"target_fmr": measured.FMR, **expected}
    _, text = arcid("models", "list")
    assert f"{100 * expected['tar']:.1f} %" in text
    for entry in catalogue.ENTRIES.values():
        if entry.name in known:
            assert known[entry.name]["contract_id"] == entry.manifest.contract_id
    for row in rows:
        assert 0 < row["tar_low"] <= row["tar"] <= row["tar_high"] <= 1
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]


def test_a_file_of_the_same_contract_has_numbers_of_its_own() -> None:
    manifest = catalogue.entry("mobilefacenet_128").manifest
    assert (found := measured.of(manifest)) is not None
    assert found.model == manifest.name
    quantised = replace(manifest, name="quantised", sha256="0" * 64, float_sha256=manifest.sha256)
    assert quantised.contract_id == manifest.contract_id
    assert measured.of(quantised) is None
    assert measured.of(replace(manifest, sha256="0" * 64)) is None
    assert measured.of(catalogue.entry("yunet").manifest) is None


def test_several_are_pulled_by_one_command_or_none(arcid: Arcid, home: Path) -> None:
    several = ("models", "pull", "yunet_2023mar", "nonsense", "--accept-licence", "--json")
    code, found = arcid(*several)
    assert (code, found["error"]["code"]) == (4, "model_not_found")
    assert not (home / "models").exists()
    code, text = arcid("models", "pull", "yunet_2023mar", "sface", "--url", "https://example.org/")
    assert code == 2
    assert "one by one" in text


@pytest.mark.data
def test_list_and_info_say_what_is_in_use(arcid: Arcid, with_data: Path) -> None:
    _, found = arcid("models", "list", "--json")
    rows = {row["name"]: row for row in found["installed"]}
    assert {name for name, row in rows.items() if row["default"]} == {
        "arcid-face-s", "arcid-detect-s",
    }  # fmt: skip
    assert (rows[SHARED]["dim"], rows[SHARED]["calibration"]) == (128, "provisional")
    assert rows["scrfd_2.5g"]["contract_id"] is None
    code, info = arcid("models", "info", SHARED, "--json")
    assert code == 0
    assert info["contract_id"] == weights.resolve(SHARED).manifest.contract_id
    assert [file["state"] for file in info["files"]] == ["ok"]
    assert info["calibration"]["people"] == 963
    code, text = arcid("models", "info", "scrfd_2.5g")
    assert code == 0
    assert "commercial use is NOT allowed" in text
    assert INSIGHTFACE_LICENCE.url in text  # type: ignore[operator]
    code, found = arcid("models", "info", "nonsense", "--json")
    assert (code, found["error"]["code"]) == (4, "model_not_found")


@pytest.mark.data
def test_verify_finds_damage(arcid: Arcid, with_data: Path, home: Path) -> None:
    code, found = arcid("models", "verify", SHARED, "yunet_320", "--json")
    assert (code, found["ok"], len(found["models"])) == (0, True, 2)
    models = home / "models"
    models.mkdir()
    source = with_data / "models" / "yunet_n_320_320.onnx"
    damaged = bytearray(source.read_bytes())
    damaged[1000] ^= 1
    (models / source.name).write_bytes(damaged)
    (models / "broken").mkdir()
    (models / "broken" / "manifest.json").write_text("{}", "utf-8")
    code, found = arcid("models", "verify", "yunet_320", SHARED, "broken", "--json")
    assert (code, found["ok"]) == (4, False)
    assert {row["name"]: row.get("error", {}).get("code") for row in found["models"]} == {
        "yunet_320": "model_hash_mismatch", SHARED: None, "broken": "manifest_invalid",
    }  # fmt: skip
    code, info = arcid("models", "info", "yunet_320", "--json")
    assert (code, info["files"][0]["state"]) == (4, "wrong sha256")
    _, listed = arcid("models", "list", "--json")
    assert list(listed["unusable"]) == ["broken"]


@pytest.mark.data
def test_import_then_verify_against_goldens(arcid: Arcid, with_data: Path, home: Path) -> None:
    source = str(with_data / "models" / "mobilefacenet_128.onnx")
    import_ = ("models", "import", source, "--name", "mine", "--like", "mobilefacenet")
    code, row = arcid(*import_, "--licence", "Apache-2.0", "--json")
    assert (code, row["dim"], row["batch"], row["calibration"]) == (0, 128, None, "no")
    assert row["contract_id"] == catalogue.entry(SHARED).manifest.contract_id
    code, text = arcid("models", "verify", "mine")
    assert code == 0
    assert "goldens met" in text
    code, text = arcid(*import_)
    assert code == 2
    assert "--replace" in text
    code, row = arcid(*import_, "--replace", "--mean", "0", "--std", "1,1,1", "--colour", "BGR",
                      "--flip", "--json")  # fmt: skip
    assert (code, row["calibration"]) == (0, "no")
    spec = weights.resolve("mine").manifest.input
    assert (spec.colour, spec.mean, spec.std) == ("BGR", (0, 0, 0), (1, 1, 1))
    code, text = arcid(*import_, "--replace", "--mean", "1,2")
    assert code == 2
    assert "three with commas" in text
    code, found = arcid(*import_, "--replace", "--dim", "512", "--json")
    assert (code, found["error"]["code"]) == (4, "manifest_invalid")
    golden = home / "models" / "mine" / "goldens.json"
    content = json.loads(golden.read_text("utf-8"))
    content["vectors"][0] = content["vectors"][1]
    golden.write_text(json.dumps(content), "utf-8")
    code, text = arcid("models", "verify", "mine")
    assert code == 4
    assert "answers otherwise" in text


class _OneFile(http.server.BaseHTTPRequestHandler):
    data = b"weights" * 1000

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        self.wfile.write(self.data)


def test_pull_asks_for_the_licence_first(
    arcid: Arcid, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _OneFile) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        sha256 = hashlib.sha256(_OneFile.data).hexdigest()
        url = f"http://127.0.0.1:{server.server_address[1]}/m.onnx"
        manifest = Manifest(
            name="made_up", task="detection", family="scrfd", sha256=sha256, file="m.onnx",
            input=InputSpec(None, "RGB", (0.0,) * 3, (1.0,) * 3, None),
            licence=Licence("Made-up licence", "https://example.org/terms", commercial_use=False),
        )  # fmt: skip
        file = SourceFile("m.onnx", sha256, len(_OneFile.data), url)
        monkeypatch.setitem(catalogue.ENTRIES, "made_up", Entry("made_up", manifest, (file,)))
        code, found = arcid("models", "pull", "made_up", "--json")
        assert (code, found["error"]["code"]) == (4, "licence_not_accepted")
        assert not (home / "models").exists()
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        answers = iter([False, True])
        monkeypatch.setattr("typer.confirm", lambda question, err: next(answers))
        code, text = arcid("models", "pull", "made_up")
        assert code == 4
        assert "Made-up licence (https://example.org/terms)" in text
        assert "commercial use is NOT allowed" in text
        assert sha256 in text
        code, text = arcid("models", "pull", "made_up")
        assert code == 0
        shutil.rmtree(home / "models")
        monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
        code, found = arcid("models", "pull", "made_up", "--accept-licence", "--json")
        assert (code, found["fetched"]) == (0, True)
        assert weights.resolve("made_up").path.read_bytes() == _OneFile.data
        server.shutdown()
        thread.join()
    code, found = arcid("models", "pull", "made_up", "--json")  # no server, no licence: it is here
    assert (code, found["fetched"]) == (0, False)
    code, found = arcid("models", "pull", "nonsense", "--json")
    assert (code, found["error"]["code"]) == (4, "model_not_found")


# doctor


@pytest.mark.data
def test_doctor_on_a_sound_machine(arcid: Arcid, with_data: Path, home: Path) -> None:
    code, found = arcid("doctor", "--json")
    assert (code, found["ok"]) == (0, True)
    assert found["runtime"]["openvino"]
    assert "CPUExecutionProvider" in found["runtime"]["onnxruntime_providers"]
    assert found["models"]["recognition"]["model"] == "arcid-face-s"
    assert found["models"]["detection"]["model"] == "arcid-detect-s"
    assert found["models"]["recognition"]["calibration"] == "provisional"
    assert found["models"]["detection"]["checked"].startswith(
        "verified, loaded and run, goldens met"
    )
    assert "not made yet" in found["database"]["state"]
    assert not (home / "home").exists()  # it looks, it does not make
    assert found["environment"]["ARCID_DATA"] == str(with_data)
    assert any("provisional" in problem["message"] for problem in found["problems"])
    code, text = arcid("doctor")
    assert code == 0
    assert "everything that is needed works" in text


def test_doctor_says_which_model_is_missing_and_how_to_get_it(arcid: Arcid) -> None:
    code, found = arcid("doctor", "--json")
    assert (code, found["ok"]) == (4, False)
    serious = [p["message"] for p in found["problems"] if p["serious"]]
    assert len(serious) == 2
    assert all("model is the default; choose one with ARCID_" in text for text in serious)


@pytest.mark.data
def test_doctor_on_databases(
    arcid: Arcid, with_data: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "gallery.db"
    with Gallery.open(str(path)) as gallery:
        gallery.create_collection("staff")
    monkeypatch.setenv("ARCID_DATABASE", str(path))
    code, found = arcid("doctor", "--json")
    database = found["database"]
    assert (code, database["state"]) == (0, "sound")
    assert (database["journal_mode"], database["synchronous"]) == ("wal", "full")
    assert database["rows"]["collections"] == 1
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE collections SET name = 'other'")
    connection.close()
    code, found = arcid("doctor", "--json")
    assert (code, found["database"]["state"]) == (5, "damaged")
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    code, found = arcid("doctor", "--json")
    assert (code, found["ok"]) == (5, False)
    code, text = arcid("doctor", "--database", str(path))
    assert code == 5
    assert "PROBLEM (database)" in text


@pytest.mark.data
def test_doctor_prints_no_secret(
    arcid: Arcid, with_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://arcid:{SECRET}@127.0.0.1:9/faces?sslpassword={SECRET}&connect_timeout=1"
    monkeypatch.setenv("ARCID_DATABASE", url)
    monkeypatch.setenv("ARCID_API_KEYS", SECRET)
    for options in ((), ("--json",)):
        code, shown = arcid("doctor", *options)
        assert code == 5
        assert SECRET not in str(shown)
        assert "127.0.0.1:9/faces" in str(shown)


def test_masking() -> None:
    assert mask("postgresql://a:b/c?d@host/db") == "postgresql://a:***@host/db"
    assert mask("postgresql://a@host/db") == "postgresql://a@host/db"
    assert mask("/home/me/gallery.db") == "/home/me/gallery.db"
    assert mask("x://h/db?user=u&password=p&a=b") == "x://h/db?user=u&password=***&a=b"
    shown = environment({"ARCID_API_KEYS": "k", "ARCID_THREADS": "2", "HOME": "/root"})
    assert shown == {"ARCID_API_KEYS": "(set, not shown)", "ARCID_THREADS": "2"}


def test_bench_refuses_unknown_parts(arcid: Arcid) -> None:
    code, found = arcid("bench", "--only", "runtime,nonsense", "--json")
    assert (code, found["error"]["code"]) == (2, "usage_error")
    assert "runtime, search, start, enrol" in found["error"]["message"]
