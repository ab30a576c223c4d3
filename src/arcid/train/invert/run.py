"""All pictures of a run, batch by batch; killed at any moment, the same call goes on.

    RUN/inversion.json       what is inverted how, and the cosines of the batches that are done
    RUN/pictures-00000.npz   (B,S,S,3) uint8 RGB of a batch that is done
    RUN/state.pt             the batch under way
    RUN/sheet-001.jpg        the pictures beside the photos they were made of, where there are any

All are readable by their owner only: what they show is meant to be taken for a person.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from arcid import files
from arcid.errors import CheckpointInvalid, CheckpointMismatch, InvalidArray
from arcid.evaluate.metrics import Array
from arcid.models.manifest import canonical_json
from arcid.progress import progress_bar
from arcid.train.backbones import Backbone, to_channels_last
from arcid.train.data.sheets import COLUMNS, Cell, contact_sheets
from arcid.train.engine.interrupt import Interrupt
from arcid.train.invert.batch import Batch, features
from arcid.train.invert.prior import NormPrior
from arcid.train.invert.settings import Settings
from arcid.train.invert.targets import Targets
from arcid.types import Image

RECORD, STATE, SHEET = "inversion.json", "state.pt", "sheet"
STORED_EVERY = 60.0  # seconds of work that a kill loses at most


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Inverted:
    """``pictures`` (N,S,S,3) uint8 RGB and ``cosines`` (N,) float64 of what the network makes of
    them, rounded to whole levels, to their targets. Fewer than the targets where ``stopped``."""

    folder: Path
    pictures: Image
    cosines: Array
    seconds: float
    layers: int  # batch norms that took part
    sheets: tuple[Path, ...] = ()
    stopped: bool = False


def invert(
    network: Backbone,
    targets: Targets,
    out: Path,
    settings: Settings | None = None,
    *,
    flip: bool = False,
    photos: Image | None = None,
    quiet: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    stored_every: float = STORED_EVERY,
) -> Inverted:
    """Make a picture for every target by the network's gradient and its batch norms alone.

    ``flip``: vectors are of a face and its mirror image together (a bundle's manifest says so).
    ``photos``: (N,S,S,3) that the sheets show beside what was made. Raises ``InvalidArray`` where
    vectors are of another length than the network's, ``CheckpointMismatch`` where ``out`` holds
    another inversion, ``StorageFull``.
    """
    settings = settings or Settings()
    if targets.vectors.shape[1] != network.dim:
        raise InvalidArray(
            f"the vectors have {targets.vectors.shape[1]} numbers, the network gives {network.dim}"
        )
    to_channels_last(network.eval().requires_grad_(False))
    prior = NormPrior(network)
    if prior.folded:
        tell(
            "the network holds no batch-norm statistics (it never had any, or they were folded "
            "into its convolutions): pictures are made without them"
        )
    run = _Run(out, _digest(network, targets, settings, flip))
    total = -(-len(targets) // settings.batch)
    bounds = np.linspace(0, len(targets), total + 1).round().astype(int).tolist()
    with (
        Interrupt() as interrupt,
        prior.watching(),
        progress_bar("inverting", total * settings.steps, quiet=quiet) as advance,
    ):
        advance(len(run.cosines) * settings.steps)
        for number in range(len(run.cosines), total):
            rows = slice(bounds[number], bounds[number + 1])
            batch = Batch(network, targets, rows, number, settings)
            run.resume(batch, number)
            advance(batch.step)
            while not batch.done and not interrupt.asked:
                batch.advance(prior)
                advance(1)
                run.store(batch, number, every=stored_every)
            if not batch.done:
                run.store(batch, number)
                break
            pictures = batch.pictures()
            found = targets.cosines(features(network, pictures, flip=flip), rows)
            run.finish(number, pictures, found.tolist())
            tell(f"{rows.stop} of {len(targets)}: mean cosine {float(found.mean()):.3f}")
    stopped = len(run.cosines) < total
    pictures = run.pictures(network.size)
    sheets = () if stopped else _sheets(out, pictures, targets.names, photos, run.cosines)
    return Inverted(
        out, pictures, np.array([c for part in run.cosines for c in part], np.float64),
        run.seconds, prior.layers, tuple(sheets), stopped,
    )  # fmt: skip


class _Run:
    """The files of a run. ``cosines`` are those of the batches that are done."""

    def __init__(self, folder: Path, digest: str) -> None:
        self.folder, self._digest = folder, digest
        self.cosines: list[list[float]] = []
        self._spent, self._began = 0.0, time.monotonic()
        self._stored = self._began
        record = folder / RECORD
        if record.is_file():
            self._read(record)
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write()

    @property
    def seconds(self) -> float:
        """Of work, over all calls."""
        return self._spent + time.monotonic() - self._began

    def resume(self, batch: Batch, number: int) -> None:
        path = self.folder / STATE
        if not path.is_file():
            return
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged pickle raises whatever it stumbles over
            raise CheckpointInvalid(
                f"{path.name} cannot be read ({type(error).__name__}); delete it, and the batch "
                "begins anew",
                path=str(path),
            ) from None
        if state["digest"] == self._digest and state["number"] == number:
            batch.load(state)
            self._spent = max(self._spent, float(state["seconds"]))

    def store(self, batch: Batch, number: int, *, every: float = 0.0) -> None:
        if time.monotonic() - self._stored < every:
            return
        state = {**batch.state(), "number": number, "seconds": self.seconds}
        with files.replacing(self.folder / STATE, private=True) as file:
            torch.save({**state, "digest": self._digest}, file)
        self._stored = time.monotonic()

    def finish(self, number: int, pictures: Image, cosines: list[float]) -> None:
        """The pictures first: a batch counts as done once the record names it."""
        with files.replacing(self._batch(number), private=True) as file:
            np.savez(file, pictures=pictures)
        self.cosines.append(cosines)
        self._write()
        (self.folder / STATE).unlink(missing_ok=True)

    def pictures(self, size: int) -> Image:
        parts = [np.empty((0, size, size, 3), np.uint8)]
        for number in range(len(self.cosines)):
            with np.load(self._batch(number), allow_pickle=False) as stored:
                parts.append(stored["pictures"])
        return np.concatenate(parts)

    def _batch(self, number: int) -> Path:
        return self.folder / f"pictures-{number:05d}.npz"

    def _write(self) -> None:
        record = {"digest": self._digest, "seconds": self.seconds, "cosines": self.cosines}
        files.write_text(self.folder / RECORD, json.dumps(record), private=True)

    def _read(self, path: Path) -> None:
        try:
            record = json.loads(path.read_text("utf-8"))
            digest, self._spent = record["digest"], float(record["seconds"])
            self.cosines = [[float(c) for c in part] for part in record["cosines"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointInvalid(
                f"{path.name} is no record of an inversion ({type(error).__name__}); name another "
                "folder",
                path=str(path),
            ) from None
        if digest != self._digest:
            raise CheckpointMismatch(
                f"{self.folder.name} holds an inversion of other vectors, of another network or "
                "with other settings; name another folder, or bring them back to go on",
                path=str(self.folder),
            )


def _digest(network: Backbone, targets: Targets, settings: Settings, flip: bool) -> str:
    """Of all that decides the pictures."""
    weights = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        weights.update(name.encode())
        weights.update(tensor.contiguous().numpy().tobytes())
    facts = {"weights": weights.hexdigest(), "targets": targets.digest(), "flip": flip}
    return hashlib.sha256(canonical_json({**facts, **settings.to_dict()})).hexdigest()


def _sheets(
    folder: Path,
    pictures: Image,
    names: Sequence[str],
    photos: Image | None,
    cosines: list[list[float]],
) -> list[Path]:
    flat = [cosine for part in cosines for cosine in part]
    groups: list[list[Cell]] = []
    for i, name in enumerate(names):
        cells = [] if photos is None else [_cell(photos[i], name)]
        caption = f"{flat[i]:.2f}" if photos is not None else f"{name[:9]} {flat[i]:.2f}"
        groups.append([*cells, _cell(pictures[i], caption)])
    each = COLUMNS // len(groups[0])
    starts = range(0, len(groups), each)
    lines = [[cell for group in groups[i : i + each] for cell in group] for i in starts]
    return contact_sheets(folder, SHEET, lines)


def _cell(pixels: Image, caption: str) -> Cell:
    return Cell(lambda: pixels, caption)


__all__ = ["RECORD", "STATE", "Inverted", "invert"]
