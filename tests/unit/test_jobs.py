"""Jobs: listed, worked on, stopped, gone on with; every item once, every reason kept."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil
from tests.toys import Brightness, Squares, picture

from arcid.apps.importing import archive, folder
from arcid.apps.jobs import (
    Held,
    Jobs,
    JobWorker,
    Means,
    Options,
    Uploads,
    begin_deletion,
    begin_import,
    begin_reembedding,
    finish,
    preview,
    unfinished,
)
from arcid.apps.jobs.held import Lost
from arcid.apps.jobs.uploads import MOST
from arcid.errors import (
    InputError,
    JobNotFound,
    NotFound,
    Overloaded,
    UploadTooLarge,
    UsageError,
)
from arcid.events import Audit, acting
from arcid.gallery import Gallery, NewConsent
from arcid.pipeline import Pipeline
from arcid.protection import Consents, Policies

ANY = Options(require_quality=False, allow_duplicate=True)


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        yield gallery


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(Squares(), Brightness())


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Six people with two photos each; one of a third has no face, one is no picture."""
    root = tmp_path / "people"
    for number in range(6):
        for shot in range(2):
            image = picture(0)
            image[0, 0] = number, shot, 7  # another photo
            save(root / f"Person {number}" / f"{shot}.png", image)
    save(root / "Person 3" / "nobody.png", picture())
    (root / "Person 4" / "broken.jpg").write_bytes(b"no picture")
    (root / "Person 5" / "notes.txt").write_text("not read")
    return root


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pil.fromarray(image).save(path)


def work(gallery: Gallery, pipeline: Pipeline, job_id: str, source: Any, **more: Any) -> None:
    with Held(gallery, job_id, "command") as held:
        finish(held, Means(pipeline, lambda spec: source, **more), left="stopped")


def photos(gallery: Gallery) -> dict[str, int]:
    return {person.name: person.faces for person in gallery.people("staff")}


def test_an_import_takes_everybody_once_and_says_what_it_did_not_take(
    gallery: Gallery, pipeline: Pipeline, people: Path
) -> None:
    with acting("key:abc"):
        job = begin_import(gallery, "staff", folder(people), ANY, origin="command")
    assert (job.state, job.total, job.done, job.refused) == ("waiting", 15, 1, 1)
    assert job.actor == "key:abc" and photos(gallery) == {}
    work(gallery, pipeline, job.id, folder(people))
    done = Jobs(gallery).get(job.id)
    assert (done.state, done.total, done.done, done.refused) == ("done", 15, 15, 3)
    assert done.share == 1 and done.ended_at is not None
    assert photos(gallery) == {f"Person {n}": 2 for n in range(6)}
    left = {one.label: one.code for one in Jobs(gallery).every_refused(job.id)}
    assert left == {
        "Person 3/nobody.png": "no_face_found",
        "Person 4/broken.jpg": "image_unreadable",
        "Person 5/notes.txt": "not_a_photo",
    }
    assert [row.verb for row in Audit(gallery).find(verb="job")] == ["job.begin"]
    with pytest.raises(UsageError, match="begin another"):
        Jobs(gallery).go_on(job.id)
    again = begin_import(gallery, "staff", folder(people), ANY, origin="command")
    work(gallery, pipeline, again.id, folder(people))
    assert Jobs(gallery).get(again.id).refused == 15
    assert photos(gallery) == {f"Person {n}": 2 for n in range(6)}


def test_one_that_was_stopped_goes_on_where_it_was(
    gallery: Gallery, pipeline: Pipeline, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcid.apps.enrol_writing.BATCH", 2)
    job = begin_import(gallery, "staff", folder(people), ANY, origin="command")
    steps: list[int] = []
    work(
        gallery, pipeline, job.id, folder(people),
        stopped=lambda: sum(steps) >= 4, step=steps.append,
    )  # fmt: skip
    half = Jobs(gallery).get(job.id)
    assert half.state == "stopped" and 4 < half.done < half.total
    assert sum(photos(gallery).values()) == half.done - half.refused
    found = unfinished(gallery, "staff", folder(people), ANY)
    assert found is not None and found.id == job.id
    work(gallery, pipeline, job.id, folder(people))
    assert photos(gallery) == {f"Person {n}": 2 for n in range(6)}
    done = Jobs(gallery).get(job.id)
    assert (done.state, done.refused) == ("done", 3)
    assert "already_exists" not in {one.code for one in Jobs(gallery).every_refused(job.id)}
    assert unfinished(gallery, "staff", folder(people), ANY) is None


def test_a_job_is_one_process_s_at_a_time_and_goes_to_the_next_when_that_is_gone(
    gallery: Gallery, pipeline: Pipeline, people: Path
) -> None:
    job = begin_import(gallery, "staff", folder(people), ANY)
    first = Held(gallery, job.id, "service", lasts_s=0.5)
    first.__enter__()
    with pytest.raises(UsageError, match="worked on by"), Held(gallery, job.id, "service"):
        pass
    assert Jobs(gallery).ready() == []
    first._stop.set()  # its process is gone: nobody renews
    first._thread.join()
    waiting = iter(first.items())
    item = next(waiting)
    deadline = time.monotonic() + 20
    while not Jobs(gallery).ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert Jobs(gallery).get(job.id).silent
    with Held(gallery, job.id, "service") as second:
        with pytest.raises(Lost), gallery.database.write() as connection:
            first.done([(item.person, item.label)], connection)
        finish(second, Means(pipeline, lambda spec: folder(people)))
    assert photos(gallery) == {f"Person {n}": 2 for n in range(6)}


def test_whoever_stops_or_ends_a_job_takes_it_from_whoever_works(
    gallery: Gallery, pipeline: Pipeline, people: Path
) -> None:
    job = begin_import(gallery, "staff", folder(people), ANY)
    with Held(gallery, job.id, "service") as held:
        assert Jobs(gallery).stop(job.id).state == "stopped"
        finish(held, Means(pipeline, lambda spec: folder(people)))
    assert (Jobs(gallery).get(job.id).state, photos(gallery)) == ("stopped", {})
    assert Jobs(gallery).go_on(job.id).state == "waiting"
    assert Jobs(gallery).cancel(job.id).state == "cancelled"
    assert [one.code for one in Jobs(gallery).every_refused(job.id)] == ["not_a_photo"]
    assert Jobs(gallery).cancel(job.id).state == "cancelled"
    verbs = [row.verb for row in Audit(gallery).find(verb="job")]
    assert verbs == ["job.cancel", "job.resume", "job.stop", "job.begin"]
    Jobs(gallery).begin("staff", "duplicates", run_id="0" * 32)
    waiting = Jobs(gallery).begin("staff", "import", total=1)
    assert Jobs(gallery).forget(timedelta(0)) == 2
    assert [one.id for one in Jobs(gallery).find()] == [waiting.id]
    with pytest.raises(JobNotFound):
        Jobs(gallery).get(job.id)


def test_a_service_leaves_alone_what_was_stopped_while_it_waited_its_turn(
    gallery: Gallery, pipeline: Pipeline, tmp_path: Path
) -> None:
    for name in ("Ada", "Ben"):
        gallery.add_person("staff", name)
        begin_deletion(gallery, "staff", [name])
    worker = JobWorker(gallery, pipeline, Uploads(tmp_path), None)
    first, second = Jobs(gallery).ready()
    worker._work(first)
    Jobs(gallery).stop(second.id)  # somebody looked twice
    worker._work(second)
    assert [person.name for person in gallery.people("staff")] == ["Ben"]
    assert Jobs(gallery).get(second.id).state == "stopped"
    worker._work(Jobs(gallery).go_on(second.id))
    assert Jobs(gallery).get(second.id).state == "done" and not gallery.people("staff")


def test_consent_is_demanded_before_anything_is_looked_at(
    gallery: Gallery, pipeline: Pipeline, people: Path
) -> None:
    Policies(gallery).change("staff", consent=True)
    ada = gallery.add_person("staff", "Person 1").id
    Consents(gallery).record("staff", ada, NewConsent("2026-03"))
    left = preview(gallery, "staff", folder(people)).left
    assert sum(one.code == "consent_missing" for one in left) == 12
    rows = ["person;photo;consent;consent_evidence;department;external_id"]
    rows += [f"Person {n};Person {n}/0.png;2026-03;form {n};hall {n};E{n}" for n in (0, 1)]
    rows += ["Person 2;Person 2/0.png;;;", "Person 2;gone.png;2026-03;;", ";Person 3/0.png;;;"]
    (people / "people.csv").write_text("\n".join(rows))
    source = folder(people)
    job = begin_import(gallery, "staff", source, ANY, origin="command")
    with acting("os:0"):
        work(gallery, pipeline, job.id, source)
    assert photos(gallery) == {"Person 0": 1, "Person 1": 1}
    new, known = gallery.people("staff")
    assert (new.metadata, new.external_id) == ({"department": "hall 0"}, "E0")
    assert (known.metadata, known.external_id) == ({}, None)
    (agreed,) = Consents(gallery).of("staff", new.id)
    assert (agreed.text, agreed.evidence, agreed.recorded_by) == ("2026-03", "form 0", "os:0")
    codes = [one.code for one in Jobs(gallery).every_refused(job.id)]
    assert sorted(set(codes)) == [
        "consent_missing", "not_a_photo", "not_listed", "photo_missing", "row_incomplete"
    ]  # fmt: skip


def test_people_are_deleted_by_the_thousand_and_leave_receipts(
    gallery: Gallery, pipeline: Pipeline
) -> None:
    ids = [gallery.add_person("staff", f"Person {n}").id for n in range(5)]
    job = begin_deletion(gallery, "staff", [ids[0], "person 1", ids[1], ids[2], "nobody"])
    assert (job.total, job.refused) == (4, 1)
    gallery.delete_person("staff", ids[2])
    work(gallery, pipeline, job.id, None)
    done = Jobs(gallery).get(job.id)
    assert (done.state, done.done, done.refused) == ("done", 4, 2)
    assert sorted(photos(gallery)) == ["Person 3", "Person 4"]
    left = {one.label: one.code for one in Jobs(gallery).every_refused(job.id)}
    assert left == {"nobody": "person_not_found", ids[2]: "person_not_found"}
    assert gallery.stats()["rows"]["erasures"] == 3
    with pytest.raises(InputError, match="name whom"):
        begin_deletion(gallery, "staff", [])


def test_kept_crops_are_embedded_with_the_model_of_today(
    gallery: Gallery, people: Path, pipeline: Pipeline
) -> None:
    gallery.update_collection("staff", keep_crops=True)
    job = begin_import(gallery, "staff", folder(people), ANY)
    work(gallery, pipeline, job.id, folder(people))

    class Newer(Brightness):
        contract_id = "new" * 10

    newer = Pipeline(Squares(), Newer())
    job = begin_reembedding(gallery, "staff", newer)
    assert (job.total, job.done) == (12, 0)
    steps: list[int] = []
    work(gallery, newer, job.id, None, step=steps.append)
    done = Jobs(gallery).get(job.id)
    assert (done.state, done.done, gallery.size("staff", Newer.contract_id)) == ("done", 12, 12)


def test_whoever_is_deleted_is_named_by_no_job(
    gallery: Gallery, pipeline: Pipeline, people: Path
) -> None:
    job = begin_import(gallery, "staff", folder(people), ANY, origin="command")
    work(gallery, pipeline, job.id, folder(people))
    four = gallery.find_person("staff", "Person 4")
    assert four is not None
    gallery.delete_person("staff", four.id)
    left = [one.person for one in Jobs(gallery).every_refused(job.id)]
    assert left == ["Person 3", ""]
    waiting = begin_import(gallery, "staff", folder(people), ANY, origin="command")
    three = gallery.find_person("staff", "Person 3")
    assert three is not None
    gallery.delete_person("staff", three.id)
    assert Jobs(gallery).get(waiting.id).total == 12
    work(gallery, pipeline, waiting.id, folder(people))
    assert "Person 3" not in photos(gallery) and "Person 4" in photos(gallery)


def test_a_reason_names_nobody_else_and_items_follow_a_new_name(
    gallery: Gallery, pipeline: Pipeline, people: Path
) -> None:
    (people / "Twin").mkdir()
    shutil.copy(people / "Person 0" / "0.png", people / "Twin")
    source = folder(people)
    job = begin_import(gallery, "staff", source, Options(require_quality=False), origin="command")
    work(gallery, pipeline, job.id, source)
    (twin,) = [one for one in Jobs(gallery).every_refused(job.id) if one.person == "Twin"]
    first = gallery.person_called("staff", "Person 0").id
    assert twin.code == "possible_duplicate"
    assert first in twin.message and "Person 0" not in twin.message
    three = gallery.person_called("staff", "Person 3").id
    gallery.update_person("staff", three, name="Dora")
    assert "Dora" in {one.person for one in Jobs(gallery).every_refused(job.id)}
    gallery.delete_person("staff", three)
    left = [f"{o.person} {o.label} {o.message}" for o in Jobs(gallery).every_refused(job.id)]
    assert left and not any("Person 3" in one or "Dora" in one for one in left)


def test_uploads_that_are_coming_count_as_those_that_wait(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "uploads")

    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(0.05)
        yield b"b"

    async def all_at_once(count: int) -> list[Any]:
        asked = (uploads.receive(slow(), max_bytes=8) for _ in range(count))
        return await asyncio.gather(*asked, return_exceptions=True)

    told = asyncio.run(all_at_once(MOST + 4))
    assert [isinstance(one, Overloaded) for one in told] == [False] * MOST + [True] * 4
    for upload_id, size in told[:MOST]:
        assert size == 2
        uploads.delete(upload_id)
    with pytest.raises(UploadTooLarge):
        asyncio.run(uploads.receive(slow(), max_bytes=1))
    (kept,) = asyncio.run(all_at_once(1))
    assert uploads.path(kept[0]).read_bytes() == b"ab"


def test_a_job_ends_with_what_was_uploaded_for_it(
    gallery: Gallery, pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "uploads"
    place.mkdir()
    jobs, uploads = Jobs(gallery), Uploads(place)
    worker = JobWorker(gallery, pipeline, uploads, None)

    def begun(upload: str, state: str) -> str:
        (place / upload).write_bytes(b"zip")
        job = jobs.begin("staff", "import", source={"kind": "zip", "upload": upload})
        return (jobs.stop(job.id) if state == "stopped" else job).id

    deleted, left, waiting = (
        begun(name * 32, state)
        for name, state in (("a", "waiting"), ("b", "stopped"), ("c", "waiting"))
    )
    worker.delete_upload("a" * 32)
    with pytest.raises(NotFound):
        worker.delete_upload("a" * 32)
    worker.sweep(gallery)
    assert jobs.get(left).state == "stopped" and (place / ("b" * 32)).exists()
    monkeypatch.setattr("arcid.apps.jobs.worker.UPLOADS_KEPT", timedelta(0))
    os.utime(place / ("b" * 32), (0, 0))
    worker.sweep(gallery)
    assert [path.name for path in place.iterdir()] == ["c" * 32]
    for job, why in ((deleted, "was deleted"), (left, "for seven days")):
        ended = jobs.get(job)
        assert ended.state == "cancelled" and why in (ended.problem or "")
        with pytest.raises(UsageError, match="begin another"):
            jobs.go_on(job)
    assert jobs.get(waiting).state == "waiting"


def test_a_service_works_on_what_lies_on_its_machine_and_deletes_it_then(
    gallery: Gallery, pipeline: Pipeline, people: Path, tmp_path: Path
) -> None:
    uploads = Uploads(tmp_path / "uploads")
    (tmp_path / "uploads").mkdir()
    here, elsewhere = "a" * 32, "b" * 32
    with zipfile.ZipFile(uploads._folder / here, "w") as packed:
        for path in sorted(people.rglob("*.*")):
            packed.write(path, f"export/{path.relative_to(people)}")
    spec = {"kind": "zip", "upload": here}
    job = begin_import(gallery, "staff", archive(uploads.path(here), spec), ANY)
    other = Jobs(gallery).begin("staff", "import", source={"kind": "zip", "upload": elsewhere})
    worker = JobWorker(gallery, pipeline, uploads, None)
    worker.start()
    try:
        deadline = time.monotonic() + 60
        while uploads.any():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        worker.close()
    assert Jobs(gallery).get(job.id).state == "done"
    assert Jobs(gallery).get(other.id).state == "waiting"
    assert photos(gallery) == {f"Person {n}": 2 for n in range(6)}
    worker.sweep(gallery)
    assert Jobs(gallery).get(job.id).done == 15
