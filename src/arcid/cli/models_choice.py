"""``arcid models use`` and ``calibrations``: what decides here from the next start on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from arcid.cli.opening import acting_here
from arcid.cli.output import Json, done, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.apps.model_choice import Choices
    from arcid.models.weights import Bundle

RESTART = "a running service keeps what it started with: restart it"


def register(app: typer.Typer) -> None:
    app.command()(use)
    app.command("calibrations")(calibrations_)


def use(
    name: Annotated[
        str | None, typer.Argument(help="An installed detector or recogniser.", metavar="NAME")
    ] = None,
    packaged: Annotated[
        Literal["detection", "recognition"] | None,
        typer.Option("--packaged", help="Return to the packaged one.", metavar="TASK"),
    ] = None,
    json: Json = False,
) -> None:
    """Use a model where none is named, on this machine, from the next start on.

    It is verified, loaded and run first. ARCID_DETECTOR and ARCID_RECOGNISER count before it.
    Vectors of two contracts never meet: after a change of recogniser, arcid gallery reembed makes
    vectors of the new contract from the crops that are kept.

    Example: arcid models use arcid-face-s-int8
    """
    from arcid.errors import UsageError

    if (name is None) == (packaged is None):
        raise UsageError("name a model, or say --packaged detection or --packaged recognition")
    with _choices() as choices:
        bundle = (
            choices.choose(name or "") if packaged is None else choices.choose_packaged(packaged)
        )
    task = bundle.manifest.task
    words = f"{bundle.name} is used for {task} where none is named; {RESTART}"
    if task == "recognition":
        words += (
            "\nfaces enrolled under another contract are not found until they are embedded again: "
            "arcid gallery status, arcid gallery reembed"
        )
    done(words, json, name=bundle.name, task=task, contract_id=_contract(bundle))


def calibrations_(
    name: Annotated[
        str | None, typer.Argument(help="Recogniser; default: the default.", metavar="NAME")
    ] = None,
    use: Annotated[
        str | None,
        typer.Option("--use", help="Put this one in force, or: packaged.", metavar="ID"),
    ] = None,
    delete: Annotated[
        str | None,
        typer.Option(
            "--delete", help="Erase this one, measured here and not in force.", metavar="ID"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List a recogniser's calibrations, the packaged one and those measured here.

    Example: arcid models calibrations --use packaged
    """  # fmt: skip
    from arcid.apps import model_choice
    from arcid.errors import UsageError
    from arcid.models import weights

    if use is not None and delete is not None:
        raise UsageError("--use and --delete are two steps")
    bundle = weights.resolve(name) if name else weights.resolve_default("recognition")
    if use is not None:
        with _choices() as choices:
            choices.use(bundle, None if use == "packaged" else use)
    elif delete is not None:
        with _choices() as choices:
            choices.delete(bundle, delete)
    rows = [kept.to_dict() for kept in model_choice.known(bundle)]
    if json:
        print_json({"model": bundle.name, "contract_id": _contract(bundle), "calibrations": rows})
        return
    if not rows:
        say(f"{bundle.name} has no calibration: arcid calibrate FOLDER --model {bundle.name}")
        return
    print_table(
        ("id", "from", "in force", "dataset", "people", "photos", "smallest FMR", "date"),
        [
            (
                row["calibration_id"],
                "the model" if row["packaged"] else "here",
                "yes" if row["in_force"] else "",
                row["dataset"],
                row["people"],
                row["photos"],
                f"{row['smallest_supported_fmr']:.2g}",
                row["date"],
            )
            for row in rows
        ],
    )
    if use is not None:
        say(RESTART)


@contextmanager
def _choices() -> Iterator[Choices]:
    """Told to the audit of this machine's gallery, where there is one."""
    from arcid.apps.model_choice import Choices
    from arcid.errors import NotFound
    from arcid.events import Audit
    from arcid.gallery import opening

    acting_here()
    try:
        gallery = opening.open_gallery()
    except NotFound:
        yield Choices()
        return
    with gallery:
        yield Choices(Audit(gallery).record)


def _contract(bundle: Bundle) -> str | None:
    manifest: Any = bundle.manifest
    return str(manifest.contract_id) if manifest.output is not None else None
