"""Fetching known models, only ever because somebody asked: ``arcid models pull NAME``.

https with a pinned sha256, the licence accepted first, a ``.part`` file that resumes, and nothing
visible to ``weights`` before every byte was verified.
"""

from __future__ import annotations

import datetime
import errno
import hashlib
import http.client
import ipaddress
import shutil
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

from arcid import addresses, files
from arcid.errors import (
    DownloadFailed,
    LicenceNotAccepted,
    ManifestInvalid,
    ModelHashMismatch,
    ModelNotFound,
    UsageError,
)
from arcid.models import catalogue, trust, weights
from arcid.models.catalogue import Entry, SourceFile
from arcid.models.install import WORK, publish, staging
from arcid.models.manifest import Licence, Manifest

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all
CHUNK_BYTES = 1 << 18
MAX_BYTES = 2 << 30  # no model or pack is larger
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Offer:
    """What ``pull`` would fetch, to be shown before anything is asked of the network."""

    name: str
    files: tuple[SourceFile, ...]  # an archive, or all files of one model
    licence: Licence
    models: tuple[Entry, ...]
    archive: bool
    members: Mapping[str, str] = field(default_factory=dict)  # model: its file in the archive

    @property
    def file(self) -> SourceFile:
        """The archive, or the model file; an OpenVINO model has its weights in another one."""
        return self.files[0]

    @property
    def url(self) -> str:
        return self.file.url or ""

    @property
    def size_bytes(self) -> int | None:
        """Of all files; None where one's size is not published."""
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def address(self, file: SourceFile, mirror: str | None) -> str:
        """Where a file is fetched: of one file ``mirror`` is the address, of several the folder.
        Raises ``UsageError`` as ``check_url``."""
        if mirror is None:
            return file.url or ""
        check_url(mirror)
        if len(self.files) == 1:
            return mirror
        parts = urllib.parse.urlsplit(mirror)
        folder = parts.path.rstrip("/")
        return urllib.parse.urlunsplit(parts._replace(path=f"{folder}/{file.filename}"))


def offer(name: str) -> Offer:
    """The pack or model of that name; raises ``ModelNotFound`` and lists what can be pulled."""
    if pack := catalogue.PACKS.get(name):
        models = tuple(catalogue.entry(model) for model in pack.models)
        return Offer(name, (pack.archive,), pack.licence, models, True, pack.members)
    known = sorted(weights.pullable())
    if name in known:
        entry = catalogue.entry(name)
        return Offer(name, entry.files, entry.manifest.licence, (entry,), archive=False)
    near = [other for other in known if other.startswith(name)] if name else []
    hint = f"; its published files are {', '.join(near)}" if near else ""
    raise ModelNotFound(f"{name!r} cannot be pulled{hint}; to pull: {', '.join(known)}")


def installed(wanted: Offer, root: Path) -> bool:
    """Whether every model of the offer lies verified in ``root``."""
    return all(_is_installed(entry, root) for entry in wanted.models)


def pull(
    wanted: Offer,
    root: Path,
    *,
    accept_licence: bool,
    url: str | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Fetch, verify and install; the bundle folders of the offer, new or there already.

    ``url``: a mirror to fetch the same bytes from, of a model of two files the folder of both; the
    sha256 stays the catalogue's.
    Raises ``LicenceNotAccepted``, ``DownloadFailed`` (what arrived is kept and resumed next time),
    ``ModelHashMismatch`` (nothing is kept), ``UsageError`` for an address that is not https.
    """
    if not accept_licence:
        raise LicenceNotAccepted(
            f"{wanted.name} is under: {wanted.licence.name}"
            + (f" ({wanted.licence.url})" if wanted.licence.url else "")
            + "; read it and say --accept-licence. Nothing was downloaded",
            licence=wanted.licence.name,
            url=wanted.licence.url,
        )
    if not installed(wanted, root):
        sources = [wanted.address(file, url) for file in wanted.files]
        for source in sources:
            check_url(source)
        fetched: list[Path] = []
        for file, source in zip(wanted.files, sources, strict=True):
            told = _of_all(wanted, len(fetched), progress or (lambda done, total: None))
            fetched.append(_download(file, source, root, told))
        with _disk_errors(fetched[0]):
            _install(wanted, fetched, sources[0], root)
        for path in fetched:
            path.unlink(missing_ok=True)
    return [root / entry.name for entry in wanted.models]


def _of_all(wanted: Offer, number: int, progress: Progress) -> Progress:
    """Progress of file ``number`` as progress of all files."""
    if len(wanted.files) == 1:
        return progress
    before = sum(file.size_bytes or 0 for file in wanted.files[:number])
    return lambda done, total: progress(before + done, wanted.size_bytes)


def check_url(url: str) -> None:
    """Allow https, and http to this machine only; raises ``UsageError``."""
    parts = addresses.split_url(url, "a model's")
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and _is_loopback(parts.hostname):
        return
    raise UsageError(
        f"models are fetched over https only (http from this machine itself), not from {_bare(url)}"
    )


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to where ``check_url`` allows, and never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        check_url(newurl)
        if req.type == "https" and not newurl.startswith("https:"):
            raise UsageError(f"{_bare(req.full_url)} redirects from https to http; not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_url(url: str, start: int) -> http.client.HTTPResponse:
    """GET from byte ``start`` on; the whole file where the server knows no ranges."""
    headers = {"User-Agent": "arcid", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    handlers: list[urllib.request.BaseHandler] = [_SafeRedirects()]
    if _is_loopback(urllib.parse.urlsplit(url).hostname):
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - check_url saw it
    try:
        response: http.client.HTTPResponse = urllib.request.build_opener(*handlers).open(
            request, timeout=TIMEOUT_S
        )
    except ValueError:  # before ``_SafeRedirects`` is asked
        raise urllib.error.URLError("it redirects to what is no address") from None
    return response


def _download(file: SourceFile, url: str, root: Path, progress: Progress) -> Path:
    """The verified file, whole, in the work folder."""
    folder = root / WORK
    part = folder / f"{file.sha256}.part"  # by content: a mirror resumes what another began
    with _disk_errors(part):
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as stream:
            if not files.lock(stream):
                raise DownloadFailed(
                    f"another process is fetching the same file into {part.parent}; wait for it"
                )
            _check_space(file, part)
            if not _is_whole(file, stream.tell()):
                _fetch(file, url, stream, progress)
    actual = weights.sha256_file(part)
    if actual != file.sha256:
        part.unlink()
        raise ModelHashMismatch(
            f"{_bare(url)} delivered sha256 {actual[:12]}…, expected {file.sha256[:12]}…: it is "
            "another version, or damaged. Nothing was installed and the download was thrown away; "
            "try again, or another mirror with --url",
            expected=file.sha256,
            actual=actual,
        )
    return part


def _is_whole(file: SourceFile, size: int) -> bool:
    return file.size_bytes is not None and size == file.size_bytes


def _fetch(file: SourceFile, url: str, stream: IO[bytes], progress: Progress) -> None:
    start = stream.tell()
    if file.size_bytes is not None and start > file.size_bytes:
        start = _restart(stream)
    try:
        response = open_url(url, start)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not start:
            raise _failed(url, f"the server answered {error.code} {error.reason}", start) from None
        start = _restart(stream)  # the kept part is longer than the file the server has
        with _as_failure(url, stream):
            response = open_url(url, 0)
    except (OSError, http.client.HTTPException) as error:
        raise _failed(url, _reason(error), start) from None
    with response, _as_failure(url, stream):
        if start and not _continues(response, start):
            start = _restart(stream)
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else file.size_bytes
        limit = file.size_bytes or MAX_BYTES
        if total is not None and (total > limit or file.size_bytes not in (None, total)):
            reason = f"it has {total} bytes where {limit} are expected: another version"
            raise _failed(url, reason, start)
        progress(start, total)
        while block := response.read(CHUNK_BYTES):
            stream.write(block)
            if stream.tell() > limit:
                _restart(stream)
                raise _failed(url, f"it is larger than the {_mib(limit)} expected", 0)
            progress(stream.tell(), total)
        stream.flush()
        if total is not None and stream.tell() < total:
            reason = f"it broke off at {_mib(stream.tell())} of {_mib(total)}"
            raise _failed(url, reason, stream.tell())


def _continues(response: http.client.HTTPResponse, start: int) -> bool:
    range_ = response.headers.get("Content-Range", "")
    return response.status == 206 and range_.startswith(f"bytes {start}-")


def _restart(stream: IO[bytes]) -> int:
    stream.seek(0)
    stream.truncate()
    return 0


@contextmanager
def _as_failure(url: str, stream: IO[bytes]) -> Iterator[None]:
    """Network trouble becomes ``DownloadFailed``; trouble with the disk stays what it is."""
    try:
        yield
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as e:
        stream.flush()
        raise _failed(url, _reason(e), stream.tell()) from None


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kept = path.stat().st_size if path.exists() else 0
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else f"it cannot be written ({error.strerror})"
        raise DownloadFailed(
            f"{what}: {path.parent}; {_mib(kept)} are kept and nothing was installed. Make room, "
            "or set ARCID_MODELS to a folder elsewhere, and run the command again",
            kept_bytes=kept,
        ) from None


def _check_space(file: SourceFile, part: Path) -> None:
    if file.size_bytes is None:
        return
    needed = 2 * file.size_bytes - part.stat().st_size  # the file, and the bundle made of it
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise DownloadFailed(
            f"{_mib(needed)} are needed in {part.parent} but {_mib(free)} are free; make room, or "
            "set ARCID_MODELS to a folder elsewhere. Nothing was downloaded",
            needed_bytes=needed,
            free_bytes=free,
        )


def _install(wanted: Offer, fetched: list[Path], url: str, root: Path) -> None:
    for entry in wanted.models:
        if _is_installed(entry, root):
            continue
        with staging(root) as work:
            bundle = work / entry.name
            bundle.mkdir()
            if wanted.archive:
                with files.replacing(bundle / entry.files[0].filename) as target:
                    _extract(wanted, fetched[0], entry, target)
            else:
                for file, path in zip(entry.files, fetched, strict=True):
                    with path.open("rb") as source, files.replacing(bundle / file.filename) as copy:
                        shutil.copyfileobj(source, copy, CHUNK_BYTES)
            publish(bundle, _with_provenance(entry.manifest, wanted, url), root)


def _extract(wanted: Offer, archive: Path, entry: Entry, target: IO[bytes]) -> None:
    """Copy one member, found by its plain name in any folder of the archive, and verify it."""
    file = entry.files[0]
    name = wanted.members.get(entry.name, file.filename)
    try:
        with zipfile.ZipFile(archive) as opened:
            found = [
                info
                for info in opened.infolist()
                if not info.is_dir() and PurePosixPath(info.filename).name == name
            ]
            if len(found) != 1:
                inside = ", ".join(PurePosixPath(i.filename).name for i in opened.infolist()[:12])
                raise DownloadFailed(
                    f"{wanted.name} should hold one {name}, it has {len(found)}; "
                    f"inside are: {inside}. Nothing was installed"
                )
            with opened.open(found[0]) as source:
                _copy_verified(source, target, file, wanted.name)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DownloadFailed(f"{wanted.name} cannot be unpacked: {error}") from None


def _copy_verified(source: IO[bytes], target: IO[bytes], file: SourceFile, pack: str) -> None:
    limit, copied, digest = file.size_bytes or MAX_BYTES, 0, hashlib.sha256()
    while block := source.read(CHUNK_BYTES):
        copied += len(block)
        if copied > limit:
            raise DownloadFailed(
                f"{file.filename} in {pack} unpacks to more than {_mib(limit)}; refused"
            )
        digest.update(block)
        target.write(block)
    if digest.hexdigest() != file.sha256:
        raise ModelHashMismatch(
            f"{file.filename} in {pack} has sha256 {digest.hexdigest()[:12]}…, expected "
            f"{file.sha256[:12]}…; nothing was installed",
            expected=file.sha256,
            actual=digest.hexdigest(),
        )


def _with_provenance(manifest: Manifest, wanted: Offer, url: str) -> Manifest:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    origin = {"pulled": wanted.name, "url": _bare(url), "licence_accepted": today}
    return replace(manifest, provenance={**manifest.provenance, **origin})


def _is_installed(entry: Entry, root: Path) -> bool:
    folder = root / entry.name
    paths = {folder / file.filename: file.sha256 for file in entry.files}
    if not all(path.is_file() for path in (folder / "manifest.json", *paths)):
        return False
    if any(weights.sha256_file(path) != sha256 for path, sha256 in paths.items()):
        return False
    try:  # one that another version of the catalogue described is described anew
        manifest = Manifest.load(folder / "manifest.json")
    except ManifestInvalid:
        return False
    return trust.judge(entry.name, manifest, folder) in trust.VOUCHED


def _failed(url: str, reason: str, kept: int) -> DownloadFailed:
    what = f"{_mib(kept)} are kept and resume when the command is run again" if kept else (
        "nothing was kept; try again, or another mirror with --url"
    )  # fmt: skip
    return DownloadFailed(f"{_bare(url)}: {reason}; {what}", kept_bytes=kept)


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", error)
    if isinstance(inner, TimeoutError):
        return f"the server was silent for {TIMEOUT_S:.0f} seconds"
    if isinstance(inner, http.client.IncompleteRead):
        return "the connection broke off"
    return str(inner) or type(inner).__name__


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _bare(url: str) -> str:
    """The address without user, password, query and fragment."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rsplit("@", 1)[-1]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"
