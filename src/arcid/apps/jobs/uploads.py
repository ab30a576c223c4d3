"""Archives and lists that were uploaded for jobs: private files beside the gallery, for as long as
a job needs them.

They hold photographs of people in the clear, so they are deleted with the end of their job, and
after a day where no job was begun with them.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import time
import uuid
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

from arcid import files
from arcid.errors import NotFound, Overloaded, StorageFull, UploadTooLarge

MIB = 2**20
SPARE_BYTES = 512 * MIB  # that stay free on the disk
WRITE_BYTES = 4 * MIB
MOST = 16  # that wait for their job
UNUSED_S = 86_400.0
_ID = re.compile(r"[0-9a-f]{32}")


class Uploads:
    """In ``folder``, which is this machine's: jobs of what lies here are worked on here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._coming = 0  # touched by the event loop only

    async def receive(
        self, body: AsyncIterable[bytes], *, max_bytes: int, used: Iterable[str] = ()
    ) -> tuple[str, int]:
        """(id, bytes) of a file that is written as it comes. ``used``: ids that have a job.

        Raises ``UploadTooLarge``, ``StorageFull``, and ``Overloaded`` where many wait already.
        """
        if len(set(self._ids()) - set(used)) + self._coming >= MOST:
            raise Overloaded(
                f"{MOST} uploads wait for their jobs already; begin those, or delete them",
                retry_after_s=60,
            )
        self._coming += 1
        try:
            return await self._received(body, max_bytes)
        finally:
            self._coming -= 1

    async def _received(self, body: AsyncIterable[bytes], max_bytes: int) -> tuple[str, int]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name, size = uuid.uuid4().hex, 0
        stack = ExitStack()  # the disk is waited for in threads
        opened = files.replacing(self._folder / name, private=True)
        file = await asyncio.to_thread(stack.enter_context, opened)
        try:
            waiting = bytearray()
            async for piece in body:
                size += len(piece)
                if size > max_bytes:
                    raise UploadTooLarge(
                        f"an upload may have at most {max_bytes / MIB:,.0f} MiB; send it in parts",
                        max_bytes=max_bytes,
                    )
                waiting += piece
                if len(waiting) >= WRITE_BYTES:
                    await asyncio.to_thread(self._write, file, bytes(waiting))
                    waiting.clear()
            await asyncio.to_thread(self._write, file, bytes(waiting))
        except BaseException as error:
            stack.__exit__(type(error), error, error.__traceback__)
            raise
        await asyncio.to_thread(stack.close)
        return name, size

    def path(self, upload_id: str) -> Path:
        """Raises ``NotFound``."""
        path = self._folder / upload_id
        if not _ID.fullmatch(upload_id) or not path.is_file():
            raise NotFound("there is no upload of that id here; it may have been used, or expired")
        return path

    def has(self, spec: Mapping[str, Any]) -> bool:
        """Whether everything that was uploaded for a source lies on this machine."""
        return all((self._folder / name).is_file() for name in uploaded(spec))

    def delete(self, upload_id: str) -> None:
        """Nothing where it is not there."""
        if _ID.fullmatch(upload_id):
            (self._folder / upload_id).unlink(missing_ok=True)

    def sweep(self, used: Iterable[str], *, unused_s: float = UNUSED_S) -> int:
        """Delete what no job needs and nobody began one with for so long; how many."""
        kept, old, gone = set(used), time.time() - unused_s, 0
        for path in self._files():  # also what was cut off while it came
            with suppress(FileNotFoundError):  # it took its name, or was deleted, meanwhile
                if path.name not in kept and path.stat().st_mtime <= old:
                    path.unlink()
                    gone += 1
        return gone

    def any(self) -> bool:
        """Whether anything lies here."""
        return bool(self._files())

    def _ids(self) -> list[str]:
        return [path.name for path in self._files() if _ID.fullmatch(path.name)]

    def _files(self) -> list[Path]:
        return list(self._folder.iterdir()) if self._folder.is_dir() else []

    def _write(self, file: BinaryIO, data: bytes) -> None:
        if shutil.disk_usage(self._folder).free < SPARE_BYTES + len(data):
            raise StorageFull("the disk is too full to take this upload; nothing of it was kept")
        file.write(data)


def uploaded(spec: Mapping[str, Any]) -> list[str]:
    """Ids of what was uploaded for a source."""
    return [spec[name] for name in ("upload", "list_upload") if spec.get(name)]
