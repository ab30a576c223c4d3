"""People, faces and collections in InsightFace Server's words.

A person's id there is the external id here, or arcid's own id where nobody chose one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from arcid.errors import PersonNotFound
from arcid.gallery import Collection, Gallery, Person, StoredFace
from arcid.quality import Quality
from arcid.results import Faces, Prepared
from arcid.server.compat.adapter import answer
from arcid.server.deps import Services
from arcid.types import instant

OWN = "insightface_server"  # in metadata: what has no place of its own
PLACE = "bounding_box"  # in a face's provenance
Told = dict[str, Any]


def told(request: Request, body: Told, status: int = 200) -> Response:
    """With the id of the request."""
    return answer({**body, "request_id": request.scope["state"]["request_id"]}, status)


def person_of(gallery: Gallery, collection: str, person_id: str) -> Person:
    """By the id that the client chose, else by arcid's. Raises ``PersonNotFound``."""
    found = gallery.person_with(collection, person_id)
    if found is not None:
        return found
    person = gallery.person(collection, person_id)
    if person.external_id is not None:
        raise PersonNotFound("there is no person of that id")
    return person


def person_told(person: Person) -> Told:
    own = person.metadata.get(OWN)
    known: Told = own if isinstance(own, dict) else {}
    return {
        "id": person.external_id or person.id,
        "name": known.get("name", person.name),
        "external_id": known.get("external_id"),
        "metadata": {key: value for key, value in person.metadata.items() if key != OWN},
        "face_count": person.faces,
        "created_at": instant(person.created_at),
        "updated_at": instant(person.updated_at),
    }


def collection_told(running: Services, found: Collection) -> Told:
    """``default_threshold``: what a search decides by now, see ``search``."""
    own = found.metadata.get(OWN)
    known: Told = own if isinstance(own, dict) else {}
    decision = running.pipeline.decide(
        [], running.gallery.size(found.name, running.contract_id), unsupported="extrapolate"
    )
    return {
        "id": found.name,
        "name": known.get("name", found.name),
        "description": known.get("description", ""),
        "default_threshold": round(decision.cosine_threshold, 6),
        "embedding_dimension": running.pipeline.embedder.dim,
        **model_told(running.pipeline.provenance["model"], running.contract_id),
        "save_face_crops": found.keep_crops,
        "metadata": {key: value for key, value in found.metadata.items() if key != OWN},
        "person_count": found.people,
        "face_count": found.faces,
        "created_at": instant(found.created_at),
        "updated_at": instant(found.created_at),
    }


def model_told(name: str, contract_id: str) -> Told:
    """The contract is a digest of all that changes a vector, preprocessing included."""
    return {
        "model_id": name,
        "model_version": contract_id[:12],
        "model_digest": contract_id,
        "preprocessing_version": contract_id[:12],
        "embedding_contract_id": contract_id,
    }


def observations(seen: Faces | Prepared) -> list[Told]:
    """Every face of a photo, in its order."""
    found = seen.detections
    if found is None:
        return []
    rows = []
    for row in range(len(found)):
        points = None if found.points is None else found.points[row].round(2).tolist()
        rows.append(
            {
                "bbox": box_told(found.boxes[row].tolist(), found.image_size),
                "landmarks": points,
                "detection_score": round(float(found.scores[row]), 6),
                "quality": quality_told(seen.quality[row] if seen.quality else None),
            }
        )
    return rows


def box_told(box: Sequence[float], size: tuple[int, int]) -> Told:
    """``size``: (height, width) pixels of the photo."""
    height, width = size
    x1, y1, x2, y2 = box
    return {
        "pixels": {
            "x": round(x1), "y": round(y1), "width": round(x2 - x1), "height": round(y2 - y1),
        },
        "normalized": {
            "left": round(x1 / width, 6), "top": round(y1 / height, 6),
            "width": round((x2 - x1) / width, 6), "height": round((y2 - y1) / height, 6),
        },
    }  # fmt: skip


def quality_told(quality: Quality | None) -> Told:
    if quality is None:
        return {}
    return {"sharpness": round(quality.sharpness, 3), "brightness": round(quality.brightness, 3)}


def face_told(face: StoredFace, person_id: str) -> Told:
    """``FaceSample``."""
    given = face.provenance.get("given") == "vector"
    return {
        "id": face.id,
        "person_id": person_id,
        "bounding_box": face.provenance.get(PLACE),
        "landmarks": None,  # not kept
        "detection_score": face.score,
        "quality": {name: face.quality[name] for name in ("sharpness", "brightness")
                    if name in face.quality},
        **model_told(face.provenance.get("model", ""), face.contract_id),
        "embedding_source": "external_trusted" if given else "server",
        "has_crop": face.has_crop,
        "created_at": instant(face.created_at),
    }  # fmt: skip
