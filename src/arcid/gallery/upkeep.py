"""What a gallery needs beside its people: opened, kept sound and erased, moved to another model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from arcid.errors import FaceNotFound, UsageError
from arcid.gallery import copying, health
from arcid.gallery import encrypting as _encrypting
from arcid.gallery import key_copies as _key_copies
from arcid.gallery import reembedding as _reembedding
from arcid.gallery import restored as _restored
from arcid.gallery.again import again
from arcid.gallery.database import Database
from arcid.gallery.duplicates import Duplicates
from arcid.gallery.index import IndexFactory
from arcid.gallery.index.exact import ExactIndex
from arcid.gallery.outside import Server, configured
from arcid.gallery.projection import Projection
from arcid.gallery.records import Change, ContractUsage, IndexMisses, ReembedReport
from arcid.gallery.store import audit as _audit
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import contracts as _contracts
from arcid.gallery.store import faces as _faces
from arcid.gallery.store import journal as _journal
from arcid.gallery.store import misses as _misses
from arcid.gallery.store import receipts as _receipts
from arcid.gallery.store import vectors as _vectors
from arcid.sharding import Workers
from arcid.types import Embeddings, FloatArray


class Upkeep:
    """The half of ``Gallery`` that knows nobody by name."""

    def __init__(
        self,
        database: Database,
        make_index: IndexFactory = ExactIndex,
        server: Server | None = None,
    ) -> None:
        self.database = database
        self._projection = Projection(database, make_index, server)
        self.duplicates = Duplicates(database, self._projection)

    @classmethod
    def open(
        cls,
        url: str | Path,
        *,
        create: bool = True,
        busy_s: float = 10.0,
        make_index: IndexFactory = ExactIndex,
        server: Server | None = None,
    ) -> Self:
        """Open a path or SQLAlchemy URL, bringing an older schema up to date.

        ``busy_s``: how long a write waits for another process before ``GalleryBusy``. ``server``: a
        vector database that carries the indexes; None: ``ARCID_INDEX`` says whether there is one.
        Raises ``NotFound`` (none there and ``create`` is off), ``SchemaTooNew`` (before anything is
        touched), ``KeyUnavailable`` (what is in it could not be read), ``GalleryDamaged``,
        ``GalleryError`` or ``UsageError``.
        """
        server = server or configured.server(str(url))
        opened = cls(Database(url, create=create, busy_s=busy_s), make_index, server)
        try:
            with opened.database.read() as connection:
                protected = _encrypting.is_protected(connection)
            if protected:
                opened.database.vault.check()
            elif server is not None and server.blind:
                raise UsageError(
                    f"{configured.BLIND}=1 turns vectors by a key of the gallery, and this one has "
                    "none: run arcid gallery encrypt first"
                )
            _restored.erase_again(opened.database)
        except BaseException:
            opened.database.close()
            if server is not None:
                server.close()
            raise
        return opened

    def settle(self) -> None:
        """Erase what has had its time, and what was held up when it was deleted; see
        ``unscrubbed``. Cheap where there is nothing: call it now and then."""
        with self.database.read() as connection:
            old = _receipts.any_old(connection)
        if old:
            with self.database.write(erases=True) as connection:
                _receipts.forget_old(connection)
        _restored.erase_again(self.database)
        self._projection.keep()
        self.database.settle()
        self._projection.tell()

    def scrub(self) -> None:
        """Write the database anew, so that no copy of anything erased is left in unused parts.

        Raises ``GalleryBusy`` while another process holds an older state, ``StorageFull``.
        """
        self.database.rebuild()

    def backup(
        self,
        path: Path,
        *,
        keys: Path | None = None,
        replace: bool = False,
        progress: copying.Progress | None = None,
    ) -> copying.Contents:
        """Write a copy of the gallery as it is at one moment, read back and found whole before it
        takes its name; who reads and writes goes on. For its owner only.

        ``keys``: the copy of the key store, in another folder, is brought up to date afterwards.
        ``replace``: a file that is there gives way, once the new one is whole. Raises
        ``UsageError``, also on PostgreSQL, whose own tools are named; ``StorageFull``,
        ``GalleryDamaged`` where the gallery is not sound, and what ``key_copies.copy`` does, where
        the copy of the gallery is made already.
        """
        gallery = self.database.path
        if gallery is None:
            raise UsageError(copying.of_postgresql(self.database.url, path))
        if path.exists() and not replace:
            raise UsageError(
                f"{path} is there already: take another name, or have it replaced (--replace)"
            )
        if copying.belongs_to(path, gallery):
            raise UsageError(f"{path} is a file of the gallery itself; name another one")
        if keys is not None:
            _key_copies.require_apart(keys, path)
            if not self.protection()["encrypted"]:
                raise UsageError("this gallery is not encrypted, and has no keys to be copied")
        made = copying.copy(gallery, path, progress=progress)
        if keys is not None:
            _key_copies.copy(self.database.vault.store, keys, path)
        with self.database.write() as connection:
            _audit.append(
                connection,
                verb="gallery.backup",
                subject=f"gallery:{made.identity}",
                details={"last_change": made.last_change, "keys": keys is not None},
            )
        return made

    def unscrubbed(self) -> list[str]:
        """Where bytes of what was erased may still lie, in words; empty where nowhere."""
        return self.database.unscrubbed()

    def flush(self) -> None:
        """Put all that is committed into the database file, as far as readers allow."""
        self.database.flush()

    def close(self) -> None:
        """Flushes too. What is asked of the gallery afterwards raises ``GalleryError``; to close it
        again does nothing."""
        self._projection.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """For display: the password is masked."""
        return self.database.shown_url

    # protection

    def protection(self) -> dict[str, Any]:
        """Whether what is stored is sealed, and where the keys are; no key."""
        with self.database.read() as connection:
            on = _encrypting.is_protected(connection)
        vault = self.database.vault
        return {
            "encrypted": on,
            "complete": on and vault.store.complete(),
            "key_store": vault.store.url if on else None,
            "root_key": vault.root.described if on else None,
        }

    def encrypt(self, *, progress: _encrypting.Progress | None = None) -> int:
        """Seal what is stored, and from now on whatever is written; how many faces were sealed.

        Others may search and write meanwhile. A stopped run goes on where it was;
        ``progress(done, total)`` follows each batch of faces. Raises ``KeyUnavailable``.
        """
        return _encrypting.encrypt(self.database, progress)

    def unsealed_copies(self) -> list[str]:
        """Names of files beside the gallery that arcid copied from it before it could seal
        anything; they stay readable without any key until they are deleted."""
        return _encrypting.unsealed_copies(self.database)

    def rotate_keys(
        self,
        to: str | None = None,
        *,
        data: bool = False,
        progress: _encrypting.Progress | None = None,
    ) -> _encrypting.Rotated:
        """New keys for collections and, where it is in a file, a new root key. Older copies of the
        key store open nothing afterwards.

        ``to``: where the root key moves, as ``ARCID_ROOT_KEY`` names it; set that afterwards.
        ``data``: people get new data keys as well, for when keys and not only copies of the key
        store were stolen; ``progress(done, total)`` follows each batch of people. A stopped run
        goes on where it was. Raises ``UsageError`` where the gallery is not encrypted,
        ``KeyUnavailable``.
        """
        done = _encrypting.rotate(self.database, to, data, progress)
        self._projection.drop()  # an index that is turned by such a key is built anew
        return done

    # models

    def contracts(self, collection: str) -> list[ContractUsage]:
        """Models that embedded this collection, oldest first: the progress of a model change."""
        with self.database.read() as connection:
            return _vectors.usage(connection, _collections.find(connection, collection))

    def vectors(
        self, collection: str, contract_id: str
    ) -> Iterator[tuple[list[str], list[str], FloatArray]]:
        """Blocks of (face ids, person ids, (N,D) float32 unit-norm vectors), oldest face first.

        Each block is one read; faces changed between two blocks may show either way.
        """
        after = 0
        while True:
            with _collections.reading(self.database, collection) as (connection, own):
                made_by = _vectors.contract(connection, contract_id)
                if made_by is None:
                    return
                after, face_ids, person_ids, rows = _vectors.named_block(
                    connection, own["id"], made_by, after
                )
            if not face_ids:
                return
            yield face_ids, person_ids, np.ascontiguousarray(rows)

    @again
    def embedding(self, collection: str, face_id: str, contract_id: str) -> Embeddings:
        """The vector of one enrolled face, (1,D). Raises ``FaceNotFound``, also where that model
        did not embed it."""
        with _collections.reading(self.database, collection) as (connection, own):
            face = _faces.find(connection, own, face_id)
            made_by = _vectors.contract(connection, contract_id)
            if made_by is not None:
                rows = _vectors.of_faces(connection, own["id"], made_by, [face["id"]])[2]
                if len(rows):
                    return Embeddings(rows, contract_id)
        raise FaceNotFound(
            f"this face has no vector of contract {contract_id[:12]}: re-embed the collection",
            contract_id=contract_id,
        )

    def reembed(
        self,
        collection: str,
        embed: _reembedding.EmbedCrops,
        to_contract: str,
        *,
        batch: int = 64,
        progress: _reembedding.Progress | None = None,
        model_name: str = "",
        over: Workers | None = None,
    ) -> ReembedReport:
        """Embed kept crops with another model, beside the old vectors.

        Each batch is committed, so a stopped run goes on where it was; ``progress(done, total)``
        follows each. ``over``: worker processes (``arcid.sharding``) that embed while this one
        writes; ``embed`` is then a function of a module, such as a partial of
        ``pipeline.embed_by``. Raises ``ContractMismatch`` when ``embed`` makes vectors of another
        contract, and ``WorkerLost``.
        """
        return _reembedding.reembed(
            self.database, collection, embed, to_contract, batch, progress, model_name, over
        )

    def drop_contract(self, collection: str, contract_id: str, *, force: bool = False) -> int:
        """Erase a model's vectors once another has taken over; returns how many.

        Faces that have no other vector go with them. Raises ``InputError`` while a person would be
        left with none, or a kept crop is not re-embedded yet, unless ``force``.
        """
        with _collections.writing(self.database, collection, erases=True) as (log, own):
            erased = _contracts.drop(log, own, contract_id, force)
        return erased

    # change log and health

    def last_change(self) -> int:
        """The number of the newest change; grows with every commit that changes anything."""
        with self.database.read() as connection:
            return _journal.head(connection).last_change

    def changes(self, after: int, limit: int = 1000) -> list[Change]:
        """Changes numbered above ``after``, oldest first."""
        with self.database.read() as connection:
            return _journal.read(connection, after, limit)

    def prune_changes(self, keep: int = 100_000) -> int:
        """Forget all but the newest changes; an index that is further behind is built anew."""
        with _journal.writing(self.database) as log:
            return _journal.prune(log.connection, max(keep, 0))

    def drop_indexes(self) -> None:
        """Free the memory of all indexes, and empty a vector database; the next search builds what
        it needs. Raises ``IndexUnavailable``."""
        self._projection.drop_outside()

    def build_indexes(self, collection: str) -> None:
        """Build what the next search would. Raises ``CollectionNotFound``, ``IndexUnavailable``."""
        models = [usage.contract_id for usage in self.contracts(collection)]
        with self._projection.snapshot() as snapshot:
            own = _collections.find(snapshot.connection, collection)
            for contract_id in models:
                snapshot.index(own["id"], contract_id)

    @property
    def index_name(self) -> str:
        """What carries the index, in words."""
        return self._projection.name

    @property
    def index_outside(self) -> bool:
        """Whether a vector database carries it."""
        return self._projection.outside

    @property
    def index_blind(self) -> bool:
        """Whether that database is given vectors turned by a secret rotation."""
        return self._projection.blind

    @property
    def index_exact(self) -> bool:
        """Whether it looks at everybody."""
        return self._projection.exact

    def index_misses(self, collection: str, contract_id: str) -> IndexMisses | None:
        """What was measured of the index in use; see ``apps.missed``. None: nothing yet."""
        with _collections.reading(self.database, collection) as (connection, own):
            made_by = _vectors.contract(connection, contract_id)
            if made_by is None:
                return None
            return _misses.find(connection, own["id"], made_by, self._projection.kind)

    def keep_index_misses(
        self,
        collection: str,
        contract_id: str,
        searches: int,
        missed: int,
        interval: tuple[float, float],
    ) -> IndexMisses:
        """Have every search state what the index in use was measured to miss, until much has
        changed. Raises ``UsageError`` for a model without a vector."""
        with self.database.write() as connection:
            own = _collections.find(connection, collection)
            made_by = _vectors.contract(connection, contract_id)
            if made_by is None:
                raise UsageError(f"there is no vector of contract {contract_id[:12]}")
            faces = {one.contract_id: one.faces for one in _vectors.usage(connection, own)}
            found = IndexMisses(
                self._projection.kind, searches, missed, *interval, faces.get(contract_id, 0),
                datetime.now(UTC),
            )  # fmt: skip
            _misses.keep(connection, own["id"], made_by, found)
        return found

    def losses(self) -> list[str]:
        """Acknowledged writes that are gone, in words; ``check`` says them too. See ``mark``."""
        return self.database.losses()

    def accept_losses(self) -> int:
        """Say that what is gone is known and dealt with; returns how many losses there were."""
        return self.database.accept_losses()

    def check(self, *, sample: int | None = None) -> list[str]:
        """What is wrong with the gallery, in plain words; empty when sound. Reads every row.

        ``sample``: of a table with more rows, so many at random; then the structure of the
        database file is not walked either.
        """
        return health.check(self.database, self._projection, sample)

    def stats(self) -> dict[str, Any]:
        """Backend, schema version, journal mode, synchronous, file size, rows per table, keys."""
        return health.stats(self.database) | {"protection": self.protection()}
