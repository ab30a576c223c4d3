"""Subjects: the people of the collection, by name."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from arcid.errors import AlreadyExists, PersonNotFound
from arcid.gallery import Gallery
from arcid.server.compat.compreface.asking import (
    PREFIX,
    Collection,
    json_of,
    person_of,
    subject_named,
)
from arcid.server.compat.compreface.refusals import refusal
from arcid.server.deps import Running
from arcid.server.lanes import Route

router = APIRouter(
    prefix=f"{PREFIX}/recognition/subjects", route_class=Route, include_in_schema=False
)


@router.post("", status_code=201, name="compreface_add_subject")
@router.post("/", status_code=201, name="compreface_add_subject")
async def add(request: Request, running: Running, collection: Collection) -> dict[str, str]:
    """A person without faces."""
    subject = subject_named(await json_of(request))
    try:
        made = await running.writes.run(running.gallery.add_person, collection, subject)
    except AlreadyExists:
        raise refusal(43, "Subject already exists") from None
    return {"subject": made.name}


@router.get("", name="compreface_subjects")
@router.get("/", name="compreface_subjects")
def every(running: Running, collection: Collection) -> dict[str, list[str]]:
    """By name."""
    return {"subjects": [person.name for person in running.gallery.everybody(collection)]}


@router.put("/{subject}", name="compreface_rename_subject")
async def rename(
    request: Request, running: Running, collection: Collection, subject: str
) -> dict[str, bool]:
    """Another name; where somebody has it, both become one."""
    name = subject_named(await json_of(request))
    await run_in_threadpool(person_of, running.gallery, collection, subject)
    updated = await running.writes.run(_rename, running.gallery, collection, subject, name)
    return {"updated": updated}


@router.delete("/", name="compreface_delete_subject")
async def delete_unnamed() -> None:
    """Never everybody: what a client sends for a name that is empty or begins with ``#``."""
    raise refusal(26, "Subject name cannot be empty")


@router.delete("/{subject}", name="compreface_delete_subject")
def delete(running: Running, collection: Collection, subject: str) -> dict[str, str]:
    """With all faces."""
    person = person_of(running.gallery, collection, subject)
    running.gallery.delete_person(collection, person.id)
    return {"subject": person.name}


@router.delete("", name="compreface_delete_subjects")
def delete_all(running: Running, collection: Collection) -> dict[str, int]:
    """Everybody of the collection."""
    deleted = 0
    for person in list(running.gallery.everybody(collection)):
        with suppress(PersonNotFound):  # by another request
            running.gallery.delete_person(collection, person.id)
            deleted += 1
    return {"deleted": deleted}


def _rename(gallery: Gallery, collection: str, subject: str, name: str) -> bool:
    person, other = person_of(gallery, collection, subject), gallery.find_person(collection, name)
    if other is not None and other.id != person.id:
        gallery.merge_people(collection, other.id, person.id)
        return True
    if name == person.name:
        return False
    gallery.update_person(collection, person.id, name=name)
    return True
