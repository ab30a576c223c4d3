"""``arcid duplicates …``: who is enrolled twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.duplicate_pairs import print_pairs
from arcid.cli.opening import open_gallery
from arcid.cli.options import Actor, After, Collection, Database, Note, operator
from arcid.cli.output import Json, note, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.apps.duplicates import Duplicates, Verdict
    from arcid.gallery import Gallery

app = typer.Typer(
    help="Who is enrolled twice: everybody compared with everybody, exactly.\n\n"
    "A run finds pairs of people who may be one; humans answer, and every answer can be undone.",
    no_args_is_help=True,
)


@app.command("list")
def list_(
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            help="open, same, different, lookalike, unsure or photo (one photo shows both); may be "
            "repeated; default: open.",
        ),
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Of one run, by its id.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="Most pairs shown.")
    ] = 100,
    after: After = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """List pairs of people who may be one, the most probable first.

    Example: arcid duplicates list --collection staff
    """
    with open_gallery(database, collection) as gallery:
        found = _duplicates(gallery)
        page = found.find(
            collection, states=state or ("open",), run_id=run, limit=limit, after=after
        )
        found.looked(collection, "list")
        waiting = found.waiting(collection)
    if json:
        pairs = [pair.to_dict() for pair in page]
        print_json(
            {"collection": collection, "waiting": waiting, "pairs": pairs, "next": page.next}
        )
        return
    print_pairs(page)
    if page.next:
        note(f"there are more: --after {page.next}")
    say(f"{waiting} wait for an answer: `arcid duplicates answer PAIR same`, or different")


@app.command()
def answer(
    pair: Annotated[str, typer.Argument(help="Pair by its id.", metavar="PAIR")],
    verdict: Annotated[
        str, typer.Argument(help="same, different, lookalike or unsure.", metavar="ANSWER")
    ],
    keep: Annotated[
        str | None,
        typer.Option("--keep", help="Of same: who keeps name and details, by id or name."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge/--no-merge", help="Of same: they become one person.")
    ] = True,
    note: Note = "",
    actor: Actor = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Say whether two people are one.

    same: they are merged, which can be undone for 30 days. different: asked again only where faces
    enrolled since are more alike. lookalike: different, and never asked again. unsure: asked no
    more, and may be answered later.

    Example: arcid duplicates answer 3f2a9c same --keep "Ada Example" --collection staff
    """
    from arcid.apps.duplicates import VERDICTS
    from arcid.errors import UsageError

    words: dict[str, Verdict] = {word: word for word in VERDICTS}
    if verdict not in words:
        raise UsageError(f"answer {verdict!r} is unknown; use {', '.join(words)}")
    with open_gallery(database, collection) as gallery:
        kept = None if keep is None else gallery.person_called(collection, keep).id
        done = _duplicates(gallery).answer(
            collection, pair, words[verdict], actor=operator(actor), keep_id=kept, merge=merge,
            note=note,
        )  # fmt: skip
    if json:
        print_json(done.to_dict())
    else:
        merged = ", and were made one person" if done.merge_id else ""
        say(f"{done.a_name} and {done.b_name}: {done.verdict}{merged}")
        say(f"take it back with: arcid duplicates undo {done.id} --collection {collection}")


@app.command()
def undo(
    answer: Annotated[str, typer.Argument(help="Answer by its id.", metavar="ANSWER")],
    name: Annotated[
        str | None,
        typer.Option("--name", help="For whom there is again, where their name is taken now."),
    ] = None,
    actor: Actor = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Take an answer back; people it merged are two again, with their faces, names and events.

    Faces deleted or given away since, and what was enrolled or seen since, stay as they are.

    Example: arcid duplicates undo 77c0de --collection staff
    """
    with open_gallery(database, collection) as gallery:
        done = _duplicates(gallery).undo(collection, answer, actor=operator(actor), name=name)
    if json:
        print_json(done.to_dict())
        return
    say(f"taken back: {done.answer.a_name} and {done.answer.b_name}, {done.answer.verdict}")
    if done.missing_faces:
        say(f"{done.missing_faces} faces were deleted or given to somebody else since")


@app.command()
def groups(
    collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """List groups of people who may all be one, the largest first.

    Two whom one photo shows, or who are said to be different, are never in one group.

    Example: arcid duplicates groups --collection staff
    """
    with open_gallery(database, collection) as gallery:
        found = _duplicates(gallery)
        made = found.groups(collection)
        found.looked(collection, "groups")
    if json:
        print_json({"collection": collection, "groups": [group.to_dict() for group in made]})
        return
    rows = [
        (len(one.people), ", ".join(side.name for side in one.people), round(one.cosine, 3),
         len(one.refused))
        for one in made
    ]  # fmt: skip
    print_table(("people", "who", "weakest cosine", "pairs kept apart"), rows)


@app.command()
def export(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write, .csv or .json.", dir_okay=False)
    ],
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Write every pair with its state and answer to a file.

    Example: arcid duplicates export --collection staff -o pairs.csv
    """
    from arcid import files
    from arcid.apps.duplicates import export as exporting
    from arcid.errors import UsageError

    write = exporting.WRITERS.get(out.suffix[1:])
    if write is None:
        raise UsageError(f"{out.name}: the file is written as .csv or .json")
    files.require_place(out)
    with open_gallery(database, collection) as gallery:
        found = _duplicates(gallery)
        pairs = list(found.every(collection))
        found.looked(collection, "export")
        found.disclosed(collection, pairs, out.suffix[1:])
    files.write_text(out, write(pairs), private=True)
    if json:
        print_json({"file": str(out), "pairs": len(pairs)})
    else:
        say(f"{out}: {len(pairs):,} pairs")


def _duplicates(gallery: Gallery) -> Duplicates:
    from arcid.apps.duplicates import Duplicates

    return Duplicates(gallery)
