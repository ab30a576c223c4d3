"""What every route needs of whoever asks: the one place. A route that is not named here does not
start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from arcid.apps.access import Doors
from arcid.apps.watchlists import Alerts, Watchlists
from arcid.cameras.book import Camera
from arcid.errors import CollectionNotFound, InputError, NotFound
from arcid.gallery import Gallery
from arcid.gallery.store.collections import find as find_collection
from arcid.protection import VERBS, Verb
from arcid.server.errors import HttpError

Reach = Literal["collection", "owner", "each", "none", "all"]


class Need(NamedTuple):
    """``reach``: the collection of the path; that which owns what the path names; each, so that a
    key limited to some is shown what is in them; none, so that every key of the verb will do; or
    all, so that a limited key is refused. ``also``: a second verb that the key must have."""

    verb: Verb
    reach: Reach
    also: Verb | None = None

    def to_dict(self) -> dict[str, str]:
        """As the OpenAPI description says it."""
        return {part: value for part, value in self._asdict().items() if value is not None}


_TABLE: dict[Reach, dict[Verb, str]] = {
    "collection": {
        "read": "get_collection list_contracts list_people get_person list_faces get_face get_crop "
        "list_events explain_event list_present day_sheet month_sheet export_attendance "
        "list_reviews get_review review_face get_policy list_consents list_onboarding "
        "onboarding_key get_onboarding onboarding_picture onboarding_evidence list_door_groups "
        "list_door_schedules",
        "search": "search_photo search_embedding search_person verify_person authenticate_person "
        "search_photos search_embeddings verify_embedding",
        "enrol": "add_person put_person change_person merge_people split_person enrol add_faces "
        "move_face enrol_embeddings add_embeddings enrol_each "
        "record_consent "
        "start_onboarding",
        "decide": "add_event correct_event not_this_person answer_review undo_review "
        "answer_onboarding undo_onboarding unlock_person",
        "delete": "delete_collection delete_person delete_face withdraw_consent forget_onboarding",
        "doors": "forgive_person",
        "admin": "change_collection change_policy export_person add_door_group delete_door_group "
        "join_door_group leave_door_group add_door_schedule delete_door_schedule",
    },
    "owner": {
        "read": "get_camera get_door list_passages list_door_rules get_watchlist watchlist_budget "
        "watchlist_people get_alert alert_face",
        "enrol": "put_on_watchlist take_off_watchlist",
        "decide": "answer_alert undo_alert",
        "delete": "delete_watchlist",
        "doors": "open_door lock_door_down lift_door tell_contact tell_duress tell_exit "
        "acknowledge_alarm",
        "admin": "change_watchlist expire_watchlist",
    },
    "each": {
        "read": "list_collections list_cameras list_doors list_watchlists list_alerts",
    },
    "none": {
        # the routes of jobs ask for more themselves, by the kind and the collection of the job
        "read": "system models metrics list_jobs get_job job_report stop_job resume_job cancel_job",
        "enrol": "upload_for_job delete_upload check_import begin_import",
        "delete": "begin_deletion",
        "admin": "begin_reembedding",
        "search": "begin_duplicates detect compare compare_faces liveness",
        "vectors": "embeddings",
    },
    "all": {
        # a comparison may be of two collections, what admins set up reaches others
        "read": "list_runs get_run list_pairs get_pair list_pair_answers list_groups export_pairs "
        "list_door_holidays list_installed_models list_calibrations",
        "search": "begin_run stop_run resume_run",
        "decide": "answer_pair undo_pair_answer",
        "delete": "delete_run",
        "doors": "lock_all_down lift_all",
        "admin": "create_collection add_camera try_source change_camera delete_camera try_camera "
        "list_audit verify_audit get_retention list_receipts get_receipt list_disclosures "
        "add_door change_door delete_door add_door_holiday delete_door_holiday add_door_rule "
        "delete_door_rule create_watchlist list_webhooks add_webhook get_webhook change_webhook "
        "delete_webhook rotate_webhook test_webhook list_deliveries list_keys add_key "
        "rotate_key revoke_key list_backups make_backup choose_model pull_model use_calibration "
        "delete_calibration",
    },
}
#: Without a key: what holds nobody's data, and what asks for the token of a link.
OPEN = frozenset({
    "health", "page", "script", "applicant_session", "applicant_consent", "applicant_withdraw",
    "applicant_document", "applicant_selfie", "applicant_live", "compreface_config",
    "insightface_health",
})  # fmt: skip
#: Whoever enrols numbers says that they are somebody's face, and nobody can look.
ALSO: dict[str, Verb] = {"enrol_embeddings": "vectors", "add_embeddings": "vectors"}
#: Routes of ``server/compat``, where they are switched on. CompreFace's protocol names no
#: collection: the key does, by the one that it is limited to. Rekognition's operations share a
#: route, which asks for what each needs.
_ADAPTERS: dict[Reach, dict[Verb, str]] = {
    "collection": {
        "read": "rekognition_DescribeCollection rekognition_ListFaces rekognition_ListUsers "
        "insightface_get_collection insightface_list_persons insightface_get_person "
        "insightface_list_faces insightface_face_image",
        "search": "rekognition_SearchFaces rekognition_SearchFacesByImage rekognition_SearchUsers "
        "rekognition_SearchUsersByImage insightface_search",
        "enrol": "rekognition_IndexFaces rekognition_CreateUser rekognition_AssociateFaces "
        "rekognition_DisassociateFaces "
        "insightface_create_person insightface_change_person insightface_add_faces",
        "delete": "rekognition_DeleteCollection rekognition_DeleteFaces rekognition_DeleteUser "
        "insightface_delete_collection insightface_delete_person insightface_delete_face",
        "admin": "insightface_change_collection",
    },
    "all": {
        "read": "rekognition_ListCollections insightface_list_collections",
        "admin": "rekognition_CreateCollection insightface_create_collection",
    },
    "none": {
        "read": "compreface_subjects compreface_faces compreface_image insightface_models "
        "insightface_system",
        "vectors": "insightface_embeddings",
        "search": "rekognition_CompareFaces rekognition_DetectFaces "
        "insightface_detect insightface_compare "
        "compreface_recognize compreface_verify_face compreface_recognize_vectors "
        "compreface_verify_face_vectors compreface_detect compreface_verify "
        "compreface_verify_vectors",
        "enrol": "compreface_add_subject compreface_rename_subject compreface_add_face",
        "delete": "compreface_delete_subject compreface_delete_subjects compreface_delete_faces "
        "compreface_delete_face compreface_delete_listed",
    },
}


def _needs(table: dict[Reach, dict[Verb, str]]) -> dict[str, Need]:
    return {
        name: Need(verb, reach, ALSO.get(name))
        for reach, by_verb in table.items()
        for verb, names in by_verb.items()
        for name in names.split()
    }


NEEDS, ADAPTERS = _needs(_TABLE), _needs(_ADAPTERS)


@dataclass(frozen=True, slots=True)
class Credential:
    """Who asks, and what they may."""

    actor: str  # as the audit names them
    verbs: frozenset[Verb]
    collections: frozenset[str] | None = None  # ids; None: all


ANYBODY = Credential("anybody", frozenset())
LOCAL = Credential("local", frozenset(VERBS))


def need_of(route: str) -> Need | None:
    """What a route needs, by its name; None: nothing. Raises ``KeyError``: it is not named here."""
    return None if route in OPEN else NEEDS.get(route) or ADAPTERS[route]


async def check(need: Need, request: Request) -> None:
    """Before anything of the body is read. Raises ``HttpError`` 403."""
    credential: Credential = request.scope["state"]["credential"]
    _check_verb(credential, need)
    if credential.collections is None or need.reach in ("none", "each"):
        return
    if need.reach == "all":
        raise lacking(
            "this route reaches over all collections, and this API key is limited to some", need
        )
    services, named = request.app.state.services, request.path_params
    if need.reach == "collection":
        gallery, collection = services.gallery, named["collection"]
        await run_in_threadpool(require, credential, need, gallery, collection)
    elif await run_in_threadpool(_owner, services, named) not in credential.collections:
        raise _elsewhere(need)


def require(credential: Credential, need: Need, gallery: Gallery, collection: str) -> None:
    """The same for a collection that the path does not name. Raises ``HttpError`` 403."""
    _check_verb(credential, need)
    limits = credential.collections
    if limits is not None and _uid(gallery, collection) not in limits:
        raise _elsewhere(need)


def _check_verb(credential: Credential, need: Need) -> None:
    for verb in (need.verb, need.also):
        if verb is not None and verb not in credential.verbs:
            raise lacking(
                f"this API key may not do what this route needs: {verb}", need._replace(verb=verb)
            )


def lacking(message: str, need: Need) -> HttpError:
    """403 for a key whose scope is too small."""
    return HttpError(403, "scope_missing", message, {"verb": need.verb, "reach": need.reach})


def _elsewhere(need: Need) -> HttpError:
    return lacking("this API key is limited to other collections", need)


def described() -> Iterator[tuple[str, Need]]:
    """Every route that needs something."""
    return iter(NEEDS.items())


def _owner(services: Any, named: Mapping[str, str]) -> str | None:
    """Of the collection that what a path names belongs to; None as ``_uid``."""
    gallery: Gallery = services.gallery
    try:
        if "camera_id" in named:
            camera: Camera = services.cameras.book.get(named["camera_id"])
            return camera.collection_id
        if "door_id" in named:
            return _uid(gallery, Doors(gallery).get(named["door_id"]).collection)
        if "alert_id" in named:
            return _uid(gallery, Alerts(gallery).get(named["alert_id"]).collection)
        return _uid(gallery, Watchlists(gallery).get(named["watchlist"]).collection)
    except (NotFound, InputError):
        return None


def _uid(gallery: Gallery, name: str) -> str | None:
    """None where there is none: whoever may not see it is not told whether it is there."""
    try:
        with gallery.database.read() as connection:
            return str(find_collection(connection, name)["uid"])
    except (CollectionNotFound, InputError):
        return None
