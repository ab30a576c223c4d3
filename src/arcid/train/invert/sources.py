"""Where targets come from: photos of people, a file of vectors, or a run's own classes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn import functional as F

from arcid.errors import UsageError
from arcid.evaluate.embeddings import load_embeddings
from arcid.train.clean.purify import restore_centres
from arcid.train.invert.batch import features
from arcid.train.invert.people import People, read_people
from arcid.train.invert.settings import Goal
from arcid.train.invert.targets import Targets
from arcid.train.weights.checkpoint import open_checkpoint
from arcid.train.weights.initial import Initial


class Aimed(NamedTuple):
    """What pictures are to be made for, and the people of photos where it was photos."""

    targets: Targets
    people: People | None


def aim(initial: Initial, source: str | None, goal: Goal, count: int, seed: int) -> Aimed:
    """Up to ``count`` targets.

    ``source``: aligned crops by person; or an ``.npz`` of vectors with names and their contract
    (the goal "open"). For "closed" the centre of somebody in a folder is the mean vector of two
    photos; without a ``source`` the classes a run was trained on and their own centres are taken.
    Raises ``UsageError``, ``DatasetInvalid``, ``ContractMismatch``.
    """
    if source is None:
        return Aimed(_own_classes(initial, goal, count), None)
    flip = bool(initial.manifest and initial.manifest.flip)
    if Path(source).suffix.lower() == ".npz":
        if goal == "closed":
            raise UsageError("a file of vectors has no classes; its goal is open")
        contract = initial.manifest.contract_id if initial.manifest else None
        found = load_embeddings(Path(source), contract_id=contract)
        rows = [row for row in range(len(found)) if not found.failed[row]][:count]
        if not rows:
            raise UsageError(f"{Path(source).name} holds no vector")
        names = [found.names[row] for row in rows]
        return Aimed(Targets.of_vectors(found.vectors[rows], names), None)
    people = read_people(source, initial.backbone.size, count, seed)
    vectors = features(initial.backbone, people.photos, flip=flip)
    if goal == "open":
        return Aimed(Targets(vectors, people.names), people)
    both = vectors + features(initial.backbone, people.others, flip=flip)
    return Aimed(Targets.of_centres(F.normalize(both, dim=1), people.names), people)


def _own_classes(initial: Initial, goal: Goal, count: int) -> Targets:
    if initial.folder is None or goal != "closed":
        raise UsageError(
            "name a folder or tar of aligned crops by person, or an .npz of vectors; only the "
            "classes a run was trained on (a run's folder and goal closed) need none"
        )
    checkpoint = open_checkpoint(initial.folder / "checkpoints" / initial.label)
    centres = restore_centres(checkpoint)
    if not centres.loss.normalised:
        raise UsageError("plain softmax has no centres of unit length; name photos of people")
    listed = initial.folder / "classes.txt"
    number = centres.num_classes
    names = listed.read_text("utf-8").splitlines() if listed.is_file() else []
    if len(names) != number:
        names = [str(label) for label in range(number)]
    short = [name.rpartition("/")[2] for name in names]
    with torch.no_grad():
        weight = centres.weight.detach()
    return Targets.of_centres(weight, short, range(min(count, number)))


__all__ = ["Aimed", "aim"]
