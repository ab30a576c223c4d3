"""Every word the console shows, in one place; ``{…}`` is filled in by ``str.format``."""

from __future__ import annotations

from datetime import datetime

from arcid.apps.attendance import clocks

PRODUCT = "arcid"

# the door
SIGN_IN = "Sign in"
SIGN_IN_TEXT = "Face identity on your own machine."
SIGN_IN_WRONG = "Name or password is wrong."
SIGN_IN_AS_OTHER = "Sign in as somebody else"
SIGN_OUT = "Sign out"
ON_THE_WAY = "The page opens in a moment."
GO_ON = "Go on"
SIGNED_OUT = "Your session has ended. Sign in again."
SET_UP = "Set up arcid"
SET_UP_TEXT = "Make the first account. It may do everything; you can add others later."
SET_UP_BUTTON = "Create account"
SET_UP_DONE = "The first account exists already. Sign in."
SET_UP_CODE = "Set-up code"
SET_UP_CODE_HINT = (
    "arcid serve printed it, and a link that fills it in, when it started. An API key of the "
    "service will do, too."
)
SET_UP_CODE_WRONG = (
    "This is not the set-up code that arcid serve printed when it started last, nor an API key "
    "of the service."
)
SET_UP_LOST = (
    "This service was set up before, but its database has no accounts: it was exchanged, or they "
    "were deleted. To make an account, run this on its machine: arcid accounts add NAME"
)
ACCOUNT_NAME = "Name"
PASSWORD = "Password"  # noqa: S105
PASSWORD_REPEAT = "Password again"  # noqa: S105
PASSWORD_HINT = "At least {low} characters. A few words are easy to remember."  # noqa: S105
PASSWORD_LENGTH = "A password has {low} to {high} characters."  # noqa: S105
PASSWORD_WEAK = "This password is too easy to guess. Choose another."  # noqa: S105
PASSWORDS_DIFFER = "The two passwords differ."
TOO_MANY_ATTEMPTS = "Too many attempts. Try again in {wait}."
SIGN_IN_BUSY = "Many people are signing in. Try again in a moment."
ACCOUNT_NAME_WRONG = "A name has 1 to {high} printable characters."
ACCOUNT_NAME_TAKEN = "There is an account of that name already."
ACCOUNT_GONE = "This account does not exist any more."
ACCOUNT_UNKNOWN = "There is no account of the name {name!r}; arcid accounts list shows all."
LAST_ADMIN = "One admin who can sign in has to remain."
NOT_ALLOWED = "Your role does not allow this."
NOT_ALLOWED_TITLE = "Not for this role"
NOT_ALLOWED_TEXT = "{name} is signed in as {role}, who may not open this page."
BACK = "Back"
ROLE_NAMES = {"admin": "Admin", "operator": "Operator", "viewer": "Viewer", "kiosk": "Kiosk"}
ROLE_TEXTS = {
    "admin": "Everything: cameras, accounts, deleting people.",
    "operator": "Enrols and corrects, searches, exports.",
    "viewer": "Looks at attendance and people, changes nothing.",
    "kiosk": "Shows the greeting screen, nothing else.",
}

# the frame
SKIP = "Skip to content"
NAV_LABEL = "Main"
NAV_SHORT_LABEL = "Quick"
NAV_DAY = "Today"
NAV_LIVE = "Live"
NAV_ATTENDANCE = "Attendance"
NAV_UNKNOWNS = "Unknowns"
NAV_REVIEW = "Review"
NAV_REVIEW_COUNT = "{n} waiting"
NAV_CAMERAS = "Cameras"
NAV_KIOSK = "Kiosk"
NAV_FACES = "Faces"
NAV_SERVICE = "Service"
NAV_PEOPLE = "People"
NAV_COLLECTIONS = "Collections"
NAV_SEARCH = "Search"
NAV_COMPARE = "Compare"
NAV_MODELS = "Models"
NAV_SYSTEM = "System"
NAV_ACCOUNTS = "Accounts"
NAV_MORE = "More"
THEME = "Light or dark"

# everywhere
CANCEL = "Cancel"
CLOSE = "Close"
SAVE = "Save"
FAILED = "That did not work. The service's log says more."
TYPE_TO_CONFIRM = "Type “{word}” to go on."
TYPED = "Confirmation"
DROP_HINT = "Drop, paste or choose. JPEG, PNG, WebP and others."
DROP_HINT_SHORT = "Drop or choose. JPEG, PNG, WebP and others."
DROP_BUSY = "Reading…"
DROP_FAILED = "the picture did not arrive"
DROP_TOO_LARGE = "larger than {mib} MiB"
TOO_MANY_PHOTOS = "Too many pictures are waiting. Try again in a moment."
PHOTO_GONE = "This picture is not here any more. Choose it again."
CLOCK_SHAPE = "HH:MM"
MISSING = "There is no such page"
MISSING_TEXT = "The address may be mistyped, or what it showed is gone."
NEVER = "never"
UNKNOWN_VALUE = "not known"

# collections
COLLECTION = "Collection"
NO_COLLECTION = "No people yet"
NO_COLLECTION_TEXT = "People are kept in collections that are searched as one. Make the first."
NO_COLLECTION_VIEWER = "An operator makes the first collection."
COLLECTION_NAME = "Name of the collection"
COLLECTION_FIRST = "people"
COLLECTION_KEEP = "Keep small aligned face pictures"
COLLECTION_KEEP_TEXT = (
    "Shows faces here and lets a future model take over without new photos. Without it only "
    "numbers are stored."
)
COLLECTION_MAKE = "Create collection"
COLLECTIONS_LEAD = "People of one collection are searched together."
COLLECTION_PICTURES = "keeps face pictures"
COLLECTION_NUMBERS = "keeps numbers only"
COLLECTION_RENAME = "Rename {name}"
COLLECTION_RENAME_TEXT = (
    "Cameras and kiosks follow. Programs that use the old name in the REST API do not."
)
COLLECTION_RENAMED = "It is called {name} now."
COLLECTION_DELETE = "Delete"
COLLECTION_DELETE_TITLE = "Delete the collection {name}?"
COLLECTION_DELETE_TEXT = (
    "{total}, and everything they were seen doing, are erased for good. Its cameras stop looking."
)
COLLECTION_DELETED = "The collection {name} is deleted."

# people
PEOPLE = "People"
PEOPLE_LEAD = "Everybody this service can recognise."
PEOPLE_SEARCH = "Find by name"
PEOPLE_ADD = "Add person"
PEOPLE_NONE = "Nobody here yet"
PEOPLE_NONE_TEXT = "Add somebody with one or more photos."
PEOPLE_NOT_FOUND = "Nobody of that name"
PEOPLE_NOT_FOUND_TEXT = "Try a part of the name."
PEOPLE_MORE = "Show more"
PEOPLE_DUPLICATES = "Find duplicates"
PEOPLE_COUNT = "{people} · {faces}"
ONE_PERSON, MANY_PEOPLE = "1 person", "{n} people"
ONE_FACE, MANY_FACES = "1 face", "{n} faces"

# adding
ADD_PERSON = "Add person"
ADD_LEAD = "Two or three photos from different days work best."
ADD_PHOTOS = "Add photos"
ADD_NAME = "Full name"
ADD_NAME_MISSING = "Write a name first."
ADD_FACES_MISSING = "Add at least one usable photo."
ADD_BUTTON = "Enrol"
ADD_DONE = "{name} is enrolled with {faces}."
ADD_OK = "Good photo"
ADD_POOR = "Not used"
ADD_USE_ANYWAY = "Use anyway"
ADD_REMOVE = "Remove"
ADD_ALIKE = "Looks like {name} ({probability} likely the same person)."
TWICE_TITLE = "This may be {name}, who is enrolled already"
TWICE_TEXT = (
    "A search would take this face for {name} ({probability} likely the same person). Enrol it "
    "only if they are two people; otherwise cancel, and add the photos on the page of {name}."
)
TWICE_SAME_PHOTO = (
    "This face of this photo is enrolled as {name}. Enrol it only if they are two people; "
    "otherwise cancel, and add the photos on the page of {name}."
)
TWICE_NEW = "The face to be enrolled"
TWICE_GO = "Enrol anyway"
FACE_FROM = "Face found in {file}"
FACES_SEVERAL = "{faces} faces may be the one meant; crop the photo until one is left."

# one person
PERSON_RENAME = "Rename"
PERSON_NEW_NAME = "New name"
PERSON_DELETE = "Delete for good"
PERSON_DELETE_TITLE = "Delete {name} for good?"
PERSON_DELETE_TEXT = (
    "All faces and numbers of this person are erased from the database and its log. "
    "This cannot be undone."
)
PERSON_DELETED = "{name} is deleted."
PERSON_FACES = "Faces"
PERSON_NO_FACES = "No face is enrolled. Add a photo."
PERSON_SINCE = "Since {day} · {faces}"
PERSON_ALIKE = "Who looks alike"
PERSON_ALIKE_NONE = "Nobody here looks alike."
FACE_DELETE = "Delete this face"
FACE_DELETE_TITLE = "Delete this face?"
FACE_DELETE_TEXT = "The picture and its numbers are erased."
FACE_DELETED = "The face is deleted."
FACE_OF = "Enrolled face of {name}"
FACE_ADDED = "Added to {name}."
FACE_EYES = "Eyes apart"
FACE_PIXELS = "{n:.0f} px"

# duplicates
DUPLICATES = "Duplicates"
DUPLICATES_LEAD = "Pairs of people whose faces are so alike that they may be one."
DUPLICATES_NONE = "No duplicates"
DUPLICATES_NONE_TEXT = "Nobody in {collection} looks like somebody else there."
DUPLICATES_LIMIT = "Only the first {n} people were compared."
DUPLICATES_CONFLICT = "One photo shows both, so they are two people."
MERGE = "Merge"
MERGE_INTO = "Merge into {name}"
MERGE_TITLE = "Merge {other} into {keep}?"
MERGE_TEXT = "All faces of {other} become faces of {keep}. The name {other} is gone."
MERGED = "Merged into {name}."
LIKELY = "{probability} likely one person"

# search
SEARCH = "Search"
SEARCH_LEAD = "Who is in this picture?"
SEARCH_DROP = "Picture to search with"
SEARCH_NO_FACE = "No face was found in this picture."
SEARCH_RATE = "False alarms allowed"
SEARCH_RATE_OPTION = "1 in {n:,.0f} searches"
SEARCH_EMPTY = "No face is enrolled in {collection}, so nobody can be recognised."
SEARCH_PHOTO = "The picture that was searched with"
SEARCH_BOXES = "Faces in the picture"
SEARCH_BOX = "Face {n}: {words}"
SEARCH_ANSWERS = "Answers"
SEARCH_SUMMARY = "{faces}, {known} recognised"
SEARCH_ZOOM = "Enlarge"
SEARCH_MATCH = "This is {name}."
SEARCH_REVIEW = "Perhaps {name}: please decide."
SEARCH_NO_MATCH = "Not recognised."
SEARCH_NEAREST = "Nearest: {name}"
SEARCH_NEAREST_HERE = "Nearest: {name}, who is face {n} here"
SEARCH_GIVEN = "given to face {n}"
SEARCH_CANDIDATES = "Candidates"
PROBE = "Face in the picture"
ENROLLED = "Enrolled face of {name}"

# compare
COMPARE = "Compare"
COMPARE_LEAD = "Do two pictures show one person?"
COMPARE_FIRST = "First picture"
COMPARE_SECOND = "Second picture"
COMPARE_RATE = "False matches allowed"
COMPARE_RATE_OPTION = "1 in {n:,.0f} comparisons"
COMPARE_MATCH = "The same person"
COMPARE_NO_MATCH = "Two different people"
COMPARE_REVIEW = "Not certain"
COMPARE_FACE = "Aligned face of the {which} picture"
COMPARE_WHICH = ("first", "second")

# an answer
SCORE = "Score"
SCORE_TEXT = "{cosine:.3f} (a match from {threshold:.3f})"
PROBABILITY = "Probability"
ERROR_RATE = "Judged at"
ERROR_RATE_FMR = "a false match rate of {rate}"
ERROR_RATE_FPIR = "a false alarm in {n:,.0f} searches of {templates}"
STRANGERS = "Strangers this alike"
STRANGERS_TEXT = "at most {rate}"
EXTRAPOLATED = "Beyond the measured data"
NO_CALIBRATION = "This model has no calibration, so its scores cannot be judged: arcid calibrate."
ONE_TEMPLATE, MANY_TEMPLATES = "1 face", "{n:,} faces"

# models
MODELS = "Models"
MODELS_LEAD = "What runs here, and what its scores mean."
MODEL_RECOGNITION = "Recogniser"
MODEL_DETECTION = "Detector"
MODEL_LICENCE = "Licence"
MODEL_RESEARCH_ONLY = "{name} · no commercial use"
MODEL_TRAINED_ON = "Trained on"
MODEL_UNVERIFIED = "unverified"
MODEL_VOUCHED = "Verified"
MODEL_ACCEPT = "To accept it"
MODEL_TRUST = {
    "packaged": "as it came with arcid",
    "catalogue": "the publisher's file, by its sha256",
    "accepted": "accepted on this machine",
    "unverified": "Nobody vouches for this model yet.",
    "changed": "This model was changed since it was accepted.",
}
MODEL_PRECISION = "Precision"
MODEL_RUNTIME = "Runs on"
MODEL_CONTRACT = "Contract"
MODEL_DIM = "Vector"
MODEL_DIM_TEXT = "{n} numbers"
MODEL_ACCURACY = "Stated accuracy"
MODEL_ACCURACY_NAMES = {
    "auc": "AUC",
    "genuine_pairs": "Pairs of one person",
    "impostor_pairs": "Pairs of two",
}
MODEL_TAR = "TAR at FMR {rate}"
MODEL_TAR_TEXT = "{value} ({low} to {high})"
CALIBRATION = "Calibration"
CALIBRATION_PROVISIONAL = "Provisional"
CALIBRATION_DATA = "Measured on"
CALIBRATION_PAIRS = "Pairs"
CALIBRATION_PAIRS_TEXT = "{genuine:,} of one person, {impostor:,} of two"
CALIBRATION_PEOPLE = "People"
CALIBRATION_PEOPLE_TEXT = "{people:,} in {photos:,} photos"
CALIBRATION_DAY = "Date"
CALIBRATION_SMALLEST = "Smallest rate supported"
CALIBRATION_TABLE = "At which score"
CALIBRATION_TABLE_HEAD = ("False match rate", "Score", "Missed matches (FNMR)")
CALIBRATION_BEYOND = "beyond the data"
CALIBRATION_COMBINED = "combined"
CALIBRATION_COMBINED_TEXT = "the packaged one: {dataset}, {people:,} people"
CALIBRATION_COMBINED_WITH = "Combined with"
CALIBRATION_MEASURED = "Smallest rate of these people alone"
CALIBRATION_MEASURED_NONE = "none"
CALIBRATION_CURVE = "Error rates by score"
CURVE_TEXT = (
    "How many comparisons of strangers reach a score, and how many of one person stay below it."
)
CURVE_X = "Score (cosine)"
CURVE_Y = "Share of comparisons"
CURVE_FMR = "strangers above (FMR)"
CURVE_FNMR = "missed below (FNMR)"
PROBABILITY_CURVE = "Probability by score"
PROBABILITY_CURVE_TEXT = "How likely two faces are one person, at even odds before looking."
CURVE_PROBABILITY = "one person"

# system
SYSTEM = "System"
SYSTEM_LEAD = "Health, speed, storage."
HEALTH = "Health"
HEALTHY = "Ready"
HEALTH_TROUBLE = "Needs attention"
UNANSWERED = "{message}. What to do: {advice}."
CALIBRATION_REPLACED = (
    "Another calibration was put in force since this service started. It decides by the one it "
    "started with until it is restarted."
)
VERSION = "Version"
UPTIME = "Running for"
PYTHON = "Python"
PLATFORM = "Platform"
PROCESSOR = "Processor"
THREADS = "Threads"
QUEUE = "Queue"
QUEUE_TEXT = "{waiting} of {size} pictures"
SPEED = "Speed"
SPEED_TEXT = "Mean times since the service started."
SPEED_NONE = "Nothing measured yet. Search or compare something."
STAGES = {
    "decode": "Read a picture",
    "detect": "Find and align faces",
    "embed": "Embed a batch",
    "search": "Search the gallery",
}
MILLISECONDS = "{ms:.1f} ms"
STAGE_COUNT = "{n:,}×"
STORAGE = "Storage"
DATABASE = "Database"
DATABASE_SIZE = "Size"
JOURNAL = "Journal"
SCHEMA = "Schema"
CHECK = "Check every row"
CHECK_OK = "The gallery is sound."
COLLECTIONS = "Collections"
COLLECTION_HEAD = ("Name", "People", "Faces", "Pictures kept")
YES, NO = "yes", "no"

# cameras
CAMERAS = "Cameras"
CAMERAS_LEAD = "What the service watches by itself."
CAMERA_ADD = "Add camera"
CAMERA_EDIT = "Change camera"
CAMERA_NONE = "No camera yet"
CAMERA_NONE_TEXT = "Add a network camera, a webcam of this machine, or a video file."
CAMERA_NAME = "Name"
CAMERA_SOURCE = "Source"
CAMERA_SOURCE_HINT = "rtsp://… or https://… of a stream, 0 for the first webcam, or a file's path."
CAMERA_PLACE = "Place (optional)"
CAMERA_PLACE_HINT = "Cameras of one place see the same comings and goings."
CAMERA_LIVENESS = "Liveness"
CAMERA_LIVENESS_NAMES = {"off": "Off", "flag": "Flag", "require": "Require"}
CAMERA_LIVENESS_TEXT = (
    "Flag records suspected pictures of faces beside arrivals, Require in their place."
)
CAMERA_ENABLED = "Switched on"
CAMERA_SOURCE_KEPT = (
    "User name, password and what follows a ? are kept and not shown. To change anything, type the "
    "whole address again."
)
CAMERA_SEALED_SHORT = "sealed with another key"
CAMERA_BAD_FRAME = "A frame was no picture and was left out."
CAMERA_SAVED = "{name} is saved."
CAMERA_DELETE = "Delete"
CAMERA_DELETE_TITLE = "Delete the camera {name}?"
CAMERA_COLLECTION_DELETED = "{name} (deleted)"
CAMERA_COLLECTION_GONE = "Its collection “{name}” was deleted. Choose another."
CAMERA_COLLECTION_MISSING = "Choose the collection of people this camera looks for."
CAMERA_DELETE_TEXT = "What it has seen stays in the attendance book."
CAMERA_DELETED = "{name} is deleted."
CAMERA_STATES = {
    "off": "Off",
    "starting": "Starting",
    "live": "Live",
    "trouble": "In trouble",
    "ended": "Ended",
}
CAMERA_RATE = "{n:.0f} frames/s"
CAMERA_SIZE = "{width} × {height}"
EDIT = "Change"

# live
LIVE = "Live"
LIVE_LEAD = "Who is there, as it happens."
LIVE_OWN = "This device's camera"
LIVE_OWN_NAME = "Browser of {name}"
LIVE_START = "Start camera"
LIVE_SHOW = "Show picture"
LIVE_STOP = "Stop"
LIVE_ENLARGE = "Enlarge: {name}"
LIVE_FACE = "Face of {who}"
LIVE_EVENTS = "What happened"
LIVE_EVENTS_NONE = "Nothing yet."
LIVE_UNKNOWN = "Unknown visitor"
LIVE_REVIEW = "Not certain"
LIVE_LOW_QUALITY = "Not usable"
LIVE_SPOOF = "Picture of a face?"
LIVE_NO_CAMERA = "No camera is switched on. Start this device's camera, or add one."
LIVE_CANVAS = "Camera picture: {name}"
LIVE_NOBODY = "nobody in the picture"
CAMERA_REFUSED = "The camera was not allowed. Allow it in the browser's settings for this page."
CAMERA_MISSING = "This device has no camera that can be used."
CAMERA_INSECURE = "Browsers allow cameras only over https or on localhost."
CAMERA_TOO_MANY = "You have {n} cameras running on other pages. Close one of them."
CAMERA_LOST = "The connection broke; trying again…"
EVENT_KINDS = {
    "arrival": "Arrived",
    "departure": "Left",
    "unknown": "Unknown visitor",
    "review": "Not certain who",
    "spoof": "Suspected picture of a face",
    "correction": "Correction",
}
EVENT_AT = "{time} · {camera}"
EVENT_BY_HAND = "by hand"

# attendance
ATTENDANCE = "Attendance"
ATTENDANCE_LEAD = "First in, last out, hours."
ATTENDANCE_PERSON_LEAD = "Attendance in {month}"
TODAY = "Today"
DAY = "Day"
DAY_BEFORE = "Day before"
DAY_AFTER = "Day after"
MONTH_BEFORE = "Month before"
MONTH_AFTER = "Month after"
VIEW_DAY = "Day"
VIEW_MONTH = "Month"
BOARD_PRESENT = "Here now"
BOARD_SEEN = "Were here"
BOARD_ABSENT = "Not seen"
BOARD_UNKNOWN = "Sightings of unknown visitors"
LONG_DAY = "{day}"
DAY_HEAD = ("Name", "First in", "Last out", "Hours", "")
STILL_HERE = "here"
INCOMPLETE = "no departure"
ABSENT = "not seen"
HOURS = "{h} h {m:02d}"
EVENTS = "Events"
EVENTS_NONE = "Nothing happened on this day."
EVENT_OPEN = "Look into: {what}"
EVENT_NUMBERS = "Numbers"
TOLD = {
    "arrival": "{camera} saw {name} first on {when}.",
    "departure": "{camera} saw {name} last on {when}.",
    "unknown": "{camera} saw somebody nobody knows on {when}.",
    "review": "{camera} saw a face on {when} and is not certain whose it is.",
    "spoof": "{camera} saw on {when} what may be a picture of a face.",
}
TOLD_BY_HAND = {
    "arrival": "{actor} entered that {name} arrived on {when}.",
    "departure": "{actor} entered that {name} left on {when}.",
    "unknown": "{actor} entered an arrival on {when}, of nobody known by now.",
}
TOLD_NOTE = "Reason given: “{note}”"
TOLD_DELETED = "somebody since deleted"
TOLD_CORRECTED = "This is how it reads after a correction, below."
TOLD_CAUSES = {
    "not_seen": "They were not seen for a while after that, so they had left.",
    "came_again": "They came again later, so they had left in between.",
    "source_ended": "The recording ended after that.",
    "camera_closed": "The camera was closed after that.",
    "camera_deleted": "The camera was deleted after that.",
}
TOLD_LIKELY = (
    "The face and an enrolled one are {likely} likely of one person, if both answers were "
    "equally likely before looking."
)
TOLD_RATE = "The camera was set to give {rate} of all strangers at most a name of those enrolled."
TOLD_EMPTY = "Nobody was enrolled that the face could be compared with."
TOLD_NEAREST = "Of those enrolled {name} is nearest, but not alike enough for a name."
TOLD_REVIEW = "It may be {name}. Somebody has to decide."
TOLD_REVIEW_GONE = "Whoever it may have been is deleted."
TOLD_DECIDE = "Decide"
TOLD_FLAGGED = "The face may have been a picture; the camera was set to let it pass."
TOLD_VOIDED = "It was taken back."
EVENT_GROUNDS = "Why"
EVENT_WHEN = "When"
EVENT_CAMERA = "Camera"
EVENT_MODEL = "Model"
EVENT_CALIBRATION = "Calibration"
EVENT_LIVENESS = "Liveness"
EVENT_FLAGGED = "picture?"
EVENT_NOTE = "Note"
EVENT_ACTOR = "By"
EVENT_FACE = "Face behind this event"
CORRECTED = "corrected"
ACTION_NAMES = {
    "void": "Taken back",
    "reassign": "Given to somebody else",
    "retime": "Moved in time",
    "not_person": "Not this person",
}
CORRECT_VOID = "Take back"
CORRECT_NOT_PERSON = "Not this person"
CORRECT_REASSIGN = "It was…"
CORRECT_RETIME = "It was at…"
CORRECT_PERSON = "Person"
CORRECT_TIME = "Time"
CORRECT_NOTE = "Reason (optional)"
UNDO, UNDONE = "Undo", "Undone. It reads as it did before."
UNDO_NAME = "Undo: {what}"
CORRECTED_DONE = "Corrected. The first entry is kept."
CORRECTED_BLOCKED = "Removed; this face is not taken for {name} again."
ADD_EVENT = "Enter by hand"
ADD_EVENT_KIND = "What"
ADD_EVENT_DONE = "Entered."
ADD_EVENT_KINDS = {"arrival": "Arrived", "departure": "Left"}
EXPORT = "Export"
EXPORT_NAME = "Export as {kind}"
PERSON_HOURS = "{days} · {hours}"
ONE_DAY, MANY_DAYS = "1 day", "{n} days"
NOTHING_ENROLLED = "Nobody is enrolled in this collection."
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

# unknowns
UNKNOWNS = "Unknowns"
UNKNOWNS_LEAD = "Visitors nobody knows; alike ones together."
UNKNOWNS_COUNT = "{visitors}, seen {times} in all"
UNKNOWNS_COUNT_TEXT = "Sightings that look like one person are one visitor here."
ONE_VISITOR, MANY_VISITORS = "1 visitor", "{n} visitors"
UNKNOWNS_NONE = "No unknown visitors"
UNKNOWNS_NONE_TEXT = "Whoever a camera does not recognise appears here."
UNKNOWN_SEEN = "Seen {times}"
ONE_TIME, MANY_TIMES = "once", "{n} times"
UNKNOWN_LAST = "last {when}"
UNKNOWN_NAME = "Who is it?"
UNKNOWN_ENROL = "Enrol"
UNKNOWN_ENROLLED = "{name} is enrolled; these sightings are now arrivals."
UNKNOWN_FORGET = "Forget"
UNKNOWN_FORGET_TITLE = "Forget this visitor's face?"
UNKNOWN_FORGET_TEXT = "Pictures and numbers are erased for good; the times stay."
UNKNOWN_FORGOTTEN = "The face is erased."
UNKNOWN_FACE = "Unknown visitor"

# review
REVIEW = "Review"
REVIEW_LEAD = "Faces that the system is not certain about. You decide."
REVIEW_NONE = "Nothing to decide"
REVIEW_NONE_TEXT = "A face that may be somebody enrolled, but not surely enough, waits here."
REVIEW_NONE_SHORT = "Nobody waits."
REVIEW_WAITING = "Waiting"
REVIEW_ANSWERED = "Answered"
REVIEW_NOT_ANSWERED = "Nothing was answered yet."
REVIEW_ELSEWHERE = "{n} in {collection}"
REVIEW_OR = " or "
REVIEW_PERHAPS = "Perhaps {names}"
REVIEW_QUESTION = "Is this {name}?"
REVIEW_NEXT = "If not, you are asked about {names}."
REVIEW_SEEN = "Seen by the camera"
REVIEW_ENROLLED = "Enrolled: {name}"
REVIEW_YES = "Yes"
REVIEW_YES_NAME = "Yes, this is {name}"
REVIEW_NOT_PERSON = "Not this person"
REVIEW_NOT_PERSON_NAME = "No, this is not {name}"
REVIEW_NO = "Nobody we know"
REVIEW_NO_NAME = "This is nobody we know"
REVIEW_YES_DONE = "Recorded as an arrival of {name}."
REVIEW_NOT_DONE = "Not {name}. Look at the next one."
REVIEW_NO_DONE = "Recorded as an unknown visitor."
REVIEW_UNDONE = "Taken back. It waits again."
REVIEW_BY = "by {name}"
REVIEW_DELETED = "Somebody since deleted"
REVIEW_STATES = {
    "open": "Waiting",
    "yes": "Yes",
    "no": "Unknown visitor",
    "withdrawn": "Taken back",
}
REVIEW_DETAILS = "Why it was not decided"
REVIEW_WHY = "Why"
REVIEW_COSINE = "cosine {cosine:.3f}"

# enrolling by camera
BY_CAMERA = "Camera"
POSES = {
    "straight": "Look straight into the camera",
    "left": "Turn your head a little to your left",
    "right": "Turn your head a little to your right",
}
POSE_DONE = "Done. Three pictures are taken."
POSE_FILE = "camera, {pose}"
POSE_NAMES = {"straight": "straight", "left": "to the left", "right": "to the right"}
POSE_HOLD = "Hold still…"
POSE_NOBODY = "Nobody is in the picture."
POSE_SEVERAL = "Only one person, please."
POSE_OTHER = "This is another person than before."

# kiosk
KIOSK = "Kiosk"
KIOSK_STATES = {
    "waiting": ("Come closer", ""),
    "looking": ("One moment…", ""),
    "several": ("One at a time, please", ""),
    "unknown": ("I do not know you yet", "Please ask at the desk."),
    "review": (
        "I am not certain that it is you",
        "Please ask at the desk: somebody there decides.",
    ),
}
KIOSK_HELLO = (
    "Good night, {name}",
    "Good morning, {name}",
    "Good day, {name}",
    "Good evening, {name}",
)
KIOSK_LOGGED = "You are signed in at {time}."
KIOSK_FAILED = "That did not work"
KIOSK_FAILURES = {
    "too_slow": "It took too long.",
    "wrong_way": "That was the other side.",
    "face_lost": "The face was gone for a moment.",
    "flat": "This looks like a picture of a face.",
    "jumped": "The face changed on the way.",
    "changed": "The face changed on the way.",
}
KIOSK_ACTIONS = {
    "turn_left": "Turn your head to your left",
    "turn_right": "Turn your head to your right",
    "come_closer": "Come a little closer",
}
KIOSK_HINTS = {
    "look_straight": "Look straight ahead",
    "no_face": "Where are you?",
    "too_small": "Come a little closer",
    "turn_less": "Not so far",
    "slower": "A little slower",
    "go_on": "",
    "done": "",
}
KIOSK_STEP = "Step {n} of {total}"
KIOSK_FULL = "Full screen"
KIOSK_LEAVE = "Leave kiosk"
KIOSK_CAMERA = "Kiosk"
KIOSK_UNSET = "No collection is chosen"
KIOSK_UNSET_TEXT = "An admin chooses under Accounts whom this kiosk greets."

# accounts
ACCOUNTS = "Accounts"
ACCOUNTS_LEAD = "Who may sign in, and what they may do."
ACCOUNT_ADD = "Add account"
ACCOUNT_ROLE = "Role"
ACCOUNT_LAST = "Last sign-in: {when}"
ACCOUNT_CLOSED = "Closed"
ACCOUNT_CLOSE = "Close account"
ACCOUNT_OPEN = "Open again"
ACCOUNT_KIOSK = "Kiosk"
ACCOUNT_KIOSK_TITLE = "The kiosk of {name}"
ACCOUNT_KIOSK_COLLECTION = "Greets the people of"
ACCOUNT_KIOSK_ONLY = "The only collection"
ACCOUNT_KIOSK_CHALLENGE = "Ask for head turns"
ACCOUNT_KIOSK_CHALLENGE_TEXT = (
    "Presence is recorded only after the turns were done. Without them a photograph held up is "
    "greeted too."
)
ACCOUNT_KIOSK_SAVED = "Saved. An open kiosk of {name} follows within seconds."
ACCOUNT_RESET = "New password"
ACCOUNT_RESET_TITLE = "New password for {name}"
ACCOUNT_DELETE = "Delete"
ACCOUNT_DELETE_TITLE = "Delete the account {name}?"
ACCOUNT_DELETE_TEXT = "The person behind it is signed out at once. Enrolled faces are not touched."
ACCOUNT_ADDED = "{name} can sign in now."
ACCOUNT_CHANGED = "{name} is changed and has to sign in again."
ACCOUNT_DELETED = "The account {name} is deleted."
ACCOUNT_YOU = "you"
SESSIONS = "Signed in"
SESSIONS_OWN = "Your sessions"
SESSIONS_OWN_LEAD = "The browsers in which you are signed in. End any that you do not know."
SESSIONS_NONE = "Nobody is signed in."
SESSION_SINCE = "Since {since}. Last seen {seen}. Ends {ends} if unused."
SESSION_THIS = "this browser"
SESSION_END = "End"
SESSION_END_NAME = "End the session of {name} that began {since}"
SESSION_ENDED = "The session has ended."


def count(n: int, one: str, many: str) -> str:
    """ "1 face" or "3 faces"."""
    return one if n == 1 else many.format(n=n)


def duration(seconds: float) -> str:
    """In the largest unit that fits."""
    for size, one, many in (
        (86400, "day", "days"),
        (3600, "hour", "hours"),
        (60, "minute", "minutes"),
    ):
        if seconds >= size * 1.5 or (size == 60 and seconds >= 60):
            n = round(seconds / size)
            return f"{n} {one if n == 1 else many}"
    n = max(1, round(seconds))
    return f"{n} {'second' if n == 1 else 'seconds'}"


def day(moment: datetime) -> str:
    """As on a calendar, where the service runs."""
    local = clocks.local(moment)
    return f"{local.day} {local:%b %Y}"


def moment(value: datetime) -> str:
    """Day and time."""
    return f"{day(value)}, {clocks.local(value):%H:%M}"


def percent(share: float) -> str:
    """0.973 → 97.3 %; never rounded up to certainty."""
    if share >= 0.9995:
        return "over 99.9 %"
    if share <= 0.0005:
        return "under 0.1 %"
    return f"{share:.1%}".replace("%", " %")


def rate(share: float) -> str:
    """1e-4 → 1 in 10,000."""
    return f"1 in {1 / share:,.0f}" if share < 0.02 else percent(share)


def bytes_(n: float) -> str:
    """In the unit that fits."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if n < 1024 or unit == "GiB":
            return f"{n:,.0f} {unit}" if unit == "bytes" else f"{n:,.1f} {unit}"
        n /= 1024
    return ""
