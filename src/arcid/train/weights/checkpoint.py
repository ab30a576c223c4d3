"""Where a run's state lives: one folder a checkpoint, either whole or not there.

    RUN/checkpoints/step-00001200/
        shared.pt        weights, averaged weights, optimiser: what all ranks have alike
        rank-00000.pt    what rank 0 alone has: its part of the classifier, its random state
        rank-00001.pt
        state.json       step, position, world size, config, and size and sha256 of every file

    RUN/classes.txt      whose centre is which: millions of names, which the state holds a sum of

Everything is written to a hidden folder first, flushed to the disk and then renamed, and old
checkpoints go only after that; so whenever the process is killed, the newest folder of that name is
complete. Every rank sums up its own file as it writes it. Files are read with ``weights_only``: a
checkpoint cannot run code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import pickle
import random
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar, cast, overload

import numpy as np
import torch

from arcid import files
from arcid.errors import (
    CheckpointInvalid,
    CheckpointMismatch,
    ConfigError,
    StorageFull,
    UsageError,
)
from arcid.train.config.file import differences
from arcid.train.config.recipe import RunConfig, TrainConfig
from arcid.train.config.section import build

_LOG = logging.getLogger(__name__)
FORMAT = 2  # 1 held the names of all classes in its state
_NAME = re.compile(r"step-(\d{8,})(?:\.(\d+))?")
_FORMER = "checkpoint.pt"  # of detectors trained before they had checkpoints as these
Config = TypeVar("Config", bound=RunConfig, covariant=True)


class _OfAnotherArcid(CheckpointInvalid):
    """Whole, as far as can be seen; another version reads it."""


@dataclass(frozen=True, slots=True)
class Checkpoint(Generic[Config]):
    """One stored state, opened; tensors are read when asked for."""

    path: Path
    step: int
    position: int  # of the stream: photos trained on, over all ranks
    world: int  # ranks that wrote it
    config: Config
    extra: Mapping[str, Any]  # small values of the loop: time, facts of the data
    files: Mapping[str, Mapping[str, Any]]  # name → bytes, sha256

    def shared(self, device: str = "cpu") -> dict[str, Any]:
        """What all ranks have alike. Raises ``CheckpointInvalid``."""
        return self._read("shared.pt", device)

    def rank(self, rank: int, device: str = "cpu") -> dict[str, Any]:
        """What one rank of ``world`` stored. Raises ``CheckpointInvalid``."""
        if not 0 <= rank < self.world:
            raise CheckpointMismatch(
                f"{self.path.name} was written by {self.world} ranks and has no part {rank}; read "
                f"all parts 0–{self.world - 1} and divide the classifier anew, or start torchrun "
                f"with --nproc-per-node such that {self.world} ranks run",
                world=self.world,
                rank=rank,
            )
        return self._read(_rank_file(rank), device)

    def ranks(self) -> list[dict[str, Any]]:
        """The parts of all ranks, to divide them among another number of ranks.

        Mapped into memory: of a file only those rows are read that somebody takes, for which its
        sha256 cannot be compared. Raises ``CheckpointInvalid``.
        """
        return [self._read(_rank_file(rank), mapped=True) for rank in range(self.world)]

    def check(self, config: RunConfig) -> list[str]:
        """Refuse to go on under a config that means another run; list what differs but may.

        Raises ``CheckpointMismatch``, which names every key that differs.
        """
        old, new = self.config.to_dict(), config.to_dict()
        other = differences(old, new, ignore=config.free)
        if model := [line for line in other if line.startswith(("model.", "network."))]:
            raise CheckpointMismatch(
                f"{self.path.name} holds another network ({'; '.join(model)}); resume with the "
                "config of its run, or start a new run with init_from",
                path=str(self.path),
            )
        if other:
            raise CheckpointMismatch(
                f"{self.path.name} belongs to a run with other settings: {'; '.join(other)}; "
                "resume with its config, or start a new run with init_from and another out",
                path=str(self.path),
            )
        return differences(old, new)

    def _read(self, name: str, device: str = "cpu", *, mapped: bool = False) -> dict[str, Any]:
        facts, path = self.files.get(name), self.path / name
        if facts is None:
            raise CheckpointInvalid(f"{self.path.name} lists no file {name}", path=str(path))
        try:
            if not mapped and _sha256(path) != facts["sha256"]:
                raise CheckpointInvalid(
                    f"{self.path.name}/{name} is damaged (its sha256 is not the stored one); "
                    "use an older checkpoint",
                    path=str(path),
                )
            content = torch.load(path, map_location=device, weights_only=True, mmap=mapped)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise CheckpointInvalid(
                f"{self.path.name}/{name} cannot be read ({type(error).__name__}); use an older "
                "checkpoint",
                path=str(path),
            ) from None
        return cast(dict[str, Any], content)


class CheckpointStore:
    """The checkpoints of one run, newest last; all ranks see the same folder."""

    def __init__(self, folder: Path, keep: int = 3) -> None:
        if keep < 1:
            raise ConfigError(f"checkpoint.keep must be at least 1, got {keep}")
        self.folder = folder
        self.keep = keep

    def paths(self) -> list[Path]:
        """Whole checkpoints, oldest first."""
        found = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in self.folder.iterdir():
                if (match := _NAME.fullmatch(path.name)) and path.is_dir():
                    found.append((int(match[1]), int(match[2] or 0), path))
        return [path for _, _, path in sorted(found)]

    @overload
    def latest(self) -> Checkpoint[TrainConfig] | None: ...

    @overload
    def latest(self, kind: type[Config]) -> Checkpoint[Config] | None: ...

    def latest(self, kind: type[RunConfig] = TrainConfig) -> Checkpoint[RunConfig] | None:
        """The newest checkpoint whose files are all there; None without any.

        One that others damaged is passed over with a warning. Raises ``CheckpointInvalid`` where
        all are, for one of another arcid, and for a detector's run of an older one: a run that
        began anew beside them would remove them.
        """
        newest: CheckpointInvalid | None = None
        for path in reversed(self.paths()):
            try:
                return open_checkpoint(path, kind)
            except _OfAnotherArcid:
                raise
            except CheckpointInvalid as error:
                _LOG.warning("a checkpoint was passed over: %s", error.message)
                newest = newest or error
        if newest is not None:
            raise CheckpointInvalid(
                f"no checkpoint in {self.folder} can be read, the newest because "
                f"{newest.message.partition('; ')[0]}; bring one back, or start a run with "
                "another out",
                path=str(self.folder),
            )
        if (former := self.folder.parent / _FORMER).is_file():
            raise CheckpointInvalid(
                f"{former.parent.name} holds a {_FORMER} of an older arcid, which this one does "
                "not read; export it with that one and start a run with another out "
                "and init_from=BUNDLE",
                path=str(former),
            )
        return None

    def save(
        self,
        *,
        step: int,
        position: int,
        config: RunConfig,
        shared: Mapping[str, Any],
        own: Mapping[str, Any],
        extra: Mapping[str, Any] | None = None,
        rank: int = 0,
        world: int = 1,
        everywhere: Callable[[Any], list[Any]] = lambda value: [value],
    ) -> Path:
        """Store one state; every rank calls it, ``shared`` and ``extra`` count from rank 0 only.

        ``own`` is this rank's part. ``everywhere`` gives every rank's value once all brought one.
        Returns the folder once it is complete. Raises ``StorageFull``; what was stored before
        stays.
        """
        draft, target = self.folder / f".draft-{step:08d}", self._free_name(step)
        try:
            if rank == 0:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._sweep()
                draft.mkdir()
            everywhere(None)
            written = {_rank_file(rank): _write_tensors(draft / _rank_file(rank), own)}
            if rank == 0:
                written["shared.pt"] = _write_tensors(draft / "shared.pt", shared)
            parts = everywhere(written)
            if rank == 0:
                state = {
                    "format": FORMAT,
                    "step": step,
                    "position": position,
                    "world": world,
                    "config": config.to_dict(),
                    "extra": dict(extra or {}),
                    "files": {name: facts for part in parts for name, facts in part.items()},
                }
                files.write_text(draft / "state.json", json.dumps(state, indent=1))
                files.move(draft, target)
                self._prune(target)
            everywhere(None)
        except (OSError, StorageFull, UsageError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.message
            raise StorageFull(
                f"the checkpoint of step {step} was not stored: {reason}; the ones before it are "
                "whole",
                path=str(self.folder),
            ) from error
        return target

    def _free_name(self, step: int) -> Path:
        """``step-N``, or ``step-N.1`` … after a run went back and came here again."""
        taken = {path.name for path in self.paths()}
        names = (f"step-{step:08d}{f'.{again}' if again else ''}" for again in range(10**6))
        return self.folder / next(name for name in names if name not in taken)

    def _prune(self, newest: Path) -> None:
        """Remove all but ``keep``: first later steps, which a run left that went back, then the
        oldest."""
        paths = self.paths()
        after = paths.index(newest) + 1
        ordered = [*paths[after:], *paths[:after]]
        for path in ordered[: -self.keep]:
            trash = self.folder / f".old-{path.name}"
            files.move(path, trash)  # so that a kill while deleting leaves no half checkpoint
            shutil.rmtree(trash, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what a killed process left."""
        for path in self.folder.iterdir():
            if path.name.startswith((".draft-", ".old-")):
                shutil.rmtree(path, ignore_errors=True)


@overload
def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint[TrainConfig]: ...


@overload
def open_checkpoint(path: str | os.PathLike[str], kind: type[Config]) -> Checkpoint[Config]: ...


def open_checkpoint(
    path: str | os.PathLike[str], kind: type[RunConfig] = TrainConfig
) -> Checkpoint[RunConfig]:
    """Open a folder ``step-N`` (or a run's ``checkpoints`` folder: its newest).

    ``kind`` is the run's recipe. Raises ``CheckpointInvalid`` when it is not there, not complete,
    of a newer format or of a detector's run of an older arcid.
    """
    folder = Path(path)
    if not (folder / "state.json").is_file():
        inside = CheckpointStore(folder / "checkpoints").latest(kind)
        inside = inside or CheckpointStore(folder).latest(kind)
        if inside is None:
            raise CheckpointInvalid(
                f"{folder.name} holds no checkpoint; expected a folder step-N with a state.json",
                path=str(folder),
            )
        return inside
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        if state["format"] > FORMAT:
            raise _OfAnotherArcid(
                f"{folder.name} has format {state['format']}, this arcid reads {FORMAT}; update it",
                path=str(folder),
            )
        checkpoint = Checkpoint(
            folder,
            int(state["step"]),
            int(state["position"]),
            int(state["world"]),
            build(kind, state["config"]),
            _extra(state["extra"]),
            state["files"],
        )
        for name, facts in checkpoint.files.items():
            there = (folder / name).stat().st_size
            if there != facts["bytes"]:
                raise CheckpointInvalid(
                    f"{folder.name}/{name} has {there} bytes of {facts['bytes']}; use an older "
                    "checkpoint",
                    path=str(folder),
                )
    except FileNotFoundError as error:
        name = Path(error.filename or "").name
        raise CheckpointInvalid(
            f"{folder.name} lacks its file {name}; use an older checkpoint", path=str(folder)
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointInvalid(
            f"{folder.name}/state.json is damaged ({type(error).__name__}); use an older "
            "checkpoint",
            path=str(folder),
        ) from None
    except ConfigError as error:
        raise _OfAnotherArcid(
            f"{folder.name} was written with settings this arcid does not know: {error.message}",
            path=str(folder),
        ) from None
    return checkpoint


def random_state() -> dict[str, Any]:
    """Where Python's, NumPy's and torch's global generators stand, as plain values and tensors."""
    version, words, gauss = random.getstate()
    legacy: dict[str, Any] = np.random.get_state(legacy=False)
    state: dict[str, Any] = {
        "python": (version, torch.tensor(words, dtype=torch.int64), gauss),
        "numpy": (
            torch.from_numpy(legacy["state"]["key"].astype(np.int64)),
            int(legacy["state"]["pos"]),
            int(legacy["has_gauss"]),
            float(legacy["gauss"]),
        ),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def seed_generators(seed: int) -> None:
    """Start the global generators of Python, NumPy and torch anew."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Bring the generators back to where ``random_state`` found them."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    key, pos, has_gauss, value = state["numpy"]
    np.random.set_state(("MT19937", key.numpy().astype(np.uint32), pos, has_gauss, value))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


def _rank_file(rank: int) -> str:
    return f"rank-{rank:05d}.pt"


def class_facts(names: Sequence[str]) -> dict[str, Any]:
    """What a state says of its classes: how many, and a sum of their names in order."""
    text = "\0".join(names).encode("utf-8", "surrogateescape")
    return {"classes": len(names), "names_sha256": hashlib.sha256(text).hexdigest()}


def _extra(stored: dict[str, Any]) -> dict[str, Any]:
    """As it is stored today."""
    names = stored.get("classes")
    return {**stored, **class_facts(names)} if isinstance(names, list) else stored


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Summed:
    """A file that is summed up while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._sum, self._bytes = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._sum.update(data)
        self._bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def facts(self) -> dict[str, Any]:
        return {"bytes": self._bytes, "sha256": self._sum.hexdigest()}


def _write_tensors(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    with files.replacing(path) as file:
        summed = _Summed(file)
        torch.save(dict(content), cast(BinaryIO, summed))
    return summed.facts()


__all__ = [
    "Checkpoint",
    "CheckpointStore",
    "class_facts",
    "open_checkpoint",
    "random_state",
    "restore_random_state",
    "seed_generators",
]
