"""``arcid duplicates …``: who is enrolled twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Actor, After, Collection, Database, Note, operator
from arcid.cli.output import Json, clock, note, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.apps.duplicates import Duplicates, Pair, Run, Verdict
    from arcid.calibration import Calibration
    from arcid.gallery import Gallery

app = typer.Typer(
    help="Who is enrolled twice: everybody compared with everybody, exactly.\n\n"
    "A run finds pairs of people who may be one; humans answer, and every answer can be undone.",
    no_args_is_help=True,
)

RunId = Annotated[str, typer.Argument(help="Run by its id.", metavar="RUN")]


@app.command()
def run(
    with_: Annotated[
        str | None,
        typer.Option("--with", help="Compare with the people of that collection instead."),
    ] = None,
    false_pairs: Annotated[
        float,
        typer.Option(
            "--false-pairs", help="At most so many false pairs are expected in this run.", min=0
        ),
    ] = 5.0,
    allow_extrapolation: Annotated[
        bool,
        typer.Option(
            "--allow-extrapolation", help="Use the calibration beyond its data, and say so."
        ),
    ] = False,
    since_last: Annotated[
        bool,
        typer.Option("--since-last", help="Compare only who came since the last whole run."),
    ] = False,
    resume: Annotated[
        str | None, typer.Option("--resume", help="Go on with a run, by its id.", metavar="RUN")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=256, help="Default: every core.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Whose vectors; default: the default recogniser's, or those there are."
        ),
    ] = None,
    actor: Actor = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Compare everybody with everybody, and list who may be one person.

    The threshold follows from the number of comparisons and from how many false pairs are expected
    at most. Ctrl-C stops a run after its last whole block; --resume goes on from there, after a
    kill or a power cut too.

    Example: arcid duplicates run --collection staff --false-pairs 5
    """
    from arcid.apps.duplicates import Duplicates, work
    from arcid.progress import progress_bar

    with open_gallery(database, collection) as gallery:
        found = Duplicates(gallery)
        if resume is not None:
            asked = found.runs.get(collection, resume)
            calibration = _calibration(asked.contract_id)
        else:
            calibration = _calibration(_contract(gallery, collection, model))
            asked = found.runs.begin(
                collection, calibration, other=with_, since_last=since_last,
                false_pairs=false_pairs, allow_extrapolation=allow_extrapolation,
                actor=operator(actor),
            )  # fmt: skip
        if not json:
            note(f"run {asked.id}: {asked.promise}")
        with progress_bar("comparing", asked.blocks, quiet=json) as advance:
            advance(asked.done)
            try:
                done = work(
                    gallery, collection, asked.id, calibration, threads=threads,
                    progress=lambda done, blocks: advance(1),
                )  # fmt: skip
            except KeyboardInterrupt:
                note(
                    f"stopped; go on with: arcid duplicates run --collection {collection} "
                    f"--resume {asked.id}"
                )
                raise
        best = found.find(collection, run_id=done.id, limit=20)
    if json:
        print_json({"run": done.to_dict(), "pairs": [pair.to_dict() for pair in best]})
        return
    _print_pairs(best)
    _say_run(done)


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
    _print_pairs(page)
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

    written = {".csv": exporting.csv_text, ".json": exporting.json_text}
    if out.suffix not in written:
        raise UsageError(f"{out.name}: the file is written as .csv or .json")
    with open_gallery(database, collection) as gallery:
        found = _duplicates(gallery)
        pairs = list(found.every(collection))
        found.looked(collection, "export")
    files.write_text(out, written[out.suffix](pairs), private=True)
    if json:
        print_json({"file": str(out), "pairs": len(pairs)})
    else:
        say(f"{out}: {len(pairs):,} pairs")


@app.command()
def status(
    run: Annotated[str | None, typer.Argument(help="Run by its id; default: all.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Most runs shown.")] = 20,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Show runs: how far they are, what their threshold means, what they found.

    Example: arcid duplicates status --collection staff
    """
    with open_gallery(database, collection) as gallery:
        runs = _duplicates(gallery).runs
        found = [runs.get(collection, run)] if run else list(runs.find(collection, limit=limit))
    if json:
        print_json({"collection": collection, "runs": [one.to_dict() for one in found]})
        return
    rows = [
        (clock(one.started_at), _state(one), f"{one.share:.0%}", one.pairs, one.open, one.id)
        for one in found
    ]
    print_table(("began", "state", "done", "pairs", "open", "id"), rows)
    if run:
        say(found[0].promise)


@app.command()
def stop(
    run: RunId, collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Stop a run that another process works on; what it found so far stays.

    Example: arcid duplicates stop 3f2a9c --collection staff
    """
    with open_gallery(database, collection) as gallery:
        done = _duplicates(gallery).runs.stop(collection, run)
    if json:
        print_json(done.to_dict())
    else:
        _say_run(done)


def _duplicates(gallery: Gallery) -> Duplicates:
    from arcid.apps.duplicates import Duplicates

    return Duplicates(gallery)


def _contract(gallery: Gallery, collection: str, model: str | None) -> str:
    """The model asked for, else the default where it embedded anybody, else the one that did."""
    from arcid.models import weights

    bundle = weights.resolve(model) if model else weights.resolve_default("recognition")
    contract = bundle.manifest.contract_id
    known = sorted(gallery.contracts(collection), key=lambda usage: usage.faces)
    if model or not known or contract in {usage.contract_id for usage in known}:
        return contract
    return known[-1].contract_id


def _calibration(contract_id: str) -> Calibration:
    """Of the vectors of a contract; no network is opened. Raises ``CalibrationMissing``."""
    from arcid.errors import CalibrationMissing
    from arcid.models import weights

    bundle = weights.of_contract(contract_id)
    if bundle is None:
        raise CalibrationMissing(
            f"no installed recogniser makes vectors of contract {contract_id[:12]}, so no "
            "threshold is known for them; see: arcid models list"
        )
    return weights.find_calibration(bundle)


def _print_pairs(pairs: list[Pair]) -> None:
    rows = [
        (pair.a.name, pair.b.name, round(pair.cosine, 3), f"{pair.probability:.1%}",
         "the same photo" if pair.same_photo else pair.state, pair.id)
        for pair in pairs
    ]  # fmt: skip
    print_table(("one", "other", "cosine", "probability", "state", "id"), rows)


def _state(run: Run) -> str:
    return "cut off" if run.silent else run.state


def _say_run(run: Run) -> None:
    say(f"{_state(run)}: {run.done:,} of {run.blocks:,} blocks, {run.pairs:,} pairs, {run.open:,} "
        f"wait for an answer; {run.promise}")  # fmt: skip
    if run.problem:
        say(f"it failed: {run.problem}")
