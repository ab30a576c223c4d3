"""The audit: who did what."""

AUDIT = "Audit"
AUDIT_LEAD = "Who looked at or decided about people."
AUDIT_NONE = "Nothing to show"
AUDIT_NONE_TEXT = "Nobody did anything of this kind in this time."
AUDIT_WHO = "Who"
AUDIT_WHAT = "What"
AUDIT_ABOUT = "About"
AUDIT_ABOUT_LIKE = "person:ID"
AUDIT_SINCE = "From"
AUDIT_UNTIL = "To"
AUDIT_ANYBODY = "Anybody"
AUDIT_ANYTHING = "Anything"
AUDIT_SHOW = "Show"
AUDIT_MORE = "Older"
AUDIT_CSV = "Save as CSV"
AUDIT_CHECK = "Check every row"
AUDIT_SOUND = "{n:,} rows, each as it was written. The newest is {digest}…"
AUDIT_BROKEN = "{problem}. The {n:,} rows before it are as they were written."
AUDIT_GONE = "since deleted"
AUDIT_ACTORS = {
    "local": "A program on this machine",
    "library": "A program, through the library",
    "anybody": "Not signed in",
}
AUDIT_ACTOR_KINDS = {
    "account": "Account",
    "key": "API key",
    "os": "Command line, user",
    "task": "The service itself,",
}
AUDIT_SUBJECTS = {
    "person": "Person",
    "face": "Face",
    "event": "Event",
    "collection": "Collection",
    "audit": "Audit",
}
AUDIT_VERBS = {
    "face.view": "Looked at a face",
    "event.view": "Looked at the face of an event",
    "review.view": "Looked at a doubtful face",
    "review.yes": "Said who it is",
    "review.no": "Said it is nobody known",
    "review.not_person": "Said it is not this person",
    "review.undo": "Took an answer back",
    "event.void": "Took an event back",
    "event.reassign": "Gave an event to somebody else",
    "event.retime": "Moved an event in time",
    "event.not_person": "Said an event was not this person",
    "event.enter": "Entered an event by hand",
    "event.enrol": "Enrolled an unknown visitor",
    "person.delete": "Deleted a person",
    "person.merge": "Merged two people",
    "person.split": "Split a person in two",
    "face.move": "Gave a face to somebody else",
    "face.delete": "Deleted a face",
    "collection.delete": "Deleted a collection",
    "attendance.export": "Exported attendance",
    "audit.export": "Exported the audit",
}
