"""Where crops, report and journal lie: a folder of crops, one tar, or a folder of tars.

| | folder | one tar | shards |
|---|---|---|---|
| crops | ``OUT/ada/1.png`` | ``OUT`` | ``OUT/NAME-000.tar`` … |
| report | ``OUT/report.csv`` | ``OUT.report.csv`` | ``OUT/report.csv`` |
| journal | ``OUT/.journal.jsonl`` | ``OUT.journal.jsonl`` | ``OUT/.journal.jsonl`` |
| until finished | | ``OUT.unfinished/`` | ``OUT/.unfinished/`` |

Training passes over all of these but the crops.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from arcid import files
from arcid.errors import UsageError
from arcid.image import SUFFIXES

Member = tuple[tarfile.TarFile, tarfile.TarInfo]


@dataclass(frozen=True, slots=True)
class Output:
    """The places of one output."""

    out: Path
    crops: Path  # the folder that crops are written to first
    report: Path
    journal: Path
    tars: tuple[Path, ...] = ()  # none for a folder of crops

    @classmethod
    def at(cls, out: Path, shards: int = 0) -> Output:
        """Raises ``UsageError`` for a ``.tar`` of several shards, and a place that cannot be
        written."""
        if out.suffix.lower() == ".tar":
            if shards:
                raise UsageError(f"{out} is one file; with shards, name a folder for them")
            files.require_place(out)
            crops, report, journal = (out.with_name(out.name + end) for end in _BESIDE)
            return cls(out, crops, report, journal, (out,))
        files.require_folder(out)
        tars = tuple(out / f"{out.resolve().name}-{number:03d}.tar" for number in range(shards))
        crops = out / ".unfinished" if shards else out
        return cls(out, crops, out / "report.csv", out / ".journal.jsonl", tars)

    def require_apart(self, folder: Path) -> None:
        """Raise ``UsageError`` where what is read lies in what is written, or the reverse."""
        here, there = self.out.resolve(), folder.resolve()
        if here.is_relative_to(there) or there.is_relative_to(here):
            raise UsageError(
                f"{self.out} and {folder} lie in one another; name a place beside the photos"
            )

    def require_free(self) -> None:
        """Raise ``UsageError`` where the place holds anything at all."""
        places = {self.out, self.crops, self.report}
        if taken := [p for p in places if p.exists() and not (p.is_dir() and not any(p.iterdir()))]:
            raise UsageError(
                f"{min(taken)} is there, and no earlier call for these crops left it; name another "
                "place, or move it away"
            )

    def present(self) -> set[str]:
        """The photos that training would read here, below the crops."""
        for part in [*self.crops.glob(".*.part"), *self.crops.glob("*/.*.part")]:
            part.unlink(missing_ok=True)  # a kill left it behind
        found = set(self._members())
        for folder, folders, names in os.walk(self.crops):
            folders[:] = [name for name in folders if not name.startswith(".")]
            here = Path(folder).relative_to(self.crops)
            found |= {
                (here / name).as_posix()
                for name in names
                if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
            }
        return found

    def finish(self, wanted: Sequence[str], written: Collection[str]) -> None:
        """Keep the ``wanted`` of the crops that were ever ``written``, in their order.

        Raises ``StorageFull``, ``UsageError``.
        """
        for name in {*written} - {*wanted}:
            path = self.crops / name
            path.unlink(missing_ok=True)
            with suppress(OSError):  # others are in it, or it was never made
                path.parent.rmdir()
        if self.tars and (self.crops.is_dir() or list(self._members()) != list(wanted)):
            self._pack(wanted)

    def _pack(self, wanted: Sequence[str]) -> None:
        """Each tar whole, then all in their places; crops of earlier ones are taken from there."""
        count = len(self.tars)
        with _opened(self.tars) as archives:
            earlier = {member.name: (tar, member) for tar in archives for member in tar}
            for number, target in enumerate(self.tars):
                share = wanted[number * len(wanted) // count : (number + 1) * len(wanted) // count]
                with (
                    files.replacing(self.crops / target.name, private=True) as stream,
                    tarfile.open(fileobj=stream, mode="w") as archive,
                ):
                    for name in share:
                        data = self._read(name, earlier)
                        entry = tarfile.TarInfo(name)
                        entry.size = len(data)
                        archive.addfile(entry, io.BytesIO(data))
        for target in self.tars:
            files.move(self.crops / target.name, target)
        shutil.rmtree(self.crops)

    def _read(self, name: str, earlier: Mapping[str, Member]) -> bytes:
        path = self.crops / name
        if path.is_file():
            return path.read_bytes()
        archive, member = earlier[name]
        stream = archive.extractfile(member)
        return b"" if stream is None else stream.read()

    def _members(self) -> Iterator[str]:
        with _opened(self.tars) as archives:
            for archive in archives:
                yield from archive.getnames()


@contextmanager
def _opened(tars: Sequence[Path]) -> Iterator[list[tarfile.TarFile]]:
    """Those that are there. Raises ``UsageError`` for what is no tar."""
    with ExitStack() as stack:
        try:
            yield [stack.enter_context(tarfile.open(path, "r:")) for path in tars if path.is_file()]
        except tarfile.TarError as error:
            raise UsageError(
                f"{tars[0]} is damaged ({error}); move it away to have its crops made again"
            ) from None


_BESIDE = (".unfinished", ".report.csv", ".journal.jsonl")

__all__ = ["Output"]
