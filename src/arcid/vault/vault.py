"""The keys of one gallery at work: made, handed out, destroyed.

Data keys are made some at a time and ahead of need, so that enrolling somebody writes nothing to
the key store. A number that is never used opens nothing. Those that are ready were in every copy
of the key store since: once a collection has a new key, others are made.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from arcid.errors import GalleryBusy, KeyUnavailable, SealBroken
from arcid.vault import keystore, sealing
from arcid.vault.keystore import KeyStore
from arcid.vault.keytables import CollectionKey, DataKey, Destroyed
from arcid.vault.roots import Root
from arcid.vault.sealing import Cipher

AHEAD = 256  # data keys made at once, at most: first four, then four times as many each time
HELD = 200_000  # opened data keys kept in memory: 200 bytes each, their ciphers would be 2.5 KB
ASK_S = 5.0  # between two looks whether all of a gallery is sealed by now


class Erased(GalleryBusy):
    """Whose key was destroyed while an older state was read: a new read does not meet them."""


class Vault:
    """Thread-safe. Whatever needs the root key raises ``KeyUnavailable`` where it is not there."""

    def __init__(self, store: KeyStore, find_root: Callable[[bool], Root]) -> None:
        """``find_root``: as ``roots.find``."""
        self.store = store
        self._find_root = find_root
        self._root: Root | None = None
        self._lock = threading.RLock()
        self._collections: dict[int, Cipher] = {}
        self._opened: dict[int, bytes] = {}
        self._ahead: dict[str, tuple[int, list[int]]] = {}  # the collection's key, ready ones
        self._made: dict[str, int] = {}
        self._complete = False
        self._asked_at = -ASK_S
        #: Whether what is written is sealed; the gallery says so.
        self.active = False

    def __repr__(self) -> str:
        return f"Vault({self.store.described})"

    # for what is stored

    def new_key(self, collection: str) -> int:
        """The number of a data key that nothing was sealed with yet."""
        with self._lock:
            ahead, newest = self._ahead.get(collection), self.store.collection_key(collection)
            if ahead is None or not ahead[1] or newest is None or newest.id != ahead[0]:
                ahead = self._ahead[collection] = self._make(collection)
            return ahead[1].pop()

    def index_key(self, collection: str) -> tuple[int, Cipher]:
        """A new data key for one copy of a collection's index, with its number."""
        with self._lock:
            _, ((key_id, bare),) = self._made_new(keystore.of_index(collection), 1)
        return key_id, sealing.cipher(bare)

    def index_cipher(self, key_id: int) -> Cipher:
        """Of a key that ``index_key`` made, not kept in memory. Raises ``KeyUnavailable`` where it
        was destroyed or never was here."""
        with self._lock:
            for key in self.store.data_keys([key_id]):
                return sealing.cipher(self._bare(key))
        raise KeyUnavailable("the key of this copy of an index was destroyed")

    def derived(self, collection: str, purpose: bytes) -> bytes:
        """32 bytes of a collection's key, for one purpose: others once its key is changed."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        with self._lock:
            key = self.store.collection_key(collection) or self._make_collection(collection)
            return HKDF(SHA256(), 32, salt=None, info=purpose).derive(self._unwrapped(key))

    def seal(self, key_id: int, value: bytes, where: bytes) -> bytes:
        """Opens ``where`` it is stored only."""
        return sealing.seal(key_id, self.ciphers([key_id])[key_id], value, where)

    def unseal(self, value: bytes, where: bytes) -> bytes:
        """What was sealed. Raises ``SealBroken``, ``KeyUnavailable``."""
        if not sealing.is_sealed(value):
            raise sealing.broken()
        key_id = sealing.key_of(value)
        return sealing.unseal([(self.ciphers([key_id])[key_id], value, where)])[0]

    def ciphers(self, ids: Iterable[int]) -> Mapping[int, Cipher]:
        """Of data keys by number. Raises ``KeyUnavailable`` where one is not there, ``Erased``
        where it was destroyed."""
        wanted = set(ids)
        with self._lock:
            found = {key: self._opened[key] for key in wanted if key in self._opened}
            missing = wanted - found.keys()
            for key in self.store.data_keys(missing) if missing else ():
                found[key.id] = self._opened[key.id] = self._bare(key)
            if len(found) < len(wanted):
                if self.store.any_destroyed(wanted - found.keys()):
                    raise Erased("somebody was erased while this was read; try again")
                raise KeyUnavailable(
                    f"{len(wanted) - len(found)} of the keys of this gallery are not in its key "
                    f"store ({self.store.described}): it is older than the gallery. Put the newest "
                    "backup of the key store back; nothing was changed"
                )
            while len(self._opened) > HELD:
                del self._opened[next(iter(self._opened))]
        return {key: sealing.cipher(bare) for key, bare in found.items()}

    def allow_unsealed(self) -> None:
        """Raises ``SealBroken`` where all of the gallery is sealed: it was put there."""
        now = time.monotonic()
        if not self._complete and now >= self._asked_at + ASK_S:
            self._complete = self.store.exists() and self.store.complete()
            self._asked_at = now
        if self._complete:
            raise sealing.broken()

    # their end

    def destroy(self, keys: Collection[int], collections: Collection[str] = ()) -> None:
        """Nothing that they sealed can be read again, in whatever copy it is. Needs no root key."""
        with self._lock:
            self.store.destroy(keys, collections)
            for key in keys:
                self._opened.pop(key, None)
            if not all(name.startswith(keystore.INDEX) for name in collections):
                self.forget()

    def destroyed(self, after: int) -> Destroyed:
        """What was destroyed after that number, by whatever process."""
        return self.store.destroyed(after)

    def forget_data(self) -> None:
        """Data keys in memory: somebody was erased, by whatever process."""
        with self._lock:
            self._opened.clear()

    def forget(self) -> None:
        """Every key in memory; they are read again when next needed."""
        with self._lock:
            self._opened.clear()
            self._collections.clear()
            self._root = None

    def close(self) -> None:
        self.forget()
        self._ahead.clear()
        self.store.close()

    # the root

    @property
    def root(self) -> Root:
        """Raises ``KeyUnavailable``, ``ConfigError``, ``MissingExtra``."""
        with self._lock:
            if self._root is None:
                self._root = self._find_root(not self.store.collection_keys())
            return self._root

    def use(self, root: Root) -> None:
        """From now on, instead of the one that was found."""
        with self._lock:
            self._root = root

    def ready(self) -> None:
        """Raise ``KeyUnavailable`` where there is no root key, before anything is sealed by it."""
        self.root.wrap(bytes(sealing.KEY_BYTES), sealing.place("trial"))

    def check(self) -> None:
        """Raise ``KeyUnavailable`` unless every collection's key can be opened."""
        with self._lock:
            for key in self.store.collection_keys():
                self._collection(key)

    def renew_collections(self) -> int:
        """New keys for every collection; how many data keys were wrapped anew. May be stopped at
        any point and called again."""
        done = 0
        for uid in sorted({key.collection for key in self.store.collection_keys()}):
            old = {k.id for k in self.store.collection_keys() if k.collection == uid}
            with self._lock:
                newest = self._make_collection(uid)
            while keys := self.store.wrapped_by(old, 1000):
                with self._lock:
                    by = self._collection(newest)
                    wrapped = [self._wrapped(k.id, newest.id, by, self._bare(k)) for k in keys]
                self.store.rewrap(wrapped)
                done += len(wrapped)
            self.store.drop_collection_keys(old)
        return done

    def change_root(self, new: Root) -> None:
        """Wrap every collection's key by another root key, all of them at once."""
        changed = []
        with self._lock:
            for key in self.store.collection_keys():
                context = _of_collection(key.id, key.collection)
                try:
                    new.unwrap(key.wrapped, context)
                except SealBroken:
                    bare = self._unwrapped(key)
                    changed.append(key._replace(wrapped=new.wrap(bare, context)))
            self.store.rewrap(changed)

    def _make(self, collection: str) -> tuple[int, list[int]]:
        count = self._made[collection] = min(AHEAD, 4 * self._made.get(collection, 1))
        parent, bare = self._made_new(collection, count)
        self._opened |= bare
        return parent, [key for key, _ in bare]

    def _made_new(self, collection: str, count: int) -> tuple[int, list[tuple[int, bytes]]]:
        """The collection's key that wraps them, and the new data keys."""
        bare = [(keystore.new_id(), os.urandom(sealing.KEY_BYTES)) for _ in range(count)]
        while True:  # a change of keys may take the parent away meanwhile
            parent = self.store.collection_key(collection) or self._make_collection(collection)
            by = self._collection(parent)
            wrapped = [self._wrapped(key, parent.id, by, data) for key, data in bare]
            if self.store.add_data_keys(wrapped):
                return parent.id, bare

    def _make_collection(self, collection: str) -> CollectionKey:
        self._root = None  # another process may have changed it: what it wraps must open later
        made = keystore.new_id()
        bare = os.urandom(sealing.KEY_BYTES)
        wrapped = self.root.wrap(bare, _of_collection(made, collection))
        key = CollectionKey(made, collection, wrapped)
        self.store.add_collection_key(key)
        self._collections[made] = sealing.cipher(bare)
        return key

    def _wrapped(self, key_id: int, parent: int, by: Cipher, bare: bytes) -> DataKey:
        return DataKey(key_id, parent, sealing.wrap(by, bare, sealing.place("data-key", key_id)))

    def _collection(self, key: CollectionKey) -> Cipher:
        if key.id not in self._collections:
            self._collections[key.id] = sealing.cipher(self._unwrapped(key))
        return self._collections[key.id]

    def _unwrapped(self, key: CollectionKey) -> bytes:
        context = _of_collection(key.id, key.collection)
        try:
            return self.root.unwrap(key.wrapped, context)
        except SealBroken:
            self._root = None  # it may have been changed since: once more
        try:
            return self.root.unwrap(key.wrapped, context)
        except SealBroken:
            raise KeyUnavailable(
                f"the root key ({self.root.described}) is another than the one that protects this "
                "gallery: put that one back, or name its place in ARCID_ROOT_KEY. Nothing was "
                "changed, and nothing can be read without it"
            ) from None

    def _bare(self, key: DataKey) -> bytes:
        if key.parent not in self._collections:
            for parent in self.store.collection_keys([key.parent]):
                self._collection(parent)
        if key.parent not in self._collections:
            raise KeyUnavailable(
                f"the key store ({self.store.described}) is damaged: a collection's key is not in "
                "it. Put its newest backup back"
            )
        return sealing.unwrap(
            self._collections[key.parent], key.wrapped, sealing.place("data-key", key.id)
        )


def _of_collection(key_id: int, collection: str) -> bytes:
    return sealing.place("collection-key", key_id, collection)
