"""Events, attendance, unknown visitors, and faces to decide about."""

# events
EVENT_KINDS = {
    "arrival": "Arrived",
    "departure": "Left",
    "unknown": "Unknown visitor",
    "review": "Not certain who",
    "spoof": "Suspected picture of a face",
    "alert": "Alert of a watchlist",
    "access": "At a door",
    "onboarding": "Identity check",
    "duplicate": "Search for people enrolled twice",
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
EVENTS_MORE = "Only the newest {n} are listed here."
EVENTS_NONE = "Nothing happened on this day."

# events
EVENT_OPEN = "Look into: {what}"
EVENT_NUMBERS = "Numbers"

# attendance
TOLD = {
    "arrival": "{camera} saw {name} first on {when}.",
    "departure": "{camera} saw {name} last on {when}.",
    "unknown": "{camera} saw somebody nobody knows on {when}.",
    "review": "{camera} saw a face on {when} and is not certain whose it is.",
    "spoof": "{camera} saw on {when} what may be a picture of a face.",
    "alert": "{camera} saw on {when} somebody who is on a watchlist.",
    "access": "{camera} decided on {when} whether a door may be opened.",
    "onboarding": "An identity was checked on {when}.",
    "duplicate": "A search for people enrolled twice was done on {when}.",
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

# events
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

# attendance
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
UNKNOWNS_MORE = "There are more: only the newest {n} sightings were looked at."
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
