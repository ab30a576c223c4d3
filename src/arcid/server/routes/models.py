"""Models and calibrations of this machine: what is there, and what decides from the next start."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, Path, Response
from pydantic import Field

from arcid.apps import model_choice, model_facts
from arcid.errors import CalibrationMissing, ManifestInvalid, ModelNotFound
from arcid.models import pull as offers
from arcid.models import weights
from arcid.models.chosen import Why
from arcid.models.manifest import Task
from arcid.models.trust import Trust
from arcid.models.weights import Bundle, Origin
from arcid.server.deps import Running, Services
from arcid.server.errors import HttpError
from arcid.server.lanes import Route
from arcid.server.routes._common import errors
from arcid.server.schemas import In, Out

router = APIRouter(prefix="/v1", tags=["models"], route_class=Route)
Chosen = Literal["detection", "recognition"]
TASKS: tuple[Chosen, ...] = get_args(Chosen)


class InstalledOut(Out):
    """A model found on this machine."""

    name: str
    task: Task
    description: str
    precision: str
    dim: int | None
    contract_id: str | None = Field(description="Vectors of two contracts never meet.")
    calibration: str | None = Field(description="measured, provisional, no or unusable.")
    origin: Origin
    trust: Trust
    licence: str
    commercial_use: bool | None = Field(description="null: the licence does not say.")
    measured: dict[str, Any] | None = Field(
        description="TAR at FMR 1e-4 on LFW View 1 DevTest behind scrfd_2.5g, with its 95 % "
        "interval; null: not measured here."
    )
    runs: bool = Field(description="In this service, now.")


class OfferOut(Out):
    """A model, or a pack of them, of the catalogue."""

    name: str
    models: list[str]
    description: str
    size_bytes: int | None = Field(description="null: not published.")
    licence: str
    commercial_use: bool | None


class ChoiceOut(Out):
    """Which model a task gets at the next start, and why."""

    task: Task
    name: str | None
    why: Why = Field(description="named: by a setting; chosen: here; packaged: the default.")
    variable: str = Field(description="The setting that counts before any choice.")
    problem: str | None = Field(description="Why the service would not start with it.")
    running: str
    restart_needed: bool


class InstalledModels(Out):
    installed: list[InstalledOut]
    unusable: dict[str, str] = Field(description="Bundles that cannot be used, and why.")
    available: list[OfferOut] = Field(description="What could be pulled; nothing is by itself.")
    downloads: bool = Field(description="Whether `ARCID_MODEL_DOWNLOADS` lets admins pull here.")
    next_start: list[ChoiceOut]


class ChooseIn(In):
    name: str | None = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,199}$",
        description="An installed model of the task, or recognisers as one (`a+b`); null: the "
        "packaged one.",
    )


class AheadOut(Out):
    """What the chosen recogniser means for a collection."""

    collection: str
    done: int = Field(description="Faces with a vector of its contract.")
    waiting: int = Field(description="Faces that a re-embedding makes one for.")
    stuck: int = Field(description="Faces without a crop: enrol these people again.")
    problem: str | None = Field(description="Why kept crops cannot be embedded by it.")


class ChosenOut(Out):
    choice: ChoiceOut
    ahead: list[AheadOut] = Field(description="Of a recogniser; of a detector empty.")


class PullIn(In):
    name: str = Field(max_length=200, description="As `available` names it.")
    accept_licence: bool = Field(False, description="You have read and accept its licence.")


class PulledOut(Out):
    models: list[str] = Field(description="Names of what is installed.")


class KeptOut(Out):
    """A calibration that could decide."""

    calibration_id: str
    packaged: bool = Field(description="It came with the model.")
    in_force: bool = Field(description="From the next start on.")
    running: bool = Field(description="This service decides by it now.")
    dataset: str
    status: str
    people: int
    photos: int
    genuine_pairs: int
    impostor_pairs: int
    date: str
    notes: str | None
    smallest_supported_fmr: float
    smallest_measured_fmr: float
    combined_with: str | None = Field(description="The packaged one's photographs.")


class CalibrationsOut(Out):
    model: str
    calibrations: list[KeptOut] = Field(description="The one in force first.")


class UseIn(In):
    calibration_id: str | None = Field(
        max_length=64, description="One measured here, or null: the packaged one."
    )


TaskPath = Annotated[Chosen, Path(description="detection or recognition.")]
CalibrationPath = Annotated[str, Path(max_length=64, description="Id of a calibration.")]


@router.get("/models/installed", responses=errors(503))
def list_installed_models(running: Running) -> InstalledModels:
    """Every model on this machine, what the catalogue has, and what the next start takes."""
    broken: dict[str, ManifestInvalid] = {}
    found = weights.installed(broken)
    run = {running.pipeline.provenance[part] for part in ("model", "detector")}
    names = {bundle.name for bundle in found}
    pullable = [offers.offer(name) for name in sorted(weights.pullable())]
    return InstalledModels(
        installed=[
            InstalledOut(**_shown(InstalledOut, model_facts.summary(bundle, {})),
                         runs=bundle.name in run)
            for bundle in found
        ],
        unusable={name: error.message for name, error in broken.items()},
        available=[
            OfferOut(**_shown(OfferOut, model_facts.offer(one)))
            for one in pullable
            if not {entry.name for entry in one.models} <= names
        ],
        downloads=running.settings.model_downloads,
        next_start=[_choice(running, task) for task in TASKS],
    )  # fmt: skip


@router.put("/models/chosen/{task}", responses=errors(400, 404, 413, 503, 507))
def choose_model(running: Running, task: TaskPath, body: ChooseIn) -> ChosenOut:
    """Use a model from the next start on; it is verified, loaded and run first. Refused where a
    setting names one. Tells what a recogniser of another contract means for each collection."""
    choices = running.choices
    if body.name is None:
        bundle = choices.choose_packaged(task)
    else:
        try:
            found = weights.resolve(body.name)
        except ModelNotFound as error:
            raise HttpError(404, error.code, error.message) from None
        if found.manifest.task != task or found.origin == "path":
            raise HttpError(422, "usage_error", f"{body.name} is no installed model for {task}")
        bundle = choices.choose(body.name)
    ahead = model_choice.ahead(running.gallery, bundle) if task == "recognition" else []
    return ChosenOut(
        choice=_choice(running, task), ahead=[AheadOut(**one.to_dict()) for one in ahead]
    )


@router.post("/models/pull", status_code=201, responses=errors(400, 403, 404, 413, 503, 507))
def pull_model(running: Running, body: PullIn) -> PulledOut:
    """Fetch a model of the catalogue, where `ARCID_MODEL_DOWNLOADS` allows it and its licence is
    accepted. Answers when it is installed."""
    if not running.settings.model_downloads:
        raise HttpError(
            403, "downloads_off", "this service fetches no models: ARCID_MODEL_DOWNLOADS is off"
        )
    try:
        offers.offer(body.name)
    except ModelNotFound as error:
        raise HttpError(404, error.code, error.message) from None
    folders = running.choices.pull(body.name, accept_licence=body.accept_licence)
    return PulledOut(models=[folder.name for folder in folders])


@router.get("/calibrations", responses=errors(503))
def list_calibrations(running: Running) -> CalibrationsOut:
    """Calibrations of the recogniser that runs: the packaged one and those measured here."""
    return _calibrations(running, _recogniser(running))


@router.put("/calibrations/in_force", responses=errors(400, 404, 413, 503, 507))
def use_calibration(running: Running, body: UseIn) -> CalibrationsOut:
    """Put a calibration in force from the next start on."""
    bundle = _recogniser(running)
    try:
        running.choices.use(bundle, body.calibration_id)
    except CalibrationMissing as error:
        raise HttpError(404, error.code, error.message) from None
    return _calibrations(running, bundle)


@router.delete(
    "/calibrations/{calibration_id}",
    status_code=204,
    response_model=None,
    responses=errors(404, 503, 507),
)
def delete_calibration(running: Running, calibration_id: CalibrationPath) -> Response:
    """Erase a calibration that was measured here and is not in force."""
    try:
        running.choices.delete(_recogniser(running), calibration_id)
    except CalibrationMissing as error:
        raise HttpError(404, error.code, error.message) from None
    return Response(status_code=204)


def _recogniser(running: Services) -> Bundle:
    if (bundle := running.pipeline.bundle) is None:
        raise HttpError(503, "model_error", "the recogniser that runs here comes from no bundle")
    return bundle


def _choice(running: Services, task: Task) -> ChoiceOut:
    found = running.choices.next_start(task)
    part = "model" if task == "recognition" else "detector"
    now = running.pipeline.provenance[part]
    return ChoiceOut(**found.to_dict(), running=now, restart_needed=found.name != now)


def _calibrations(running: Services, bundle: Bundle) -> CalibrationsOut:
    now = running.calibration()
    current = None if now is None else now.calibration_id
    kept = [
        KeptOut(**one.to_dict(), running=one.calibration_id == current)
        for one in model_choice.known(bundle)
    ]
    return CalibrationsOut(model=bundle.name, calibrations=kept)


def _shown(schema: type[Out], row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key in schema.model_fields}
