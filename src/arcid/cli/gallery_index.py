"""``arcid gallery index``: where the index is, what it misses, and building it anew."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Collection, Database
from arcid.cli.output import Json, print_json, say


def register(app: typer.Typer) -> None:
    app.command()(index)


def index(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Forget the index and fill it anew from the gallery.")
    ] = False,
    sample: Annotated[
        int, typer.Option(help="Searches that measure what the index misses; 0: none.", min=0)
    ] = 0,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Show what carries the index, ARCID_INDEX, and measure how many people it misses.

    What is measured is kept in the gallery, and every search by an approximate index states it.

    The gallery is the truth: an index can be built anew at any time, and nothing is lost with it.

    Example: arcid gallery index --sample 1000
    """
    from arcid.apps import missed
    from arcid.decide import NOT_MEASURED

    with open_gallery(database, collection) as gallery:
        if rebuild:
            gallery.drop_indexes()
            gallery.build_indexes(collection)
        name, exact, models = gallery.index_name, gallery.index_exact, []
        for usage in gallery.contracts(collection):
            row: dict[str, Any] = {
                "contract_id": usage.contract_id, "model": usage.model_name, "faces": usage.faces,
            }  # fmt: skip
            found = gallery.index_misses(collection, usage.contract_id)
            if sample:
                found = missed.measure(gallery, collection, usage.contract_id, searches=sample)
            row["misses"] = None if found is None else found.to_dict()
            models.append(row)
    if json:
        print_json({"collection": collection, "index": name, "models": models})
        return
    say(f"{collection}: searched by {name}")
    for row in models:
        say(f"{row['model']}: {row['faces']} faces")
        if row["misses"] is not None:
            say(f"  {_measured(row['misses'], exact)}")
        elif not exact:
            say(f"  {NOT_MEASURED}")


def _measured(misses: dict[str, Any], exact: bool) -> str:
    from arcid.decide import missed_words

    told = f"of {misses['searches']} searches {misses['missed']} did not find the best person"
    if exact:  # it looks at everybody: how wide the interval is says how few searches there were
        return told
    told += f": {missed_words(misses['miss_rate_high'])}"
    if misses["stale"]:
        told += (
            f" (measured {misses['measured_at'][:10]} at {misses['faces']} faces; much has changed "
            "since, so no search states it: measure again)"
        )
    return told
