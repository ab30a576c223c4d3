"""``arcid models …``: what is installed, what can be had, and whether it is sound."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.models_words import VERIFIED, licence_words, print_info
from arcid.cli.output import (
    MODEL,
    Exit,
    Json,
    done,
    error_dict,
    note,
    print_json,
    print_table,
    say,
)
from arcid.progress import progress_bar, steps

if TYPE_CHECKING:
    from arcid.errors import ManifestInvalid
    from arcid.models.pull import Offer

app = typer.Typer(
    help="List, check, pull and import models.\n\n"
    "Models are bundles with a manifest (docs/concepts/models.md). Nothing is downloaded unless "
    "pull is called.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="Name of the model.", metavar="NAME")]
SHORT = 12  # digits of hashes shown


COMMERCIAL = {True: "yes", False: "no", None: "unclear"}


@app.command("list")
def list_(
    commercial: Annotated[
        bool,
        typer.Option("--commercial", help="Only models whose licence allows commercial use."),
    ] = False,
    json: Json = False,
) -> None:
    """What is installed, which is the default, and what can be pulled.

    Commercial use is what the licence of the weights says; unclear where it says nothing. TAR: of
    recognisers measured here, the share of genuine pairs accepted at FMR 1e-4 on LFW View 1 DevTest
    behind scrfd_2.5g, with its 95 % interval.

    Example: arcid models list --commercial
    """
    from arcid.apps import model_facts
    from arcid.models import pull as fetch
    from arcid.models import weights

    broken: dict[str, ManifestInvalid] = {}
    defaults = model_facts.defaults()
    here = [model_facts.summary(bundle, defaults) for bundle in weights.installed(broken)]
    names = {row["name"] for row in here}
    offers = [fetch.offer(name) for name in sorted(weights.pullable())]
    to_pull = [model_facts.offer(o) for o in offers if not {e.name for e in o.models} <= names]
    if commercial:
        here = [row for row in here if row["commercial_use"]]
        to_pull = [row for row in to_pull if row["commercial_use"]]
    if json:
        problems = {name: error_dict(error) for name, error in broken.items()}
        print_json({"installed": here, "unusable": problems, "available": to_pull})
        return
    nothing = "Nothing of that kind is installed." if commercial else "Nothing is installed yet."
    say("Installed:" if here else nothing)
    if here:
        print_table(
            (
                *("name", "task", "what", "precision", "dim", "contract"),
                *("calibrated", "from", "verified", "TAR", "commercial", "licence"),
            ),
            [
                (
                    row["name"] + (" (default)" if row["default"] else ""),
                    row["task"],
                    _brief(row["description"] or row["family"]),
                    row["precision"],
                    row["dim"] or "",
                    (row["contract_id"] or "")[:SHORT],
                    row["calibration"] or "",
                    row["origin"],
                    VERIFIED[row["trust"]],
                    _tar(row),
                    COMMERCIAL[row["commercial_use"]],
                    row["licence"],
                )
                for row in here
            ],
        )  # fmt: skip
    for name, error in broken.items():
        say(f"{name} cannot be used: {error.message}")
    say("\nTo pull (arcid models pull NAME):")
    print_table(
        ("name", "what", "dim", "size", "TAR", "commercial", "licence"),
        [
            (
                row["name"],
                _brief(row["description"] or ", ".join(row["models"])),
                row["dim"] or "",
                _megabytes(row["size_bytes"]),
                _tar(row),
                COMMERCIAL[row["commercial_use"]],
                row["licence"],
            )
            for row in to_pull
        ],
    )


@app.command()
def info(name: Name, json: Json = False) -> None:
    """Everything about one model: its manifest, files, calibration and licence.

    Example: arcid models info mobilefacenet_128
    """
    from arcid.apps import model_facts
    from arcid.errors import CalibrationError
    from arcid.models import weights

    # Not resolve() alone: a file with a wrong hash is to be shown, not refused.
    found = (b for b in weights.installed({}) if b.name == name)
    bundle = next(found, None) or weights.resolve(name, judging=True)
    manifest = bundle.manifest
    files = model_facts.files(bundle)
    calibration: dict[str, Any] | None = None
    problem = None
    if manifest.task == "recognition":
        try:
            calibration = model_facts.calibration(bundle)
        except CalibrationError as error:
            problem = error.message
    if json:
        print_json(
            {
                **model_facts.summary(bundle),
                "path": str(bundle.path),
                "manifest": manifest.to_dict(),
                "files": files,
                "calibration": calibration,
                "calibration_problem": problem,
            }
        )
    else:
        print_info(bundle, files, calibration, problem)
    if any(file["state"] != "ok" for file in files):
        raise Exit(MODEL)


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models; default: all installed.", metavar="NAME")
    ] = None,
    json: Json = False,
) -> None:
    """Check hashes and arcid's signatures, load every model, run recognisers on made-up crops.

    Exit code 4 when one fails.

    Example: arcid models verify
    """
    from arcid.apps import model_facts
    from arcid.errors import ArcidError
    from arcid.models import weights

    broken: dict[str, ManifestInvalid] = {}
    found = [bundle.name for bundle in weights.installed(broken)]
    chosen = names or sorted({*found, *broken})
    results: list[dict[str, Any]] = []
    with progress_bar("verifying", len(chosen), quiet=json) as advance:
        for name in chosen:
            try:
                bundle = weights.resolve(name, judging=True)
                checked, signed = model_facts.check(bundle), model_facts.signed(bundle)
                results.append({"name": name, "ok": True, "checked": checked, "signed": signed})
            except ArcidError as error:
                results.append({"name": name, "ok": False, "error": error_dict(error)})
            advance(1)
    failed = [row for row in results if not row["ok"]]
    if json:
        print_json({"ok": not failed, "models": results})
    else:
        for row in results:
            what = row["checked"] if row["ok"] else "FAILED: " + row["error"]["message"]
            if row.get("signed"):
                what += ", signed by arcid"
            say(f"{row['name']}: {what}")
        say(f"{len(results) - len(failed)} of {len(results)} models are sound")
    if failed:
        raise Exit(MODEL)


@app.command()
def accept(
    name: Name,
    undo: Annotated[bool, typer.Option("--undo", help="Vouch for it no longer.")] = False,
    json: Json = False,
) -> None:
    """Vouch for a model on this machine, as it is now; it is checked and run first.

    Until then a bundle that was imported, converted or found is unverified. What you accept is
    remembered by its content in ARCID_HOME: a changed manifest, calibration or model file is
    unverified again.

    Example: arcid models accept mymodel
    """
    from arcid.apps import model_facts
    from arcid.errors import UsageError
    from arcid.models import trust, weights

    if undo:
        gone = trust.withdraw(name)
        if not gone:
            raise UsageError(f"{name} was not accepted on this machine; arcid models list says so")
        done(f"{name} is unverified again", json, name=name, accepted=False)
        return
    bundle = weights.resolve(name, judging=True)
    if bundle.folder is None or bundle.trust in ("packaged", "signed", "catalogue"):
        checked, sha256 = "vouched for already", None
    else:
        checked, sha256 = model_facts.check(bundle), trust.accept(bundle.name, bundle.folder)
    if json:
        print_json({**model_facts.summary(weights.resolve(name)), "digest": sha256})
        return
    say(f"{bundle.name} from {bundle.path.parent}: {checked}")
    if sha256:
        say(f"licence  {licence_words(bundle)}")
        say(f"accepted as {sha256[:SHORT]}; arcid models accept {name} --undo takes it back")


@app.command()
def pull(
    names: Annotated[
        list[str],
        typer.Argument(help="Packs or models, as arcid models list shows them.", metavar="NAME"),
    ],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read and accept the licences.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            help="A mirror, of a model of two files the folder of both; the sha256 stays the same.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Fetch known models over https, ask for their licence to be accepted, check and install them.

    Goes on where it was stopped.

    Example: arcid models pull yunet_2023mar face-reidentification-retail-0095 --accept-licence
    """
    from arcid.errors import UsageError
    from arcid.models import pull as fetch

    if url and len(names) > 1:
        raise UsageError("a mirror (--url) is the address of one model; pull them one by one")
    offers = [fetch.offer(name) for name in names]  # none is fetched where one is unknown
    rows = [_pull(offer, accept_licence, url, json) for offer in offers]
    if json:
        print_json(rows[0] if len(rows) == 1 else {"pulled": rows})
        return
    for row in rows:
        how = "installed in" if row["fetched"] else "is installed and sound in"
        for model in row["models"]:
            say(f"{model['name']}: {how} {model['path']}")


def _pull(offer: Offer, accepted: bool, url: str | None, quiet: bool) -> dict[str, Any]:
    from arcid import paths
    from arcid.models import pull as fetch

    root = paths.models_dir()
    fetched = not fetch.installed(offer, root)
    folders = [root / entry.name for entry in offer.models]
    if fetched:
        accepted = accepted or _ask(offer, url, quiet)
        with progress_bar(f"fetching {offer.name}", offer.size_bytes, quiet=quiet) as advance:
            folders = fetch.pull(
                offer, root, accept_licence=accepted, url=url, progress=steps(advance)
            )
    models = [{"name": folder.name, "path": str(folder)} for folder in folders]
    return {"name": offer.name, "fetched": fetched, "models": models}


def _brief(text: str) -> str:
    return textwrap.shorten(text, 60, placeholder=" …")


def _tar(row: Mapping[str, Any]) -> str:
    """TAR and its interval in per cent, where it was measured."""
    if not (found := row["measured"]):
        return ""
    low, high = 100 * found["tar_low"], 100 * found["tar_high"]
    return f"{100 * found['tar']:.1f} % ({low:.1f}-{high:.1f})"


def _ask(offer: Offer, url: str | None, json: bool) -> bool:
    """Show what would be fetched under which terms; True when a person at the terminal agrees."""
    if json or not sys.stdin.isatty():
        return False
    note(f"{offer.name}: {', '.join(e.name for e in offer.models)}, {_megabytes(offer.size_bytes)}")
    for file in offer.files:
        note(f"from     {offer.address(file, url)}")
        note(f"sha256   {file.sha256}")
    note(
        f"licence  {offer.licence.name}" + (f" ({offer.licence.url})" if offer.licence.url else "")
    )
    if offer.licence.commercial_use is False:
        note("         commercial use is NOT allowed")
    return typer.confirm("Do you accept this licence, and shall it be fetched?", err=True)


def _megabytes(size: int | None) -> str:
    return "size not published" if size is None else f"{size / 1e6:.1f} MB"
