"""People from photos in a folder or an archive: by the folders they lie in, or by a list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from arcid.apps.importing import lists
from arcid.apps.importing.items import About, Item, Left, Listing, checked
from arcid.apps.importing.stores import Archive, Folder, Store
from arcid.errors import InputError
from arcid.gallery import NewConsent, NewFace
from arcid.image import SUFFIXES

#: What ``DeepFace.find`` leaves beside the photos.
_DEEPFACE = re.compile(r"(ds_model_.*|representations_.*)\.(pkl|npz|feather|parquet)", re.I)
LIST = "people.csv"  # is read where it lies beside the photos


class Photos:
    """``list_``: CSV bytes; without, one named ``people.csv`` at the top of the store, else the
    folder that a photo lies in is whose it is. ``consent``: of everybody the list says none of."""

    vectors = False

    def __init__(
        self,
        store: Store,
        spec: dict[str, Any],
        *,
        list_: bytes | None = None,
        consent: NewConsent | None = None,
        aligned: bool = False,
        wrapped: bool = False,
        named_only: bool = False,
    ) -> None:
        self.aligned = aligned
        self._named_only = named_only  # what the list does not name is not spoken of
        self._wrapped = wrapped  # one folder around everything is not looked at
        self.spec = spec
        self._store, self._list, self._consent = store, list_, consent
        self._about: dict[str, About] = {}
        self._listing: Listing | None = None

    def listing(self) -> Listing:
        if self._listing is None:
            self._listing = self._listed()
        return self._listing

    def take(self, item: Item) -> bytes | NewFace:
        return self._store.read(item.label)

    def about(self, person: str) -> About:
        self.listing()
        known = self._about.get(person, About())
        return replace(known, consent=known.consent or self._consent)

    def close(self) -> None:
        self._store.close()

    def _listed(self) -> Listing:
        names = self._store.names()
        if self._list is None and LIST in names:
            self._list = self._store.read(LIST)
            names.remove(LIST)
        photos = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
        left = [_other(name) for name in sorted(set(names) - set(photos))]
        if self._list is not None:
            found = lists.read(self._list, photos)
            self._about = found.about
            if self._named_only:
                found.left[:] = [one for one in found.left if one.code != "not_listed"]
                left = []
            listing = checked(found.items, found.left + left)
        else:
            by_folder = list(_by_folder(photos, self._wrapped))
            items = [one for one in by_folder if isinstance(one, Item)]
            listing = checked(items, [*(o for o in by_folder if isinstance(o, Left)), *left])
        if not listing.items and not listing.left:
            raise InputError("there are no photos; one folder per person is needed, photos inside")
        return listing


def folder(
    path: Path, spec: dict[str, Any] | None = None, *, within: Path | None = None, **options: Any
) -> Photos:
    """A folder on this machine, all of it inside of ``within``. Raises ``InputError``."""
    spec = spec or {"kind": "folder", "folder": str(path.absolute())}
    return Photos(Folder(path, within), spec, **options)


def listed(path: Path, spec: dict[str, Any], list_: bytes, **options: Any) -> Photos:
    """Only what a list names of a folder; what else lies there is not spoken of."""
    return Photos(Folder(path), spec, list_=list_, named_only=True, **options)


def archive(path: Path, spec: dict[str, Any] | None = None, **options: Any) -> Photos:
    """A zip file. Raises ``ArchiveRefused``, ``InputError``."""
    spec = spec or {"kind": "zip", "file": str(path.absolute())}
    return Photos(Archive(path), spec, wrapped=True, **options)


def _by_folder(photos: list[str], wrapped: bool) -> Iterator[Item | Left]:
    """The folder a photo lies in is whose it is."""
    tops = {name.split("/")[0] for name in photos}
    skip = int(wrapped and len(tops) == 1 and any(name.count("/") > 1 for name in photos))
    for name in photos:
        parts = name.split("/")[skip:]
        if len(parts) == 2:
            yield Item(parts[0], name)
        else:
            where = "in no person's folder" if len(parts) == 1 else "in a folder inside a person's"
            yield Left(name, "", "layout", f"it lies {where}; one folder per person is read")


def _other(name: str) -> Left:
    if _DEEPFACE.fullmatch(PurePosixPath(name).name):
        return Left(name, "", "vectors_left", (
            "deepface's vectors do not say which model file made them, and a pickle can run code: "
            "it was not opened; the photos are embedded anew"
        ))  # fmt: skip
    suffix = PurePosixPath(name).suffix.lower()
    return Left(name, "", "not_a_photo", f"{suffix or 'a file without suffix'} is not read")
