"""Pulling models from a server on this machine that misbehaves in every way we know."""

from __future__ import annotations

import dataclasses
import errno
import functools
import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arcid.errors import (
    DownloadFailed,
    LicenceNotAccepted,
    ModelHashMismatch,
    ModelNotFound,
    UsageError,
)
from arcid.models import catalogue, install, weights
from arcid.models import pull as fetch
from arcid.models.catalogue import Entry, Pack, SourceFile
from arcid.models.manifest import InputSpec, Licence, Manifest, OutputSpec

LICENCE = Licence("Made-up licence", "https://example.org/licence", commercial_use=False)
WEIGHTS = {name: bytes(name * 40_000, "ascii") for name in ("det.onnx", "rec.onnx")}


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _Server(http.server.ThreadingHTTPServer):
    """Serves ``content`` by path; ``mode`` says how it fails; ``asked`` keeps the Range headers."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.mode = ""
        self.asked: list[str | None] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        mode, data = self.server.mode, self.server.content.get(self.path.partition("?")[0])
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if mode.startswith("redirect"):
            self.send_response(302)
            out = mode == "redirect-out"
            self.send_header("Location", "http://example.org/model.zip" if out else "https://[::1")
            self.end_headers()
            return
        if data is None or mode == "404":
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and mode != "no-range" else 0
        if start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        body = data[start:]
        if mode != "no-length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if mode == "truncate" else body)


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _entry(name: str, filename: str, task: Any, url: str | None = None) -> Entry:
    data = WEIGHTS[filename]
    recognises = task == "recognition"
    manifest = Manifest(
        name=name,
        task=task,
        family="arcface" if recognises else "scrfd",
        sha256=_sha(data),
        file=filename,
        input=InputSpec(None, "RGB", (127.5,) * 3, (128.0,) * 3, (112, 112)),
        output=OutputSpec(None, 128) if recognises else None,
        licence=LICENCE,
    )
    return Entry(name, manifest, (SourceFile(filename, _sha(data), len(data), url),))


@pytest.fixture
def pack(server: _Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> fetch.Offer:
    """A made-up pack of two models, at /pack.zip of the server."""
    archive = _zip({"pack/det.onnx": WEIGHTS["det.onnx"], "pack/rec.onnx": WEIGHTS["rec.onnx"],
                    "pack/genderage.onnx": b"unwanted"})  # fmt: skip
    server.content["/pack.zip"] = archive
    _offer_archive(server, monkeypatch, archive)
    for name, filename, task in (
        ("made_up_det", "det.onnx", "detection"),
        ("made_up_rec", "rec.onnx", "recognition"),
    ):
        monkeypatch.setitem(catalogue.ENTRIES, name, _entry(name, filename, task))
    monkeypatch.setenv("ARCID_MODELS", str(tmp_path / "models"))
    return fetch.offer("made_up")


def _offer_archive(server: _Server, monkeypatch: pytest.MonkeyPatch, archive: bytes) -> None:
    file = SourceFile("made_up.zip", _sha(archive), len(archive), server.url("/pack.zip"))
    made_up = Pack("made_up", file, LICENCE, ("made_up_det", "made_up_rec"))
    monkeypatch.setitem(catalogue.PACKS, "made_up", made_up)


def _parts(root: Path) -> list[Path]:
    return sorted((root / install.WORK).glob("*")) if root.exists() else []


def _bundles(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir() if p.name != install.WORK) if root.exists() else []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


pull = functools.partial(fetch.pull, accept_licence=True)


def test_a_pack_becomes_bundles_that_resolve(pack: fetch.Offer, root: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    folders = pull(pack, root, progress=lambda done, total: seen.append((done, total)))
    assert [f.name for f in folders] == ["made_up_det", "made_up_rec"] == _bundles(root)
    assert sorted(p.name for p in folders[1].iterdir()) == ["manifest.json", "rec.onnx"]
    bundle = weights.resolve("made_up_rec")
    assert bundle.origin == "models"
    assert bundle.path.read_bytes() == WEIGHTS["rec.onnx"]
    assert bundle.manifest.provenance["pulled"] == "made_up"
    assert bundle.manifest.contract_id == catalogue.entry("made_up_rec").manifest.contract_id
    assert seen[-1] == (pack.file.size_bytes, pack.file.size_bytes)
    assert _parts(root) == []


def test_nothing_is_asked_of_the_network_without_the_licence(
    pack: fetch.Offer, root: Path, server: _Server
) -> None:
    with pytest.raises(LicenceNotAccepted, match="Made-up licence"):
        fetch.pull(pack, root, accept_licence=False)
    assert server.asked == []
    assert not root.exists()


def test_what_is_installed_is_not_fetched_again(
    pack: fetch.Offer, root: Path, server: _Server
) -> None:
    pull(pack, root)
    server.asked.clear()
    pull(pack, root)
    assert server.asked == []
    (root / "made_up_det" / "det.onnx").write_bytes(b"damaged")
    pull(pack, root)
    assert server.asked == [None]
    assert weights.resolve("made_up_det").path.read_bytes() == WEIGHTS["det.onnx"]


def test_what_another_catalogue_described_is_described_anew(
    pack: fetch.Offer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(pack, root)
    entry = catalogue.entry("made_up_det")
    manifest = dataclasses.replace(entry.manifest, description="said better")
    monkeypatch.setitem(
        catalogue.ENTRIES, entry.name, dataclasses.replace(entry, manifest=manifest)
    )
    assert weights.resolve("made_up_det").trust == "unverified"
    pull(fetch.offer("made_up"), root)
    bundle = weights.resolve("made_up_det")
    assert (bundle.trust, bundle.manifest.description) == ("catalogue", "said better")


def test_a_truncated_download_is_kept_and_resumed(
    pack: fetch.Offer, root: Path, server: _Server
) -> None:
    server.mode = "truncate"
    with pytest.raises(DownloadFailed, match=r"kept and resume") as caught:
        pull(pack, root)
    (part,) = _parts(root)
    size = pack.file.size_bytes or 0
    assert part.stat().st_size == caught.value.details["kept_bytes"] == size // 2
    assert _bundles(root) == []
    server.mode = ""
    pull(pack, root)
    assert server.asked == [None, f"bytes={size // 2}-"]
    assert _bundles(root) == ["made_up_det", "made_up_rec"]


def test_a_server_without_ranges_starts_over(
    pack: fetch.Offer, root: Path, server: _Server
) -> None:
    server.mode = "truncate"
    with pytest.raises(DownloadFailed):
        pull(pack, root)
    server.mode = "no-range"
    pull(pack, root)
    assert _bundles(root) == ["made_up_det", "made_up_rec"]


def test_a_server_that_closes_early_without_a_length(
    pack: fetch.Offer, root: Path, server: _Server
) -> None:
    server.content["/pack.zip"] = server.content["/pack.zip"][:1000]
    server.mode = "no-length"
    with pytest.raises(DownloadFailed, match="broke off"):
        pull(pack, root)
    assert _bundles(root) == []


def test_a_kept_part_of_other_bytes_is_found_out(
    pack: fetch.Offer, root: Path, server: _Server
) -> None:
    (root / install.WORK).mkdir(parents=True)
    part = root / install.WORK / f"{pack.file.sha256}.part"
    part.write_bytes(b"\0" * 1000)
    with pytest.raises(ModelHashMismatch, match="thrown away"):
        pull(pack, root)
    assert not part.exists()
    pull(pack, root)
    assert _bundles(root) == ["made_up_det", "made_up_rec"]


def test_a_part_longer_than_the_file_starts_over(
    pack: fetch.Offer, root: Path, server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = _entry("made_up_one", "det.onnx", "detection", server.url("/det.onnx"))
    unsized = Entry(entry.name, entry.manifest, (
        SourceFile("det.onnx", entry.files[0].sha256, None, entry.files[0].url),
    ))  # fmt: skip
    monkeypatch.setitem(catalogue.ENTRIES, entry.name, unsized)
    server.content["/det.onnx"] = WEIGHTS["det.onnx"]
    (root / install.WORK).mkdir(parents=True)
    part = root / install.WORK / f"{entry.files[0].sha256}.part"
    part.write_bytes(b"\0" * (len(WEIGHTS["det.onnx"]) + 5))
    pull(fetch.offer("made_up_one"), root)
    assert _bundles(root) == ["made_up_one"]
    assert server.asked[1] is None


def test_wrong_bytes_are_thrown_away(pack: fetch.Offer, root: Path, server: _Server) -> None:
    data = server.content["/pack.zip"]
    server.content["/pack.zip"] = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(ModelHashMismatch) as caught:
        pull(pack, root)
    assert caught.value.details["expected"] == pack.file.sha256
    assert _bundles(root) == _parts(root) == []


def test_more_bytes_than_announced_are_refused(
    pack: fetch.Offer, root: Path, server: _Server
) -> None:
    server.content["/pack.zip"] += b"\0" * 100
    with pytest.raises(DownloadFailed, match="another version"):
        pull(pack, root)
    server.mode = "no-length"
    with pytest.raises(DownloadFailed, match="larger"):
        pull(pack, root)
    assert _bundles(root) == []


def test_404_and_a_dead_server(pack: fetch.Offer, root: Path, server: _Server) -> None:
    server.mode = "404"
    with pytest.raises(DownloadFailed, match=r"404 Not Found.*--url"):
        pull(pack, root)
    with pytest.raises(DownloadFailed, match="refused"):
        pull(pack, root, url="http://127.0.0.1:9/pack.zip")
    assert _bundles(root) == []


def test_a_mirror_must_deliver_the_pinned_bytes(
    pack: fetch.Offer, root: Path, server: _Server
) -> None:
    server.content["/mirror/a.zip"] = server.content["/pack.zip"]
    server.content["/evil.zip"] = _zip({"det.onnx": b"evil", "rec.onnx": b"evil"})
    with pytest.raises(DownloadFailed, match="another version"):
        pull(pack, root, url=server.url("/evil.zip"))
    assert _bundles(root) == []
    pull(pack, root, url=server.url("/mirror/a.zip?token=abc"))
    found = weights.resolve("made_up_det").manifest.provenance["url"]
    assert found == server.url("/mirror/a.zip")


@pytest.mark.parametrize(
    "url", ["http://example.org/a.zip", "ftp://127.0.0.1/a", "file:///etc/passwd", "pack.zip", ""]
)
def test_only_https_and_loopback(pack: fetch.Offer, root: Path, url: str) -> None:
    if url:
        with pytest.raises(UsageError, match="https only"):
            pull(pack, root, url=url)
    with pytest.raises(UsageError):
        fetch.check_url(url)
    fetch.check_url("https://example.org/a.zip")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://[::1", "no such host or port"),
        ("https://example.org:99999/a.zip", "no such host or port"),
        ("https://example.org/ä.zip", "a letter that no request can hold"),
        ("https://exämple.org/a.zip", "a letter that no request can hold"),
        ("https://example.org/a b.zip", "a letter that no request can hold"),
    ],
)
def test_what_is_no_address_is_refused(
    pack: fetch.Offer, pair: fetch.Offer, root: Path, url: str, said: str
) -> None:
    for wanted in (pack, pair):
        with pytest.raises(UsageError, match=said):
            pull(wanted, root, url=url)


def test_a_redirect_to_no_address(pack: fetch.Offer, root: Path, server: _Server) -> None:
    server.mode = "redirect-nowhere"
    with pytest.raises(DownloadFailed, match="redirects to what is no address"):
        pull(pack, root)


def test_redirects_cannot_leave_the_rules(pack: fetch.Offer, root: Path, server: _Server) -> None:
    server.mode = "redirect-out"
    with pytest.raises(UsageError, match="https only"):
        pull(pack, root)
    assert _bundles(root) == []


def test_archives_cannot_write_elsewhere(
    pack: fetch.Offer, root: Path, server: _Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    archive = _zip({"../../det.onnx": WEIGHTS["det.onnx"], "/rec.onnx": WEIGHTS["rec.onnx"],
                    "../evil.txt": b"evil"})  # fmt: skip
    server.content["/pack.zip"] = archive
    _offer_archive(server, monkeypatch, archive)
    pull(fetch.offer("made_up"), root)
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {f"models/made_up_{kind}/{name}" for kind in ("det", "rec")
                     for name in ("manifest.json", f"{kind}.onnx")}  # fmt: skip


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"det.onnx": WEIGHTS["det.onnx"]}, DownloadFailed),  # a model is missing
        ({"det.onnx": WEIGHTS["det.onnx"], "rec.onnx": b"other"}, ModelHashMismatch),
        ({"det.onnx": WEIGHTS["det.onnx"] + b"\0" * 100, "rec.onnx": b""}, DownloadFailed),  # bomb
        ({"a/det.onnx": WEIGHTS["det.onnx"], "b/det.onnx": b"", "rec.onnx": b""}, DownloadFailed),
        (None, DownloadFailed),  # no archive at all
    ],
)
def test_an_archive_that_is_not_as_promised(
    pack: fetch.Offer,
    root: Path,
    server: _Server,
    monkeypatch: pytest.MonkeyPatch,
    members: dict[str, bytes] | None,
    error: type[Exception],
) -> None:
    archive = b"not a zip" if members is None else _zip(members)
    server.content["/pack.zip"] = archive
    _offer_archive(server, monkeypatch, archive)
    with pytest.raises(error):
        pull(fetch.offer("made_up"), root)
    assert "made_up_rec" not in _bundles(root)
    assert not any(p.name.startswith("new-") for p in _parts(root))


def test_a_full_disk_keeps_what_arrived(
    pack: fetch.Offer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_copy_verified", full)
        with pytest.raises(DownloadFailed, match="disk is full"):
            pull(pack, root)
    assert _bundles(root) == []
    assert [p.stat().st_size for p in _parts(root)] == [pack.file.size_bytes]
    pull(pack, root)
    assert _bundles(root) == ["made_up_det", "made_up_rec"]


def test_too_little_space_is_said_before_downloading(
    pack: fetch.Offer, root: Path, server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = fetch.shutil.disk_usage(Path.cwd())._replace(free=1000)  # type: ignore[attr-defined]
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: usage)  # type: ignore[attr-defined]
    with pytest.raises(DownloadFailed, match="are needed"):
        pull(pack, root)
    assert server.asked == []


def test_two_processes_do_not_write_one_part(
    pack: fetch.Offer, root: Path, server: _Server
) -> None:
    fcntl = pytest.importorskip("fcntl")
    (root / install.WORK).mkdir(parents=True)
    with (root / install.WORK / f"{pack.file.sha256}.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadFailed, match="another process"):
            pull(pack, root)
    assert server.asked == []


@pytest.fixture
def pair(server: _Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> fetch.Offer:
    """A made-up OpenVINO model of two files, at /ir/ of the server."""
    contents = {"m.xml": b"<net/>" * 5_000, "m.bin": b"weights" * 20_000}
    for name, data in contents.items():
        server.content[f"/ir/{name}"] = data
    files = tuple(
        SourceFile(name, _sha(data), len(data), server.url(f"/ir/{name}"))
        for name, data in contents.items()
    )
    manifest = Manifest(
        name="made_up_pair", task="recognition", family="omz", file="m.xml",
        sha256=files[0].sha256, weights_sha256=files[1].sha256,
        input=InputSpec(None, "BGR", (0.0,) * 3, (1.0,) * 3, (128, 128)),
        output=OutputSpec(None, 256), licence=LICENCE, template="omz",
    )  # fmt: skip
    monkeypatch.setitem(catalogue.ENTRIES, manifest.name, Entry(manifest.name, manifest, files))
    monkeypatch.setenv("ARCID_MODELS", str(tmp_path / "models"))
    return fetch.offer(manifest.name)


def test_a_model_of_two_files(pair: fetch.Offer, root: Path, server: _Server) -> None:
    seen: list[tuple[int, int | None]] = []
    (folder,) = pull(pair, root, progress=lambda done, total: seen.append((done, total)))
    assert sorted(p.name for p in folder.iterdir()) == ["m.bin", "m.xml", "manifest.json"]
    assert pair.size_bytes == 30_000 + 140_000
    assert seen == sorted(seen)
    assert seen[-1] == (pair.size_bytes, pair.size_bytes)
    bundle = weights.resolve("made_up_pair")
    assert bundle.trust == "catalogue"
    assert bundle.path.read_bytes() == server.content["/ir/m.xml"]
    assert _parts(root) == []
    server.asked.clear()
    pull(pair, root)
    assert server.asked == []
    (folder / "m.bin").write_bytes(b"damaged")
    pull(pair, root)
    assert (folder / "m.bin").read_bytes() == server.content["/ir/m.bin"]


def test_a_mirror_of_two_files_is_their_folder(
    pair: fetch.Offer, root: Path, server: _Server
) -> None:
    for name in ("m.xml", "m.bin"):
        server.content[f"/mirror/{name}"] = server.content.pop(f"/ir/{name}")
    with pytest.raises(DownloadFailed, match="404"):
        pull(pair, root)
    pull(pair, root, url=server.url("/mirror/?token=abc"))
    found = weights.resolve("made_up_pair").manifest.provenance["url"]
    assert found == server.url("/mirror/m.xml")


def test_one_wrong_file_of_two_installs_nothing(
    pair: fetch.Offer, root: Path, server: _Server
) -> None:
    right = server.content["/ir/m.bin"]
    server.content["/ir/m.bin"] = right[:-1] + b"x"
    with pytest.raises(ModelHashMismatch) as caught:
        pull(pair, root)
    assert caught.value.details["expected"] == pair.files[1].sha256
    assert _bundles(root) == []
    server.content["/ir/m.bin"] = right
    server.asked.clear()
    pull(pair, root)
    assert server.asked == [None]  # the first was whole and is not fetched again
    assert _bundles(root) == ["made_up_pair"]


def test_unknown_names_list_what_can_be_pulled() -> None:
    with pytest.raises(ModelNotFound, match="buffalo_l"):
        fetch.offer("nonsense")
    with pytest.raises(ModelNotFound, match="its published files are edgeface_xs_float;"):
        fetch.offer("edgeface_xs")
    with pytest.raises(ModelNotFound, match="cannot be pulled"):
        fetch.offer("mobilefacenet_128")


def test_every_offer_of_the_catalogue_is_complete() -> None:
    for name in weights.pullable():
        offer = fetch.offer(name)
        for file in offer.files:
            fetch.check_url(file.url or "")
            assert (file.url or "").startswith("https://")
            assert len(file.sha256) == 64
        assert offer.licence.name
        assert offer.models
        assert set(offer.members) <= {entry.name for entry in offer.models}
        for entry in offer.models:
            assert not entry.convert
            assert {f.filename: f.sha256 for f in entry.files} == entry.manifest.files
    assert {"buffalo_l", "buffalo_m", "buffalo_s", "buffalo_sc", "antelopev2", "yunet_2023mar",
            "minifasnet_v2", "minifasnet_v1se", "face-reidentification-retail-0095",
            "edgeface_xxs_float", "edgeface_xs_float", "edgeface_s", "auraface",
            } <= weights.pullable()  # fmt: skip


def test_no_two_models_claim_one_file_name() -> None:
    """A file in a models folder is recognised by its name, then checked."""
    names: dict[str, str] = {}
    for entry in catalogue.ENTRIES.values():
        for file in entry.files:
            assert names.setdefault(file.filename, file.sha256) == file.sha256, entry.name
