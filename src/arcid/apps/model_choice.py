"""Models and calibrations changed by whoever runs a machine: checked, written down, then done.

A service and a command decide with what they started with; what is changed here counts from the
next start on. ``record`` is ``Audit(gallery).record`` where there is a gallery to write it down in:
the row is written first, so that nothing is changed unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from arcid import paths, pipeline
from arcid.apps import model_facts
from arcid.apps.jobs.beginning import check_cut
from arcid.calibration import Calibration
from arcid.errors import ArcidError, CalibrationMissing, LandmarksRequired, UsageError
from arcid.gallery import Gallery
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import contracts
from arcid.models import calibrations, chosen, weights
from arcid.models import pull as _pull
from arcid.models.chosen import Why
from arcid.models.manifest import Task
from arcid.models.weights import Bundle

Record = Callable[..., object]


def _unrecorded(**row: Any) -> None:
    return


@dataclass(frozen=True, slots=True)
class Choice:
    """Which model a task gets at the next start, and why."""

    task: Task
    name: str | None  # None: what it names cannot be used
    why: Why
    variable: str  # of the environment, that names one before any choice
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a change to a recogniser would mean for a collection: vectors of two contracts never
    meet, so whoever has none of the new one is not found until ``gallery reembed`` made them."""

    collection: str
    done: int  # faces with a vector of its contract
    waiting: int  # faces to embed from the crop that is kept
    stuck: int  # faces without a crop: these people need enrolling again
    problem: str | None  # why crops cannot be embedded by it

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Kept:
    """A calibration that could decide."""

    calibration_id: str
    packaged: bool  # it came with the model; what was measured here can be deleted
    in_force: bool  # from the next start on
    calibration: Calibration

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: what it stands on, without its tables."""
        data, combined = self.calibration.data, self.calibration.combined
        shown = ("status", "people", "photos", "genuine_pairs", "impostor_pairs", "date", "notes")
        return {
            "calibration_id": self.calibration_id,
            "packaged": self.packaged,
            "in_force": self.in_force,
            "dataset": data["dataset"]["name"],
            "smallest_supported_fmr": self.calibration.smallest_supported_fmr,
            "smallest_measured_fmr": self.calibration.smallest_measured_fmr,
            "combined_with": data["combined_with"]["dataset"] if combined else None,
            **{key: data.get(key) for key in shown},
        }


@dataclass(frozen=True, slots=True)
class Choices:
    """What is changed here, by whom and where.

    ``given``: the names that whoever runs here was started with; they count before any choice.
    ``fast``: who starts next takes ``weights.fast_form``, as a service does.
    """

    record: Record = _unrecorded
    given: Mapping[Task, str | None] = field(default_factory=dict)
    fast: bool = False

    def next_start(self, task: Task) -> Choice:
        """Which model a task gets at the next start, and why."""
        variable, given = weights.VARIABLES[task], self.given.get(task)
        name, why = (given, "named") if given is not None else weights.named(task)
        try:
            found = weights.resolve(given) if given is not None else weights.resolve_default(task)
        except ArcidError as error:
            return Choice(task, name, why, variable, error.message)
        unnamed = given is None and task == "recognition"
        fast = weights.fast_form() if self.fast and unnamed else None
        return Choice(task, fast or found.name, why, variable)

    def choose(self, name: str) -> Bundle:
        """Use a detector or a recogniser from the next start on; it is verified, loaded and run
        first.

        Raises ``UsageError`` for a model of another task, or where one is named already;
        ``LandmarksRequired`` for a detector without points; ``ModelError`` kinds.
        """
        bundle = weights.resolve(name)
        task = bundle.manifest.task
        if task not in weights.VARIABLES:
            raise UsageError(f"{name} is neither a detector nor a recogniser: ask for it by name")
        self._require_free(task)
        alone = bundle.origin == "path" and not bundle.members
        where = str(bundle.path.parent) if alone else bundle.name
        if task == "detection" and not getattr(pipeline.load_detector(where), "has_points", True):
            raise LandmarksRequired(
                f"{name} finds boxes without points, and faces cannot be aligned without them"
            )
        model_facts.check(bundle)
        self._chosen(task, bundle.name)
        chosen.choose(task, where)
        return bundle

    def choose_packaged(self, task: Task) -> Bundle:
        """Return to the packaged model of a task. Raises as ``choose``."""
        self._require_free(task)
        self._chosen(task, "packaged")
        chosen.choose(task, None)
        return weights.resolve_default(task)

    def pull(
        self, name: str, *, accept_licence: bool, progress: _pull.Progress | None = None
    ) -> list[Path]:
        """Fetch and install a pack or a model of the catalogue, as ``arcid models pull``.

        Raises what ``models.pull`` does.
        """
        wanted, root = _pull.offer(name), paths.models_dir()
        if accept_licence:
            about = {"licence": wanted.licence.name, "sha256": wanted.file.sha256}
            self.record(verb="models.pull", subject=f"model:{name}", details=about)
        return _pull.pull(wanted, root, accept_licence=accept_licence, progress=progress)

    def use(self, bundle: Bundle, calibration_id: str | None) -> Kept:
        """Put a calibration in force from the next start on; None: the packaged one.

        Raises ``CalibrationMissing``.
        """
        wanted = _kept(bundle, calibration_id)
        self._calibration("use", bundle, wanted)
        contract_id = bundle.manifest.contract_id
        calibrations.use(contract_id, None if wanted.packaged else wanted.calibration_id)
        return _kept(bundle, wanted.calibration_id)

    def delete(self, bundle: Bundle, calibration_id: str) -> None:
        """Erase a calibration that was measured here and is not in force.

        Raises ``CalibrationMissing``, ``UsageError``.
        """
        wanted = _kept(bundle, calibration_id)
        if wanted.packaged:
            raise UsageError("this calibration came with the model and goes with it alone")
        if wanted.in_force:
            raise UsageError("this calibration is in force: put another in force, then delete it")
        self._calibration("delete", bundle, wanted)
        calibrations.delete(bundle.manifest.contract_id, wanted.calibration_id)

    def _require_free(self, task: Task) -> None:
        now = self.next_start(task)
        if now.why == "named":
            raise UsageError(
                f"{now.variable}, or the command that started this, names {now.name}, which counts "
                "before any choice: change it there"
            )

    def _chosen(self, task: Task, name: str) -> None:
        details = {"task": task, "before": self.next_start(task).name}
        self.record(verb="models.choose", subject=f"model:{name}", details=details)

    def _calibration(self, verb: str, bundle: Bundle, kept: Kept) -> None:
        details = {"model": bundle.name, "packaged": kept.packaged}
        subject = f"calibration:{kept.calibration_id}"
        self.record(verb=f"calibration.{verb}", subject=subject, details=details)


def ahead(gallery: Gallery, bundle: Bundle) -> list[Ahead]:
    """What a change to a recogniser means, for each collection that has faces."""
    manifest = bundle.manifest
    found = []
    for one in gallery.collections():
        if not one.faces:
            continue
        with _collections.reading(gallery.database, one.name) as (connection, own):
            waiting, stuck, done = contracts.tally(connection, own, manifest.contract_id)
        problem = None
        try:
            known = [usage.contract_id for usage in gallery.contracts(one.name)]
            check_cut(bundle.name, manifest.template, known)
        except ArcidError as error:
            problem = error.message
        found.append(Ahead(one.name, done, waiting, stuck, problem))
    return found


def known(bundle: Bundle) -> list[Kept]:
    """The calibrations of a recogniser: the one in force first, the packaged one among them."""
    own = calibrations.own(bundle.manifest.contract_id)
    found = [Kept(one.calibration_id, False, current, one) for one, current in own]
    try:
        packaged = weights.packaged_calibration(bundle)
    except ArcidError:
        return found
    rules = not calibrations.in_force(bundle.manifest.contract_id).is_file()
    kept = Kept(packaged.calibration_id, True, rules, packaged)
    return [kept, *found] if rules else [*found, kept]


def _kept(bundle: Bundle, calibration_id: str | None) -> Kept:
    for one in known(bundle):
        if (calibration_id is None and one.packaged) or one.calibration_id == calibration_id:
            return one
    what = "came with it" if calibration_id is None else f"is called {calibration_id!r}"
    raise CalibrationMissing(f"{bundle.name} has no calibration that {what}")
