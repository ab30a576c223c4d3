"""``arcid receipts …``: what was erased, signed, and verified offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import After, Database
from arcid.cli.output import Json, clock, done, note, print_json, print_table, say

app = typer.Typer(
    help="Signed receipts of erasures (docs/concepts/privacy.md).\n\n"
    "A receipt says what was destroyed, by kind and count, when, and by which credential. It holds "
    "no name.",
    no_args_is_help=True,
)
Receipt = Annotated[str, typer.Argument(help="Receipt by its id.", metavar="RECEIPT")]


@app.command("list")
def list_(
    subject: Annotated[
        str | None, typer.Option("--subject", help="Only of this: person:ID, collection:ID.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Most shown.")] = 100,
    after: After = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List what was erased, newest first.

    Example: arcid receipts list
    """
    from arcid import paths
    from arcid.protection import Receipts

    with open_gallery(database) as gallery:
        found = Receipts(gallery, paths.home_dir()).find(subject=subject, limit=limit, after=after)
    if json:
        print_json({"receipts": [one.to_dict() for one in found], "next": found.next})
        return
    rows = [
        (one.id, clock(one.at), one.subject, one.statement["by"], one.statement["reason"],
         _counted(one.statement["destroyed"]))
        for one in found
    ]  # fmt: skip
    print_table(("receipt", "when", "what", "by", "why", "destroyed"), rows)
    if found.next:
        note(f"there are more: --after {found.next}")


@app.command()
def save(
    receipt: Receipt,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    database: Database = None,
    json: Json = False,
) -> None:
    """Write a receipt as a signed file.

    Example: arcid receipts save 3f2a9c -o receipt.json
    """
    from arcid import files, paths
    from arcid.protection import Receipts

    files.require_place(output)
    with open_gallery(database) as gallery:
        files.write_bytes(output, Receipts(gallery, paths.home_dir()).file(receipt))
    done(f"{output}: written", json, file=str(output))


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt that was saved.", metavar="FILE")],
    fingerprint: Annotated[
        str | None,
        typer.Option(
            "--fingerprint",
            help="Of the key that must have signed it; at least its first 16 hex digits. Without "
            "it anybody's key passes.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Verify a receipt, offline: that no byte was changed, and who signed it.

    Example: arcid receipts verify receipt.json --fingerprint 5f0c6b1d2e3f4a5b
    """
    from arcid.errors import EvidenceInvalid
    from arcid.protection.receipts import verify as check

    try:
        data = file.read_bytes()
    except OSError as error:
        raise EvidenceInvalid(f"{file} cannot be read: {error.strerror or error}") from None
    said, signed_by = check(data, fingerprint=fingerprint)
    if json:
        print_json({"valid": True, "fingerprint": signed_by, "receipt": said})
        return
    say(f"valid, signed by {signed_by}")
    say(f"erased: {said['erased']}, {said['at']}, by {said['by']}")
    say(f"destroyed: {_counted(said['destroyed'])}")
    if fingerprint is None:
        note("whose key that is was not asked for; say --fingerprint")


@app.command()
def key(json: Json = False) -> None:
    """Show the public key that receipts and seals are signed with, made where there is none.

    Example: arcid receipts key
    """
    from arcid import paths, signing

    signer = signing.Signer(paths.home_dir())
    public, fingerprint = signer.public.hex(), signer.fingerprint
    if json:
        print_json({"public_key": public, "fingerprint": fingerprint})
        return
    say(f"public key: {public}")
    say(f"fingerprint: {fingerprint}")


def _counted(destroyed: dict[str, int]) -> str:
    return ", ".join(f"{kind.replace('_', ' ')}: {n}" for kind, n in destroyed.items())
