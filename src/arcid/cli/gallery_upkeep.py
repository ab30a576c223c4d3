"""``arcid gallery status``, ``reembed``, ``check`` …: its models, and whether it is whole."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from arcid.cli.gallery_words import print_contracts
from arcid.cli.opening import open_gallery
from arcid.cli.options import Collection, Database, Ray, Workers, Yes
from arcid.cli.output import (
    SERVICE,
    Exit,
    Json,
    confirm,
    done,
    print_json,
    say,
    say_facts,
)
from arcid.progress import progress_bar, steps


def register(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(reembed)
    app.command()(drop_contract)
    app.command()(check)
    app.command()(scrub)
    app.command()(encrypt)
    app.command()(rotate_key)
    app.command()(stats)


def status(
    collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Show how far a collection has come with each model.

    Its faces and people, and how many people it cannot find yet.

    Example: arcid gallery status --collection staff
    """
    with open_gallery(database, collection) as gallery:
        contracts = [usage.to_dict() for usage in gallery.contracts(collection)]
    if json:
        print_json({"collection": collection, "contracts": contracts})
        return
    print_contracts(contracts)
    for usage in contracts:
        if usage["missing_people"]:
            say(
                f"{usage['missing_people']} people cannot be found by {usage['model_name']} yet: "
                "re-embed them, or enrol them again where no crop is kept"
            )


def reembed(
    collection: Collection = "default",
    to: Annotated[
        str | None,
        typer.Option(
            "--to", help="Recogniser to change to; default: ARCID_RECOGNISER, else arcid's own."
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Crops embedded at a time.")] = 64,
    workers: Workers = 1,
    ray: Ray = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Embed the kept crops with another model, beside the vectors that are there.

    Both models find people until the old one's vectors are dropped. May be stopped and started
    again. Faces without a crop stay with the old model: enrol those people again. With --workers or
    --ray, processes embed and this one writes; each opens the gallery by its own keys.

    Example: arcid gallery reembed --collection staff --to w600k_r50
    """
    from arcid import pipeline, sharding
    from arcid.apps.jobs import check_cut
    from arcid.models import weights
    from arcid.pipeline import embed_by

    with sharding.workers(workers, ray) as over, open_gallery(database, collection) as gallery:
        total = gallery.collection(collection).faces
        bundle = weights.resolve(to) if to else weights.resolve_default("recognition")
        known = [usage.contract_id for usage in gallery.contracts(collection)]
        check_cut(bundle.name, bundle.manifest.template, known)
        contract_id = bundle.manifest.contract_id
        embed = pipeline.load_embedder(bundle).embed if over is None else partial(embed_by, to)
        with progress_bar("embedding", total, quiet=json) as advance:
            report = gallery.reembed(
                collection,
                embed,
                contract_id,
                batch=batch,
                progress=steps(advance),
                model_name=bundle.name,
                over=over,
            )
    values = {"model": bundle.name, "contract_id": contract_id, **asdict(report)}
    words = f"{report.done} faces embedded by {bundle.name}, {report.already} were already."
    if report.without_crop:
        words += (
            f" {report.without_crop} have no crop to embed: enrol those people again; "
            "until then the old model finds them (arcid gallery status)."
        )
    done(words, json, **values)


def drop_contract(
    contract: Annotated[
        str, typer.Argument(help="Contract id, or how it begins.", metavar="CONTRACT")
    ],
    collection: Collection = "default",
    force: Annotated[
        bool, typer.Option("--force", help="Even where people are left without any vector.")
    ] = False,
    yes: Yes = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Erase the vectors of a model that is no longer used.

    Asks, unless --yes is given; refused while somebody would be left without a vector, unless
    --force is given.

    Example: arcid gallery drop-contract 277947407cfc --collection staff --yes
    """
    from arcid.errors import UsageError

    with open_gallery(database, collection) as gallery:
        usages = [u for u in gallery.contracts(collection) if u.contract_id.startswith(contract)]
        if len(usages) != 1:
            raise UsageError(
                f"{len(usages)} models of collection {collection!r} have a contract id that "
                f"begins with {contract!r}; see: arcid gallery status --collection {collection}"
            )
        usage = usages[0]
        confirm(f"Erase {usage.faces} vectors of {usage.model_name}?", yes=yes)
        erased = gallery.drop_contract(collection, usage.contract_id, force=force)
    done(f"Erased {erased} vectors.", json, contract_id=usage.contract_id, erased=erased)


def check(
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss", help="Acknowledged writes that are gone are known and dealt with."
        ),
    ] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Check that the gallery is sound and whole; exit code 5 when it is not.

    Example: arcid gallery check
    """
    with open_gallery(database) as gallery:
        if accept_loss:
            gallery.accept_losses()
        findings = gallery.check()
        words = "\n".join(findings) or f"{gallery.url} is sound"
        done(words, json, gallery=gallery.url, sound=not findings, findings=findings)
    if findings:
        raise Exit(SERVICE)


def scrub(database: Database = None, json: Json = False) -> None:
    """Write the database anew, so that nothing deleted is left in unused parts of it.

    It happens by itself in galleries of up to 64 MiB. Needs as much free disk, and on SQLite
    memory, as the database is large.

    Example: arcid gallery scrub
    """
    with open_gallery(database) as gallery:
        gallery.scrub()
        erasure = gallery.unscrubbed()
    words = "\n".join(erasure) or "Nothing deleted is left in the database."
    done(words, json, erasure=erasure)


def encrypt(database: Database = None, json: Json = False) -> None:
    """Seal vectors, crops and notes of a gallery that was made before arcid did so by itself.

    Works while the service runs. May be stopped at any point and started again. Its keys go into a
    key store of their own (arcid gallery stats shows where): back that up, and the root key, apart
    from the gallery.

    Example: arcid gallery encrypt
    """
    with open_gallery(database) as gallery:
        total = sum(c.faces for c in gallery.collections())
        with progress_bar("sealing", total, quiet=json) as advance:
            count = gallery.encrypt(progress=steps(advance))
        protection, left = gallery.protection(), gallery.unsealed_copies()
    words = [f"The gallery is encrypted; {count} faces were not before."]
    words += [f"Not encrypted, delete it once you do not need it: {name}" for name in left]
    if count:
        words.append("Backups made before are not encrypted either.")
    done("\n".join(words), json, sealed=count, unsealed_copies=left, protection=protection)


def rotate_key(
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="Where the root key moves: file:PATH, env:NAME, credential:NAME, pkcs11:URI or "
            "command:PROGRAM. Set ARCID_ROOT_KEY to it afterwards.",
        ),
    ] = None,
    data: Annotated[
        bool,
        typer.Option(
            "--data",
            help="Give people new data keys too and seal their vectors and crops anew: for when "
            "key store and root key were stolen together.",
        ),
    ] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Change the root key and the collections' keys; older copies of the key store open nothing.

    Without --data nothing of the gallery itself is written. Works while the service runs. May be
    stopped at any point and started again. A root key that is not in a file stays, unless --to
    names another.

    Example: arcid gallery rotate-key
    """
    with open_gallery(database) as gallery:
        total = sum(c.people for c in gallery.collections()) if data else 0
        with progress_bar("sealing anew", total, quiet=json or not data) as advance:
            made = gallery.rotate_keys(to, data=data, progress=steps(advance))
    words = f"Changed the keys; those of {made.keys} people and rows were wrapped anew."
    if data:
        people = "1 person" if made.people == 1 else f"{made.people:,} people"
        words += f" What is stored of {people} is sealed by new keys."
    words += " Back up the key store and the root key."
    if to is not None:
        kind, _, where = to.partition(":")
        where = str(Path(where).absolute()) if kind == "file" else where
        words += (
            f" Nothing opens from now on without: ARCID_ROOT_KEY={shlex.quote(f'{kind}:{where}')}"
        )
    done(words, json, rewrapped=made.keys, resealed_people=made.people)


def stats(database: Database = None, json: Json = False) -> None:
    """Show the database behind the gallery: schema, journal, size, rows.

    Example: arcid gallery stats
    """
    with open_gallery(database) as gallery:
        values = {"gallery": gallery.url, **gallery.stats()}
    if json:
        print_json(values)
        return
    say_facts(values)
