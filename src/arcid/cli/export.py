"""``arcid export``: a trained network → a bundle that every other command can use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from arcid.cli.output import Json, note, print_json, say

if TYPE_CHECKING:
    from arcid.train.export import ExportResult


def register(app: typer.Typer) -> None:
    app.command()(export)


def export(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="Run or checkpoint folder, bundle, or a .pt or .h5 file of another project.",
            metavar="CKPT",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to put the bundle into.")],
    name: Annotated[
        str, typer.Option("--name", help="Name of the bundle; default: the run's.")
    ] = "",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option("--precision", help="How weights are stored; int8 also computes so."),
    ] = "fp32",
    target: Annotated[
        Literal["onnx", "luxonis"],
        typer.Option("--target", help="A bundle, or an NN Archive for OAK devices."),
    ] = "onnx",
    calibration: Annotated[
        str,
        typer.Option(
            "--calibration",
            help="int8: folder or .tar of aligned crops; default: those trained on.",
        ),
    ] = "",
    evaluate: Annotated[
        str,
        typer.Option(
            "--evaluate", help="Folder or .tar of labelled, aligned crops to measure accuracy on."
        ),
    ] = "",
    own_contract: Annotated[
        bool,
        typer.Option("--own-contract", help="int8: a model of its own, whatever it agrees with."),
    ] = False,
    flip: Annotated[
        bool,
        typer.Option(
            "--flip", help="Test-time flip: add the mirrored face's vector; takes twice the time."
        ),
    ] = False,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="Of a .pt file; default: its names say.")
    ] = None,
    size: Annotated[int, typer.Option("--size", help="Pixels a side, of a .pt file.")] = 112,
    licence: Annotated[str, typer.Option("--licence", help="Licence of the weights.")] = "",
    licence_url: Annotated[str, typer.Option("--licence-url", help="Where it can be read.")] = "",
    commercial: Annotated[
        bool | None,
        typer.Option("--commercial/--no-commercial", help="Whether it allows commercial use."),
    ] = None,
    training_data: Annotated[
        str, typer.Option("--training-data", help="What it was trained on, for the model card.")
    ] = "",
    description: Annotated[
        str, typer.Option("--description", help="One sentence for the model card.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an older one of that name.")
    ] = False,
    json: Json = False,
) -> None:
    """Write a trained network as a bundle, after comparing it with the network on every runtime.

    The bundle goes to OUT/NAME. Where the file's vectors differ from the network's by more than the
    tolerances, nothing is written (docs/concepts/export.md).

    Example: arcid export runs/small --out bundles --precision int8 --calibration crops.tar
    """
    from arcid.errors import MissingExtra

    try:
        from arcid.train.export import ExportRequest
        from arcid.train.export import export as write
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("torch", "yaml"):
            raise MissingExtra("arcid export", "train") from None
        raise
    request = ExportRequest(
        name=name,
        precision=precision,
        target=target,
        calibration=calibration,
        evaluate=evaluate,
        own_contract=own_contract,
        flip=flip,
        licence=licence,
        licence_url=licence_url,
        commercial_use=commercial,
        training_data=training_data,
        description=description,
        replace=replace,
    )
    result = write(checkpoint, out, request, backbone=backbone, size=size)
    if json:
        print_json(_facts(result))
    else:
        _show(result)


def _facts(result: ExportResult) -> dict[str, Any]:
    seen = result.measured
    return {
        "path": str(result.path),
        "name": result.name,
        "contract_id": result.contract_id,
        "shares_contract": result.shares_contract,
        "cosine": {runtime: cosine.to_dict() for runtime, cosine in result.agreement.items()},
        "before": seen.before.to_dict() if seen else None,
        "after": seen.after.to_dict() if seen else None,
        "difference": seen.difference.to_dict() if seen else None,
        "notes": list(result.notes),
    }


def _show(result: ExportResult) -> None:
    say(f"{result.path}")
    shared = ", shared with the fp32 bundle" if result.shares_contract else ""
    say(f"contract {result.contract_id[:12]}{shared}")
    for runtime, seen in result.agreement.items():
        say(
            f"{runtime}: cosine to the network {seen.minimum:.5f} at least, {seen.mean:.5f} on "
            f"average over {seen.crops} faces"
        )
    if result.measured:
        before, after = result.measured.before, result.measured.after
        say(f"accuracy on {after.dataset}: {after.photos} photos of {after.people} people")
        say(f"  AUC {before.auc:.5f} before, {after.auc:.5f} after")
        for old, new in zip(before.points, after.points, strict=True):
            say(
                f"  TAR at FMR {new.target_fmr:g}: {100 * old.tar.value:.2f} % before, "
                f"{100 * new.tar.value:.2f} % after ({100 * new.tar.low:.2f}–"
                f"{100 * new.tar.high:.2f})"
            )
    else:
        say("accuracy was not measured; name labelled crops with --evaluate")
    for line in result.notes:
        note(line)
