"""People, faces and collections in InsightFace Server's words.

A person's id there is the external id here, or arcid's own id where nobody chose one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from arcid.apps.importing import insightface
from arcid.errors import PersonNotFound
from arcid.gallery import Collection, Gallery, Person, StoredFace
from arcid.models.manifest import Manifest
from arcid.results import Faces, Prepared
from arcid.server.compat.adapter import answer
from arcid.server.deps import Services
from arcid.types import instant

OWN = insightface.OWN  # in metadata, also of who was imported: what has no place of its own
PLACE = "bounding_box"  # in a face's provenance
PROFILE = "fp32_v1"  # how arcid searches: exactly, every vector as it is
#: The most that the protocol and every reader of JSON can say, where arcid sets no limit.
ANY_ROWS, ANY_FACES = 2**53 - 1, 1_000_000
_ANGLES = ("yaw_deg", "pitch_deg", "roll_deg")
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
    """``default_threshold``: what a search decides by now, see ``search``. The detector and the
    search are the service's, one for all collections, and 0 what a detector has no number for."""
    own = found.metadata.get(OWN)
    known: Told = own if isinstance(own, dict) else {}
    detector = running.pipeline.detector
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
        "search_profile": PROFILE,
        "capacity_rows": ANY_ROWS,
        "max_faces_per_person": ANY_FACES,
        "load_policy": "lazy",
        "search_revision": running.gallery.last_change(),
        "detection": {
            "input_sizes": [[side, side]] if (side := getattr(detector, "size", 0)) else [],
            "threshold": getattr(detector, "threshold", 0.0),
            "nms_threshold": getattr(detector, "nms_iou", 0.0),
            "single_face_selection": "largest",
        },
        "detection_revision": 1,
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


def summary(running: Services) -> Told:
    """``ModelSummary``."""
    origin = running.pipeline.provenance
    return model_told(origin["model"], running.contract_id) | {
        "embedding_dimension": running.pipeline.embedder.dim,
        "provider": origin["runtime"],
        "license": licence(running.pipeline.manifest),
        "models": components(running),
    }


def components(running: Services) -> list[Told]:
    """``ModelComponent`` of the detector and the recogniser."""
    pipeline = running.pipeline
    found = _component("recognition", pipeline.provenance["model"], pipeline.manifest)
    bundle = pipeline.detector_bundle
    detector = bundle.manifest if bundle else None
    return [
        _component("detection", pipeline.provenance["detector"], detector),
        found | {"embedding_dimension": pipeline.embedder.dim},
    ]


def licence(manifest: Manifest | None) -> Told | None:
    if manifest is None:
        return None
    its = manifest.licence
    return {"name": its.name, "url": its.url, "commercial_use": its.commercial_use}


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
                "quality": quality_told(seen.quality[row].measured() if seen.quality else {}),
            }
        )
    return rows


def box_told(box: Sequence[float], size: tuple[int, int]) -> Told:
    """What of a box lies in the photo, whose (height, width) in pixels is ``size``."""
    height, width = size
    x1, x2 = (min(max(x, 0), width) for x in box[::2])
    y1, y2 = (min(max(y, 0), height) for y in box[1::2])
    left, top = round(x1), round(y1)
    return {
        "pixels": {"x": left, "y": top, "width": round(x2) - left, "height": round(y2) - top},
        "normalized": {
            "left": round(x1 / width, 6), "top": round(y1 / height, 6),
            "width": round((x2 - x1) / width, 6), "height": round((y2 - y1) / height, 6),
        },
    }  # fmt: skip


def quality_told(measured: Mapping[str, float]) -> Told:
    """``FaceQuality`` of what ``Quality.measured`` says, 0 to 1: sharpness and brightness on
    arcid's scale, pose and score reckoned from them as InsightFace Server does. 0 where nothing was
    measured."""
    sharpness, brightness = (_share(measured.get(name, 0)) for name in ("sharpness", "brightness"))
    turned = [abs(measured[name]) for name in _ANGLES if name in measured]
    pose = _share(1 - sum(turned) / 135) if turned else 0.0
    score = _share(0.4 * sharpness + 0.35 * brightness + 0.25 * pose)
    return {"score": score, "sharpness": sharpness, "brightness": brightness, "pose": pose}


def face_told(face: StoredFace, person_id: str) -> Told:
    """``FaceSample``."""
    given = face.provenance.get("given") == "vector"
    return {
        "id": face.id,
        "person_id": person_id,
        "bounding_box": face.provenance.get(PLACE),
        "landmarks": None,  # not kept
        "detection_score": face.score,
        "quality": quality_told(face.quality),
        **model_told(face.provenance.get("model", ""), face.contract_id),
        "embedding_source": "external_trusted" if given else "server",
        "has_crop": face.has_crop,
        "created_at": instant(face.created_at),
    }


def _component(task: str, name: str, manifest: Manifest | None) -> Told:
    version = manifest.sha256[:12] if manifest else ""
    return {
        "task": task,
        "model_id": name,
        "model_version": version,
        "sha256": manifest.sha256 if manifest else "",
        "file": manifest.file if manifest else None,
    }


def _share(value: float) -> float:
    return round(min(max(float(value), 0.0), 1.0), 6)
