"""``arcid audit inversion``: what would a thief see of the vectors that are stored?"""

from __future__ import annotations

import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from arcid.cli.opening import acting_here, open_gallery
from arcid.cli.options import Database, Model
from arcid.cli.output import INTERRUPTED, Exit, Json, note, print_json, say
from arcid.cli.training import prepare

if TYPE_CHECKING:
    from arcid.train.invert.audit import Audited, Subjects
    from arcid.train.weights.initial import Initial


def register(app: typer.Typer) -> None:
    app.command("inversion")(inversion)


def inversion(
    people: Annotated[
        str | None,
        typer.Option(
            "--people",
            help="Folder or tar of aligned crops by person (arcid align), two or more of each.",
            metavar="DIR",
        ),
    ] = None,
    basis: Annotated[
        Literal["research", "synthetic", "consented"] | None,
        typer.Option("--basis", help="Why the people of DIR may be taken; the report says it."),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(
            "--collection",
            help="Stored vectors and kept pictures of its people who agreed to an inversion audit.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the report and the pictures.")
    ] = Path("runs/inversion-audit"),
    count: Annotated[
        int, typer.Option("--count", min=1, max=10_000, help="People whose vectors are taken.")
    ] = 20,
    gallery: Annotated[
        int,
        typer.Option("--gallery", min=2, max=5000, help="People of the public gallery, at most."),
    ] = 300,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of a batch.")] = 400,
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=4096, help="Pictures that are made together.")
    ] = 5,
    other: Annotated[
        list[str] | None,
        typer.Option(
            "--other",
            help="Recogniser to show the pictures to, by name; repeatable. Default: "
            "mobilefacenet_128 and face_reid_retail_0095.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the people and of the noise.")] = 1,
    model: Model = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Make pictures of stored vectors, and say what they are good for (docs/concepts/inversion.md).

    From the vectors of --count people, and the recogniser's weights, pictures are made as by arcid
    invert. They are shown to the recogniser at its own calibrated thresholds (FMR 1e-3 and 1e-4),
    to its int8 form, to two others, to the detector and, where its networks are installed, to the
    liveness check; beside them stand real photos. Writes report.html and report.json without
    pictures and names; the pictures, readable by their owner only, lie in the same folder.

    Only public research photographs, synthetic faces and people who agreed to it: --basis says
    which, and the report repeats it. Of a collection only people with a consent to "inversion
    audit" are taken, and the audit trail gets a row. Stopped or killed, the same command goes on.

    Example: arcid audit inversion --people crops/ --basis research --out runs/inversion-audit
    """
    from arcid.errors import UsageError

    if (people is None) == (collection is None):
        raise UsageError("name either --people DIR or --collection NAME")
    if people is not None and basis is None:
        raise UsageError("say with --basis why these people may be taken: research, synthetic or "
                         "consented")  # fmt: skip
    prepare()
    from arcid.errors import ModelNotFound
    from arcid.liveness import passive
    from arcid.models import weights
    from arcid.pipeline import load_detector
    from arcid.train.invert import Settings
    from arcid.train.invert.audit import Subjects, audit, write_report
    from arcid.train.invert.audit.recognisers import OTHERS
    from arcid.train.invert.people import read_people
    from arcid.train.weights.initial import open_initial

    settings = Settings(steps=steps, batch=batch, seed=seed)
    initial = open_initial(model or weights.resolve_default("recognition").name)
    if people is not None and basis is not None:
        found = read_people(people, initial.backbone.size, max(gallery, count), seed)
        subjects = Subjects(found, min(count, len(found)), basis)
    else:
        assert collection is not None
        subjects = _stored(initial, database, collection, count, gallery, quiet=json)
    try:
        liveness: Any = passive.load(passive.PAIR)
    except ModelNotFound:
        liveness = f"not measured, {' and '.join(passive.PAIR)} are not installed"
    done = audit(
        initial,
        subjects,
        out,
        settings,
        others=tuple(other or OTHERS),
        detector=load_detector(None),
        liveness=liveness,
        quiet=json,
        tell=(lambda line: None) if json else note,
    )
    if done is None:
        if json:
            print_json({"out": str(out), "stopped": True})
        else:
            say("stopped; run it again to go on")
        raise Exit(INTERRUPTED)
    written = write_report(done, out, _facts())
    if json:
        print_json({**done.to_dict(), "report": written["html"], "stopped": False})
    else:
        _show(done, written["html"])


def _stored(
    initial: Initial,
    database: str | None,
    collection: str,
    count: int,
    gallery: int,
    *,
    quiet: bool,
) -> Subjects:
    """People of a collection who agreed, and the row of the audit trail that says they were."""
    from arcid.apps.consented import consented_faces
    from arcid.errors import UsageError
    from arcid.events import Audit
    from arcid.train.invert import People
    from arcid.train.invert.audit import Subjects

    if initial.manifest is None:
        raise UsageError("a gallery holds vectors of bundles; name a bundle with --model")
    with open_gallery(database, collection) as opened:
        faces = consented_faces(
            opened, collection, initial.manifest.contract_id,
            size=initial.backbone.size, limit=max(count, gallery),
        )  # fmt: skip
        taken = min(count, len(faces.names))
        acting_here()
        Audit(opened).record(
            verb="audit.inversion", subject=f"collection:{opened.collection(collection).id}",
            collection=collection,
            details={"people": list(faces.names[:taken]), "compared": len(faces.names)},
        )  # fmt: skip
        store = opened.protection()
    if not quiet:
        note(
            f"{len(faces.names)} people agreed; {faces.refused} did not, of {faces.short} too few "
            "pictures are kept"
        )
    pictures = People(faces.names, faces.photos, faces.others, f"collection {collection}")
    facts = {key: store[key] for key in ("encrypted", "complete")}
    return Subjects(pictures, taken, "consented", faces.vectors[:taken], facts)


def _facts() -> dict[str, str]:
    import arcid

    return {
        "date": datetime.now(UTC).date().isoformat(),
        "arcid": arcid.__version__,
        "machine": platform.machine(),
        "command": shlex.join(["arcid", *sys.argv[1:]]),
    }


def _show(done: Audited, page: str) -> None:
    from arcid.evaluate.report.document import rate

    own = done.recognisers[0]
    cosines = done.inverted.cosines
    say(
        f"{len(cosines)} pictures of {done.model}: mean cosine to their vectors "
        f"{cosines.mean():.3f}, least {cosines.min():.3f}"
    )
    for one in done.recognisers:
        for point in one.points:
            value, between, counts = rate(point.other)
            say(
                f"  {one.recogniser}, FMR {point.target_fmr:g}: taken for the person on another "
                f"photo {value} ({between}; {counts}); real photos {rate(point.genuine)[0]}"
            )
    value, between, counts = rate(own.rank1)
    say(f"  first of {own.gallery} people: {value} ({between}; {counts}); chance 1/{own.gallery}")
    for line in done.missing:
        note(f"not measured with {line}")
    say(f"report: {page}")
