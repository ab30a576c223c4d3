"""``arcid review …``: doubtful cases that wait for a human."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Actor, After, Collection, Database, Id, Note, operator
from arcid.cli.output import Json, clock, note, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.events import Review, Reviews, Verdict
    from arcid.gallery import Gallery

app = typer.Typer(
    help="Doubtful faces that wait for a human's word.\n\n"
    "A camera could not decide on them at the error rate asked for. A review goes by the id of its "
    "event.",
    no_args_is_help=True,
)


@app.command("list")
def list_(
    state: Annotated[
        list[str] | None,
        typer.Option("--state", help="open, yes, no or withdrawn; may be repeated; default: open."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="Most reviews shown.")
    ] = 100,
    after: After = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """List doubtful cases, newest first.

    Example: arcid review list --collection staff
    """
    with open_gallery(database, collection) as gallery:
        found = _queue(gallery).find(
            collection, states=state or ("open",), limit=limit, after=after
        )
        waiting = _queue(gallery).waiting(collection)
    if json:
        reviews = [review.to_dict() for review in found]
        page = {"reviews": reviews, "next": found.next}
        print_json({"collection": collection, "waiting": waiting, **page})
        return
    rows = [(clock(r.event.at), r.event.camera, _may_be(r), r.state, r.id) for r in found]
    print_table(("when", "camera", "may be", "state", "id"), rows)
    if found.next:
        note(f"there are more: --after {found.next}")
    say(f"{waiting} wait for an answer: `arcid review answer ID yes --person NAME`, or no")


@app.command()
def show(
    event: Id, collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Show one: whom it may be of, why it was not decided, and what was answered.

    Example: arcid review show 3f2a9c --collection staff
    """
    with open_gallery(database, collection) as gallery:
        review = _queue(gallery).get(collection, event)
    if json:
        print_json(review.to_dict() | {"reason": review.event.grounds.get("reason")})
    else:
        _print(review)


@app.command()
def answer(
    event: Id,
    verdict: Annotated[
        str, typer.Argument(help="yes, not-person or no (nobody known).", metavar="ANSWER")
    ],
    person: Annotated[
        str | None,
        typer.Option(
            "--person",
            help="Of whom, by id or name; may be left out where only one is asked about.",
        ),
    ] = None,
    block: Annotated[
        bool, typer.Option("--block/--no-block", help="Never take this face for them again.")
    ] = True,
    note: Note = "",
    actor: Actor = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Say who it is.

    yes: it is that person, and the event becomes their arrival, with stay and departure.
    not-person: it is not; the next candidate is asked about, and without any it is an unknown
    visitor. no: it is nobody known, an unknown visitor. The same answer again changes nothing;
    another one is refused until the first is taken back.

    Example: arcid review answer 3f2a9c yes --person "Ada Example" --collection staff
    """
    from arcid.errors import UsageError

    words: dict[str, Verdict] = {"yes": "yes", "no": "no", "not-person": "not_person"}
    if verdict not in words:
        raise UsageError(f"answer {verdict!r} is unknown; use {', '.join(words)}")
    with open_gallery(database, collection) as gallery:
        who = None if person is None else gallery.person_called(collection, person).id
        if who is None and verdict != "no":
            open_ones = _queue(gallery).get(collection, event).open_candidates
            if len(open_ones) != 1:
                names = ", ".join(one.name for one in open_ones) or "nobody any more"
                raise UsageError(f"say of whom with --person; this asks about {names}")
            who = open_ones[0].person_id
        done = _queue(gallery).answer(
            collection,
            event,
            words[verdict],
            actor=operator(actor),
            person_id=who,
            note=note,
            block=block,
        )
    if json:
        print_json(done.to_dict())
    else:
        _print(done)


@app.command()
def undo(
    event: Id,
    answer_id: Annotated[
        str | None, typer.Option("--answer", help="Which answer, by its id; default: the newest.")
    ] = None,
    note: Note = "",
    actor: Actor = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Take an answer back: the event, stay and departure are as before it.

    Example: arcid review undo 3f2a9c --collection staff
    """
    with open_gallery(database, collection) as gallery:
        done = _queue(gallery).undo(
            collection, event, actor=operator(actor), answer_id=answer_id, note=note
        )
    if json:
        print_json(done.to_dict())
    else:
        _print(done)


def _queue(gallery: Gallery) -> Reviews:
    from arcid.events import Reviews

    return Reviews(gallery)


def _print(review: Review) -> None:
    event = review.event
    say(f"{clock(event.at)}, {event.camera}: {_state(review)}")
    if reason := event.grounds.get("reason"):
        say(f"why it was not decided: {reason}")
    rows = [
        (one.name, round(one.cosine, 3), "not them" if one.refused else "", one.person_id)
        for one in review.candidates
    ]
    if rows:
        print_table(("may be", "cosine", "", "id"), rows)


def _state(review: Review) -> str:
    words = {
        "open": "waits for an answer",
        "yes": f"it is {review.name or 'somebody since deleted'}",
        "no": "an unknown visitor",
        "withdrawn": "the event was taken back",
    }[review.state]
    return words if review.actor is None else f"{words} (last answer by {review.actor})"


def _may_be(review: Review) -> str:
    if review.state == "yes":
        return review.name or ""
    return ", ".join(f"{one.name} ({one.cosine:.2f})" for one in review.open_candidates)
