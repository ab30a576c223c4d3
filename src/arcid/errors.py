"""Everything arcid raises on purpose.

    ArcidError
    ├── UsageError               the call itself is wrong (unknown option value, unknown name)
    │   ├── ConfigError          a setting or environment variable has no meaning
    │   └── MissingExtra         an optional package is needed for this
    ├── InputError               what was handed in cannot be used; nothing was changed
    │   ├── ImageError
    │   │   ├── ImageUnreadable  not an image, damaged, cut short, or an unsupported kind
    │   │   ├── ImageTooLarge    more bytes, pixels or side length than the limits allow
    │   │   ├── ImageTooSmall    no face could be in it
    │   │   └── ImageNotFetched  the address that was given for it does not give it
    │   ├── NoFaceFound
    │   ├── SeveralFacesFound    one face was asked for, several may be meant
    │   ├── LandmarksRequired    boxes without points cannot be aligned
    │   ├── CursorInvalid        a page is asked for after what is no cursor of that list
    │   ├── NothingEnrolled      not one image of several could be enrolled
    │   ├── IdempotencyKeyReused  a key of one request came with another
    │   ├── ConsentMissing       the collection demands consent, and none of the person's stands
    │   ├── QualityRejected      a face was found but should not be used; carries the reasons
    │   ├── SamePhotoConflict    two faces of one photo cannot be one person
    │   ├── SourceUnreadable     a video file, photo folder or stream cannot be watched
    │   ├── MrzInvalid           a machine-readable zone of other length, characters or check digits
    │   ├── EvidenceInvalid      an evidence file is not what was signed
    │   ├── ArchiveRefused       a zip file that is damaged, or was not made to carry photos
    │   ├── UploadTooLarge       an archive has more bytes than are taken
    │   ├── DatasetInvalid       a list, folder or archive to measure on breaks its layout
    │   └── InvalidArray         shape, type or values (NaN, zero vector) are wrong
    ├── ModelError
    │   ├── ModelNotFound
    │   ├── ModelHashMismatch
    │   ├── ModelUnverified      it claims to stand for another model, and nobody vouched for it
    │   ├── ManifestInvalid      manifest.json, or model and manifest disagree
    │   ├── ModelUnsupported     the file is fine but no runtime here can run it as asked
    │   ├── LicenceNotAccepted
    │   ├── DownloadFailed
    │   ├── CheckpointInvalid    a training checkpoint is missing, incomplete or damaged
    │   ├── CheckpointMismatch   it is whole but belongs to another network, config or world size
    │   ├── ExportRefused        a file computes something else than the network it was made from
    │   └── TrainingDiverged     a run's loss or gradient is no number any more; it was stopped
    ├── ContractMismatch         vectors of two models met
    ├── CalibrationError
    │   ├── CalibrationMissing
    │   ├── CalibrationInvalid
    │   └── RateUnsupported      the data behind the calibration cannot support the asked error rate
    ├── GalleryError
    │   ├── NotFound             CollectionNotFound, PersonNotFound, FaceNotFound, EventNotFound
    │   │   ├── CameraNotFound   no camera of the service has this id
    │   │   ├── DoorNotFound     no door has this id or name
    │   │   ├── KeyNotFound      no API key has this id or name
    │   │   ├── WebhookNotFound  no webhook has this id or name
    │   │   ├── JobNotFound
    │   │   ├── OnboardingNotFound  no session with this id or token
    │   │   ├── WatchlistNotFound
    │   │   └── AlertNotFound
    │   ├── AlreadyExists
    │   │   └── PossibleDuplicate  the face is enrolled as somebody else; may be accepted
    │   ├── SchemaTooNew         the database was written by a newer arcid
    │   ├── GalleryBusy          another process holds the database
    │   ├── GalleryUnavailable   its file is gone, or its server does not answer
    │   ├── GalleryReadOnly      its file, folder or server takes no writes
    │   ├── CameraWatched        another process watches this camera
    │   ├── ReviewAnswered       somebody answered otherwise; carries who and what
    │   ├── OnboardingClosed     a session that has expired, ended or lacks the step before
    │   ├── LockedOut            too many failed tries to authenticate as this person
    │   ├── AlertAnswered        somebody answered an alert otherwise; carries who and what
    │   ├── SecondPersonNeeded   an alert of a list that wants four eyes was confirmed by one
    │   ├── StorageFull          the disk is full; the last write was rolled back
    │   ├── IndexUnavailable     the vector database that carries the index does not answer
    │   ├── KeyUnavailable       a key that opens what is stored is not there, or is another
    │   └── GalleryDamaged       the database failed an integrity check or an I/O call
    │       └── SealBroken       sealed with another key, for another row, or changed since
    ├── WorkerLost               a process that shared the work was killed, or out of memory
    └── Overloaded               the bounded queue is full; try again after ``retry_after_s``

Each class carries a stable ``code`` (used in REST answers and ``--json`` output) and a
``details`` mapping that never holds pixels, vectors or keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


class ArcidError(Exception):
    """Base of everything arcid raises on purpose."""

    code: ClassVar[str] = "arcid_error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as it is, whatever it was made from: errors come back from worker processes."""
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[ArcidError], args: tuple[Any, ...], state: dict[str, Any]) -> ArcidError:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


def by_reason(codes: Iterable[str]) -> dict[str, int]:
    """How often each error code occurs, the commonest first."""
    return dict(Counter(codes).most_common())


def in_words(reasons: Mapping[str, int]) -> str:
    """Counted codes for people: 12 several faces found, 3 image unreadable."""
    return ", ".join(f"{count:,} {code.replace('_', ' ')}" for code, count in reasons.items())


class UsageError(ArcidError):
    """The call itself is wrong: an unknown name or an option value without meaning."""

    code = "usage_error"


class ConfigError(UsageError):
    """A setting or environment variable has no meaning."""

    code = "config_error"


class MissingExtra(UsageError):
    """An optional package is needed for this call."""

    code = "missing_extra"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed; run: pip install 'arcid[{extra}]'",
            extra=extra,
        )


class InputError(ArcidError):
    """What was handed in cannot be used; nothing was changed."""

    code = "bad_input"


class ImageError(InputError):
    """The picture cannot be used."""

    code = "image_error"


class ImageUnreadable(ImageError):
    """Not an image, damaged, cut short, or of a kind arcid does not read."""

    code = "image_unreadable"


class ImageTooLarge(ImageError):
    """More bytes, pixels or side length than the limits allow."""

    code = "image_too_large"


class ImageTooSmall(ImageError):
    """So small that no face could be in it."""

    code = "image_too_small"


class ImageNotFetched(ImageError):
    """The address that was given for an image does not give it."""

    code = "image_not_fetched"


class NoFaceFound(InputError):
    """No face where at least one is needed."""

    code = "no_face_found"


class SeveralFacesFound(InputError):
    """Several faces might be meant where one is needed; ``details['faces']`` says how many."""

    code = "several_faces_found"
    choose: ClassVar[str] = "select=largest or select=center"  # the command line has other words

    @classmethod
    def of(cls, faces: int) -> SeveralFacesFound:
        """Of so many faces none is the one by itself."""
        return cls(
            f"{faces} faces may be the one meant; choose with {cls.choose}, or crop the photo",
            faces=faces,
        )


class LandmarksRequired(InputError):
    """Boxes without the five points cannot be aligned."""

    code = "landmarks_required"


class QualityRejected(InputError):
    """A face was found but should not be used; ``details['reasons']`` says why."""

    code = "quality_rejected"


class CursorInvalid(InputError):
    """A page was asked for after something that is no cursor of that list."""

    code = "cursor_invalid"


class NothingEnrolled(InputError):
    """Not one image of a request could be enrolled; ``details['results']`` says why, each."""

    code = "nothing_enrolled"


class IdempotencyKeyReused(InputError):
    """A key that was used for one request came with another."""

    code = "idempotency_key_reused"


class ConsentMissing(InputError):
    """The collection demands consent, and none of the person's stands; nothing was stored."""

    code = "consent_missing"


class SamePhotoConflict(InputError):
    """Two faces of one photo cannot be one person."""

    code = "same_photo_conflict"


class SourceUnreadable(InputError):
    """A video file, folder or stream that frames were wanted from cannot be read."""

    code = "source_unreadable"


class MrzInvalid(InputError):
    """A machine-readable zone has another length, other characters or other check digits."""

    code = "mrz_invalid"


class ArchiveRefused(InputError):
    """A zip file that is damaged, too large, or could lead out of itself; nothing was read."""

    code = "archive_refused"


class UploadTooLarge(InputError):
    """An archive has more bytes than the service takes."""

    code = "upload_too_large"


class DatasetInvalid(InputError):
    """A pair list, folder or archive to measure on breaks its layout; names file and line."""

    code = "dataset_invalid"


class InvalidArray(InputError):
    """An array has the wrong shape, type or values."""

    code = "invalid_array"


class ModelError(ArcidError):
    """A model file, its manifest or its runtime is the problem."""

    code = "model_error"


class ModelNotFound(ModelError):
    """No bundle or file of that name in any of the places searched."""

    code = "model_not_found"


class ModelHashMismatch(ModelError):
    """The file's sha256 is not the one its manifest or the catalogue states."""

    code = "model_hash_mismatch"


class ModelUnverified(ModelError):
    """A bundle claims that its vectors are another model's, and nobody vouched for it."""

    code = "model_unverified"


class ManifestInvalid(ModelError):
    """The manifest is wrong, or manifest and model file disagree."""

    code = "manifest_invalid"


class ModelUnsupported(ModelError):
    """The file is fine but no runtime here can run it as asked."""

    code = "model_unsupported"


class LicenceNotAccepted(ModelError):
    """A download was asked for without accepting the licence of the weights."""

    code = "licence_not_accepted"


class DownloadFailed(ModelError):
    """A download did not arrive whole; the partial file is kept and resumes next time."""

    code = "download_failed"


class CheckpointInvalid(ModelError):
    """A training checkpoint is missing, incomplete or damaged; an older one may serve."""

    code = "checkpoint_invalid"


class CheckpointMismatch(ModelError):
    """A training checkpoint is whole but belongs to another network, config or world size."""

    code = "checkpoint_mismatch"


class ExportRefused(ModelError):
    """An exported file computes something else than the network it was made from; not written."""

    code = "export_refused"


class TrainingDiverged(ModelError):
    """A run's loss or gradient is no number any more; the last checkpoint is whole."""

    code = "training_diverged"


class ContractMismatch(ArcidError):
    """Vectors made by two different models met; their cosine would mean nothing."""

    code = "contract_mismatch"


class CalibrationError(ArcidError):
    """A decision cannot be backed by a measured error rate."""

    code = "calibration_error"


class CalibrationMissing(CalibrationError):
    """The model has no calibration, so no threshold is known for it."""

    code = "calibration_missing"


class CalibrationInvalid(CalibrationError):
    """calibration.json does not follow its schema or contradicts itself."""

    code = "calibration_invalid"


class RateUnsupported(CalibrationError):
    """The data behind the calibration cannot support the error rate asked for."""

    code = "rate_unsupported"


class GalleryError(ArcidError):
    """The gallery refused; its content is as it was before the call."""

    code = "gallery_error"


class NotFound(GalleryError):
    """No such row."""

    code = "not_found"


class CollectionNotFound(NotFound):
    """No collection of that name (it may have been deleted)."""

    code = "collection_not_found"


class PersonNotFound(NotFound):
    """No person with that id or name in the collection."""

    code = "person_not_found"


class FaceNotFound(NotFound):
    """No face with that id in the collection."""

    code = "face_not_found"


class EventNotFound(NotFound):
    """No attendance event with that id in the collection."""

    code = "event_not_found"


class CameraNotFound(NotFound):
    """No camera with this id."""

    code = "camera_not_found"


class OnboardingNotFound(NotFound):
    """No onboarding session with this id or token; it may have been forgotten."""

    code = "onboarding_not_found"


class OnboardingClosed(GalleryError):
    """An onboarding session takes no such step: it has expired or ended, or another comes first.

    ``details['state']`` says where it stands.
    """

    code = "onboarding_closed"


class EvidenceInvalid(InputError):
    """An evidence file is not what was signed, or was signed by another key."""

    code = "evidence_invalid"


class WatchlistNotFound(NotFound):
    """No watchlist with that id or name."""

    code = "watchlist_not_found"


class AlertNotFound(NotFound):
    """No alert with that id."""

    code = "alert_not_found"


class DoorNotFound(NotFound):
    """No door with this id or name."""

    code = "door_not_found"


class AlreadyExists(GalleryError):
    """A collection or person of that name is there already."""

    code = "already_exists"


class PossibleDuplicate(AlreadyExists):
    """A face to be enrolled is somebody else's already; ``details`` say whose.

    ``person_id`` and ``face_id`` of the other, ``cosine`` (None: it is the same face of the same
    photo). Nothing was stored; accepting it is the caller's choice.
    """

    code = "possible_duplicate"
    allow: ClassVar[str] = "allow_duplicate=true"  # the command line has other words

    def __init__(self, message: str, *, unnamed: str | None = None, **details: Any) -> None:
        """``unnamed``: the message for what is kept, with the other's id in place of the name."""
        super().__init__(message, **details)
        self.unnamed = message if unnamed is None else unnamed

    @classmethod
    def of(cls, message: str, name: str, **details: Any) -> PossibleDuplicate:
        """``message``: with {whose} where it says whose the face is."""
        named, unnamed = (message.format(whose=who) for who in (repr(name), details["person_id"]))
        return cls(named, unnamed=unnamed, **details)


class SchemaTooNew(GalleryError):
    """The database was written by a newer arcid; this one will not touch it."""

    code = "schema_too_new"


class JobNotFound(NotFound):
    """No job of this id."""

    code = "job_not_found"


class WebhookNotFound(NotFound):
    """No webhook has this id or name."""

    code = "webhook_not_found"


class KeyNotFound(NotFound):
    """No API key of this id or name."""

    code = "key_not_found"


class GalleryBusy(GalleryError):
    """Another process holds the database; nothing was written, try again."""

    code = "gallery_busy"


class GalleryUnavailable(GalleryError):
    """The database is away: its file is gone or cannot be opened, or its server does not answer.

    What was stored stays stored. ``details['stored']`` is False where the call stored nothing, and
    None where the server went away while it committed: then nobody knows until it is back.
    """

    code = "gallery_unavailable"


class GalleryReadOnly(GalleryError):
    """The file, its folder, or the database server takes no writes; nothing was changed."""

    code = "gallery_read_only"


class CameraWatched(GalleryError):
    """Another process watches this camera; ``details`` say which and until when its lease runs."""

    code = "camera_watched"


class ReviewAnswered(GalleryError):
    """Somebody answered this review otherwise; ``details`` say who and what."""

    code = "review_answered"


class AlertAnswered(GalleryError):
    """Somebody answered this alert otherwise; ``details`` say who and what."""

    code = "alert_answered"


class SecondPersonNeeded(GalleryError):
    """Whoever confirmed an alert of a list that wants four eyes cannot be the second, too."""

    code = "second_person_needed"


class StorageFull(GalleryError):
    """The disk is full; the last write was rolled back."""

    code = "storage_full"


class GalleryDamaged(GalleryError):
    """The database failed an integrity check or an I/O call."""

    code = "gallery_damaged"


class KeyUnavailable(GalleryError):
    """A key that opens what is stored is not there, or is another; nothing was changed."""

    code = "key_unavailable"


class IndexUnavailable(GalleryError):
    """The vector database that carries the index does not answer; the gallery itself is whole."""

    code = "index_unavailable"


class SealBroken(GalleryDamaged):
    """Sealed with another key, for another row, or changed since."""

    code = "seal_broken"


class LockedOut(GalleryError):
    """Too many failed tries to authenticate as a person; wait ``details['retry_after_s']``."""

    code = "locked_out"


class WorkerLost(ArcidError):
    """A process that shared the work was killed, or ran out of memory; try again."""

    code = "worker_lost"


class Overloaded(ArcidError):
    """The bounded queue is full; try again after ``details['retry_after_s']`` seconds."""

    code = "overloaded"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s


__all__ = [
    "AlertAnswered",
    "AlertNotFound",
    "AlreadyExists",
    "ArchiveRefused",
    "ArcidError",
    "CalibrationError",
    "CalibrationInvalid",
    "CalibrationMissing",
    "CameraNotFound",
    "CameraWatched",
    "CheckpointInvalid",
    "CheckpointMismatch",
    "CollectionNotFound",
    "ConfigError",
    "ConsentMissing",
    "ContractMismatch",
    "CursorInvalid",
    "DatasetInvalid",
    "DoorNotFound",
    "DownloadFailed",
    "EventNotFound",
    "EvidenceInvalid",
    "ExportRefused",
    "FaceNotFound",
    "GalleryBusy",
    "GalleryDamaged",
    "GalleryError",
    "GalleryReadOnly",
    "GalleryUnavailable",
    "IdempotencyKeyReused",
    "ImageError",
    "ImageNotFetched",
    "ImageTooLarge",
    "ImageTooSmall",
    "ImageUnreadable",
    "IndexUnavailable",
    "InputError",
    "InvalidArray",
    "JobNotFound",
    "KeyNotFound",
    "KeyUnavailable",
    "LandmarksRequired",
    "LicenceNotAccepted",
    "LockedOut",
    "ManifestInvalid",
    "MissingExtra",
    "ModelError",
    "ModelHashMismatch",
    "ModelNotFound",
    "ModelUnsupported",
    "ModelUnverified",
    "MrzInvalid",
    "NoFaceFound",
    "NotFound",
    "NothingEnrolled",
    "OnboardingClosed",
    "OnboardingNotFound",
    "Overloaded",
    "PersonNotFound",
    "PossibleDuplicate",
    "QualityRejected",
    "RateUnsupported",
    "ReviewAnswered",
    "SamePhotoConflict",
    "SchemaTooNew",
    "SealBroken",
    "SecondPersonNeeded",
    "SeveralFacesFound",
    "SourceUnreadable",
    "StorageFull",
    "TrainingDiverged",
    "UploadTooLarge",
    "UsageError",
    "WatchlistNotFound",
    "WebhookNotFound",
    "WorkerLost",
]
