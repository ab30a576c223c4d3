"""What is in use on this machine, what is wrong, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from arcid import __version__, extras, paths
from arcid.apps import backups, model_facts
from arcid.calibration import Calibration
from arcid.decide import unanswered
from arcid.errors import ArcidError, CalibrationError, ConfigError, GalleryDamaged, UsageError
from arcid.gallery import Gallery
from arcid.gallery.health import INDEX
from arcid.gallery.opening import is_there, sqlite_file
from arcid.models import weights
from arcid.protection import Retention
from arcid.runtime import default_threads
from arcid.runtime.hardware import cpu_name, instruction_sets
from arcid.types import instant
from arcid.vault import hardening

Area = Literal["runtime", "models", "database", "system"]
LOW_DISK_BYTES = 1 << 30
RESTORE = "restore a backup, then arcid doctor again"
WHOLE = "the gallery itself is whole, and searches without that index (ARCID_INDEX=exact)"
SAMPLE = 10_000  # rows of each table that are looked at; of fewer, all
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^/?#@\s:]*):[^@\s]*@")  # a password may hold / ? and #
_QUERY_SECRET = re.compile(r"([?&][^=&]*(?:pass|key|token|secret)[^=&]*=)[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something found wrong; ``serious`` ones decide the exit code."""

    area: Area
    message: str
    advice: str
    serious: bool = True


@dataclass
class Report:
    """Facts by section, and the problems found on the way."""

    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    calibration: Calibration | None = None  # the default recogniser's

    def warn(self, area: Area, message: str, advice: str) -> None:
        self.problems.append(Problem(area, message, advice, serious=False))

    def fail(self, area: Area, message: str, advice: str) -> None:
        self.problems.append(Problem(area, message, advice))


def examine(
    database: str | None = None, look: Callable[[Gallery, Report], None] = lambda *_: None
) -> Report:
    """Look at the system, runtimes, default models and the gallery; nothing is changed. ``look``:
    adds what else is found in the open gallery."""
    report = Report()
    _system(report)
    _runtimes(report)
    _models(report)
    _database(report, database, look)
    report.facts["environment"] = environment()
    report.facts["extras"] = {extra: _extra(extra) for extra in extras.EXTRAS}
    return report


def _extra(extra: str) -> str:
    if not (missing := extras.missing(extra)):
        return "installed"
    all_of_it = len(missing) == len(extras.EXTRAS[extra])
    how = "not installed" if all_of_it else f"without {', '.join(missing)}"
    return f"{how}: pip install 'arcid[{extra}]'"


def mask(text: str) -> str:
    """A path or URL without the passwords in it."""
    return _QUERY_SECRET.sub(r"\1***", _USERINFO.sub(r"\1:***@", text))


def environment(variables: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The ``ARCID_…`` variables in force, secrets hidden."""
    return {
        name: "(set, not shown)" if _SECRET.search(name) else mask(value)
        for name, value in sorted(variables.items())
        if name.startswith("ARCID_")
    }


def _system(report: Report) -> None:
    sets = instruction_sets()
    facts: dict[str, Any] = {
        "arcid": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": cpu_name(),
        "instruction_sets": sets,
        **hardening.facts(),
    }
    try:
        facts["threads"] = default_threads()
    except ConfigError as error:
        report.fail("system", error.message, "correct or unset ARCID_THREADS")
    report.facts["system"] = facts
    if platform.machine().lower() in ("x86_64", "amd64") and sets and "avx2" not in sets:
        report.warn("system", "this processor has no AVX2", "expect several times slower faces")


def _runtimes(report: Report) -> None:
    facts: dict[str, Any] = {
        "openvino": _version("openvino"),
        "onnxruntime": _version("onnxruntime") or _version("onnxruntime-gpu"),
        "numkong": _version("numkong"),
    }
    if facts["openvino"]:
        from arcid.runtime.openvino import shared_core

        facts["openvino_devices"] = list(shared_core().available_devices)
    else:
        report.warn(
            "runtime",
            "OpenVINO is not installed, so models run on ONNX Runtime",
            "pip install openvino where a wheel exists: it is faster on CPUs",
        )
    if facts["onnxruntime"]:
        import onnxruntime

        facts["onnxruntime_providers"] = list(onnxruntime.get_available_providers())
    if not (facts["openvino"] or facts["onnxruntime"]):
        report.fail("runtime", "no runtime is installed", "pip install openvino onnxruntime")
    report.facts["runtime"] = facts


def _models(report: Report) -> None:
    folders = {"ARCID_MODELS": paths.models_dir()}
    if data := paths.data_dir():
        folders["ARCID_DATA/models"] = data / "models"
    facts: dict[str, Any] = {
        "looked_in": {
            name: f"{folder}{'' if folder.is_dir() else ' (not there)'}"
            for name, folder in folders.items()
        }
    }
    for task in ("detection", "recognition"):
        row: dict[str, Any] = {}
        facts[task] = row
        try:
            bundle = weights.resolve_default(task)
            row |= {"model": bundle.name, "path": str(bundle.path), "from": bundle.origin}
            row |= {"precision": bundle.manifest.precision, "checked": model_facts.check(bundle)}
            row["verified"] = bundle.trust
            if not bundle.vouched:
                report.warn(
                    "models",
                    f"the {task} model {bundle.name} is unverified: nobody vouches for it",
                    f"where you know where it comes from: arcid models accept {bundle.name}",
                )
            if task == "recognition":
                row["contract_id"] = bundle.manifest.contract_id
                row["calibration"] = "none"
                calibration = weights.find_calibration(bundle)
                row["calibration"] = calibration.data["status"]
                if calibration.combined:
                    row["calibration"] += ", combined with the packaged one"
                report.calibration = calibration
                for gap in unanswered(calibration, {}):
                    report.fail("models", gap.message, gap.advice)
                if calibration.provisional:
                    report.warn(
                        "models",
                        f"the calibration of {bundle.name} is provisional: measured on "
                        f"{calibration.data['dataset']['name']}, not on photos like yours",
                        "measure one: arcid calibrate FOLDER",
                    )
        except CalibrationError as error:
            report.fail("models", error.message, "without it verify and search cannot decide")
        except ArcidError as error:
            row["error"] = error.message
            report.fail("models", error.message, "arcid models list shows what can be had")
    broken: dict[str, Any] = {}
    installed = weights.installed(broken)
    facts["installed"] = [bundle.name for bundle in installed]
    facts["unverified"] = [bundle.name for bundle in installed if not bundle.vouched]
    for name, problem in broken.items():
        report.warn("models", problem.message, f"correct or delete the bundle {name}")
    report.facts["models"] = facts


def _database(
    report: Report, database: str | None, look: Callable[[Gallery, Report], None]
) -> None:
    url = database or paths.database_url()
    facts: dict[str, Any] = {"url": mask(url)}
    report.facts["database"] = facts
    file = sqlite_file(url)
    if file is not None:
        _disk(report, facts, file)
        if not is_there(file):
            facts["state"] = "not made yet; arcid enrol or arcid serve makes it"
            return
    try:
        with Gallery.open(url, create=False) as gallery:
            facts |= gallery.stats()
            findings = gallery.check(sample=SAMPLE)
            overdue = 0 if findings else _overdue(gallery)
            _index(report, facts, gallery)
            look(gallery, report)
            known = report.calibration
            sizes = {} if known is None or findings else gallery.sizes(known.contract_id)
            if not findings:
                _not_found(report, gallery)
    except UsageError as error:
        report.fail("database", error.message, "correct ARCID_DATABASE or --database")
    except ArcidError as error:
        damaged = isinstance(error, GalleryDamaged)
        advice = RESTORE if damaged else "mend that, then arcid doctor again"
        report.fail("database", mask(error.message), advice)
    else:
        broken = [finding for finding in findings if not finding.startswith(INDEX)]
        facts["state"] = "damaged" if broken else "sound"
        sampled = max(facts["rows"].values()) > SAMPLE
        facts["looked_at"] = (
            f"up to {SAMPLE:,} rows of each table, at random; arcid gallery check reads every row"
            if sampled
            else "every row"
        )
        if known is not None:
            for gap in unanswered(known, sizes):
                if gap.gallery is not None:
                    report.warn("models", gap.message, gap.advice)
        for finding in findings:
            report.fail("database", finding, RESTORE if finding in broken else WHOLE)
        if not facts["protection"]["complete"]:
            report.warn(
                "database",
                "vectors and pictures in this gallery are not encrypted, or not all of them",
                "arcid gallery encrypt, while everything goes on",
            )
        _backups(report, facts)
        for held in facts["erasure"]:
            report.warn("database", held, "arcid gallery scrub erases it at once, where it can")
        facts["overdue"] = overdue
        if overdue:
            report.warn(
                "database",
                f"{overdue} people and faces should have been erased over an hour ago",
                "arcid serve erases them by itself, arcid gallery retention does it now",
            )
        if file is not None and facts.get("journal_mode") != "wal":
            report.warn(
                "database",
                f"the journal mode is {facts.get('journal_mode')}, not WAL",
                "keep the gallery on a local disk: network file systems refuse WAL",
            )


def _not_found(report: Report, gallery: Gallery) -> None:
    """Who has no vector of the recogniser in use, as after a change of the default."""
    recogniser = report.facts["models"]["recognition"]
    if "contract_id" not in recogniser:
        return
    for collection in gallery.collections():
        usages = gallery.contracts(collection.name)
        everybody = max((usage.people + usage.missing_people for usage in usages), default=0)
        own = [u for u in usages if u.contract_id == recogniser["contract_id"]]
        missing = own[0].missing_people if own else everybody
        if not missing:
            continue
        others = {u.contract_id: weights.of_contract(u.contract_id) for u in usages if u not in own}
        here = [bundle.name for bundle in others.values() if bundle is not None]
        (report.warn if own else report.fail)(
            "models",
            f"{recogniser['model']} does not find {missing:,} of the {everybody:,} people of "
            f"collection {collection.name!r}: none of their vectors are of its contract, but of "
            f"{' and '.join(here) or 'a model that is not installed'}",
            f"arcid gallery reembed --collection {collection.name}, and enrol those again of whom "
            f"no crop is kept{''.join(f'; or go on with ARCID_RECOGNISER={one}' for one in here)}",
        )


def _index(report: Report, facts: dict[str, Any], gallery: Gallery) -> None:
    """What a vector database that carries the index sees, and whether it was measured."""
    facts["index"] = gallery.index_name
    if not gallery.index_outside:
        return
    facts["index_holds"] = "turned vectors" if gallery.index_blind else "templates in the clear"
    if not gallery.index_blind:
        report.warn(
            "database",
            f"{gallery.index_name}, holds the templates of everybody in the clear: whoever reads "
            "that server, its log or its backups can look for these people",
            "keep it as safe as the gallery and its keys, or set ARCID_INDEX_BLIND=1",
        )
    if gallery.index_exact:
        return
    for collection in gallery.collections():
        for usage in gallery.contracts(collection.name):
            found = gallery.index_misses(collection.name, usage.contract_id)
            if found is None or found.stale:
                report.warn(
                    "database",
                    f"how many people of {collection.name} the index misses is not measured"
                    f"{' any more: much has changed' if found else ''}",
                    f"arcid gallery index --sample 1000 --collection {collection.name}",
                )


def _overdue(gallery: Gallery) -> int:
    """What no service erased in time."""
    due = Retention(gallery).due(datetime.now(UTC) - timedelta(hours=1))
    return sum(counts.total for counts in due.values())


def _backups(report: Report, facts: dict[str, Any]) -> None:
    """Those that the service makes by itself."""
    facts["backups"] = "none are made by themselves; ARCID_BACKUPS names no folder"
    try:
        schedule = backups.Schedule.of_environment()
    except ConfigError as error:
        report.fail("database", error.message, "correct or unset it")
        return
    if schedule is None or facts["backend"] != "sqlite":
        return
    if schedule.keys is None and facts["protection"]["encrypted"]:
        report.warn(
            "database",
            "backups are made, but not of the key store, without which nobody can read them",
            "set ARCID_BACKUP_KEYS to a file apart from them, or copy the key store yourself",
        )
    found = backups.state(facts["identity"], schedule)
    facts["backups"] = len(found.backups)
    if found.backups:
        facts["newest_backup"] = instant(found.backups[0].made_at)
    if found.problem is not None and found.backups:
        report.fail("database", found.problem, "arcid gallery backup makes one now")
    elif found.problem is not None:
        report.warn("database", found.problem, "arcid gallery backup makes one now")


def _disk(report: Report, facts: dict[str, Any], file: Path) -> None:
    folder = next(p for p in (file.parent, *file.parent.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    facts["free_disk_bytes"] = free
    if not os.access(folder, os.W_OK) or (file.exists() and not os.access(file, os.W_OK)):
        report.fail("database", f"{file} cannot be written", "give yourself write access to it")
    size = file.stat().st_size if file.exists() else 0
    if free < max(LOW_DISK_BYTES, size):
        report.warn(
            "database",
            f"only {free / 2**30:.2f} GiB are free beside the gallery",
            "make room: a full disk stops enrolment (nothing stored is lost)",
        )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


__all__ = ["Problem", "Report", "environment", "examine", "mask"]
