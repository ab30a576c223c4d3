"""Which gallery is meant, whether it is there, and the folder it goes into."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace as replace_
from pathlib import Path

from sqlalchemy.engine import URL

from arcid import files, paths
from arcid.errors import ArcidError, NotFound, UsageError
from arcid.gallery import key_copies, restoring
from arcid.gallery.copying import Progress, inspect, of_postgresql
from arcid.gallery.database import Database
from arcid.gallery.engines import parse_url
from arcid.gallery.gallery import Gallery
from arcid.gallery.restoring import Restored
from arcid.gallery.store.audit import append
from arcid.vault import KeyStore, Vault, roots
from arcid.vault.keystore import SETTING, place_of


def open_gallery(database: str | None = None, *, create: bool = False) -> Gallery:
    """The gallery at a path or URL; None takes the default, whose folder is made when needed.

    Raises ``NotFound`` where there is none and ``create`` is not set, and what ``Gallery.open``
    does.
    """
    url = database or paths.database_url()
    if create:
        prepare_folder(url)
    elif (file := sqlite_file(url)) is not None and not is_there(file):
        raise NotFound(f"there is no gallery at {url} yet; arcid enrol NAME PHOTO makes one")
    return Gallery.open(url, create=create)


def restore(
    backup: Path,
    database: str | None = None,
    *,
    keys: Path | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Restored:
    """``restoring.restore`` at the place of a gallery, whose database is then opened once: an older
    schema is brought up to date, and the audit is told. Raises what both do. It needs no key;
    ``Gallery.open`` erases again who was erased since the backup.

    ``keys``: the copy of the key store, where that is gone, too. Where the key store or the root
    key is still missing afterwards, ``lacks`` of the answer says so.
    """
    url = database or paths.database_url()
    file = sqlite_file(url)
    if file is None:
        raise UsageError(of_postgresql(parse_url(url), backup))
    store = place_of(parse_url(url), os.environ.get(SETTING))
    if keys is not None:
        if store.get_backend_name() != "sqlite" or store.database is None:
            raise UsageError("the key store is in PostgreSQL: put it back with pg_restore")
        key_copies.restore(keys, Path(store.database), inspect(backup).identity)
    try:
        done = restoring.restore(backup, file.absolute(), replace=replace, progress=progress)
    except BaseException:
        if keys is not None and store.database is not None:
            Path(store.database).unlink()
        raise
    with closing(Database(file, create=False)) as opened, opened.write() as connection:
        subject = f"gallery:{done.now.identity}"
        append(connection, verb="gallery.restore", subject=subject, details=done.to_dict())
    return replace_(done, lacks=_lacking(store, done.now.identity) if done.now.protected else None)


def _lacking(store: URL, identity: str) -> str | None:
    """Why the keys of a sealed gallery cannot be used, in words; None: they can."""
    try:
        with closing(Vault(KeyStore(store, identity), roots.find)) as vault:
            vault.check()
    except ArcidError as error:
        return error.message.removesuffix("; nothing was changed")
    return None


def require_place(database: str | None) -> None:
    """Raise ``UsageError`` where a gallery could not be made; nothing is made."""
    if (file := sqlite_file(database or paths.database_url())) is not None:
        files.require_place(file)


def sqlite_file(url: str) -> Path | None:
    """The file of a gallery on SQLite; None of any other URL."""
    if "://" in url and not url.startswith("sqlite:///"):
        return None
    return Path(url.removeprefix("sqlite:///").partition("?")[0]).expanduser()


def is_there(file: Path) -> bool:
    """Whether a gallery is, or was, in a file: a mark beside a file that is gone tells of it."""
    return file.exists() or file.with_name(f"{file.name}-mark").exists()


def prepare_folder(url: str) -> None:
    """Make the folder a gallery file goes into; URLs are left alone. Raises ``UsageError``."""
    if "://" in url:
        return
    folder = Path(url).expanduser().parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made: {error.strerror}") from None


__all__ = ["is_there", "open_gallery", "prepare_folder", "require_place", "restore", "sqlite_file"]
