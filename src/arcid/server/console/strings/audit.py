"""The audit: who did what."""

AUDIT = "Audit"
AUDIT_LEAD = "Who looked at or decided about people."
AUDIT_SEARCHES_ON = "Who looked at, searched for, compared or decided about people."
AUDIT_SEARCHED = "faces: {faces}, found: {found}, at 1 in {n:,.0f}"
AUDIT_MATCHED = "faces: {faces}, of one person: {matched}, at 1 in {n:,.0f}"
AUDIT_SEARCHES_OFF = (
    "Searches and comparisons are not written down: ARCID_AUDIT_SEARCHES is off. Everything "
    "else is."
)
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
AUDIT_SEALED = "Sealed up to row {row:,}: {days}."
AUDIT_ONE_DAY, AUDIT_DAYS = "1 day", "{n} days"
AUDIT_NOT_SEALED = "No day is sealed yet."
AUDIT_UNSEALED = "Nobody sealed these days: {days}."
AUDIT_ANYWHERE = "Anywhere"
AUDIT_GONE = "since deleted"
AUDIT_CAMERA = "Camera {name}"
AUDIT_KEY = "API key {name}"
AUDIT_ACTORS = {
    "local": "A program on this machine",
    "library": "A program, through the library",
    "anybody": "Not signed in",
    "setup": "The set-up page",
}
AUDIT_ACTOR_KINDS = {
    "account": "Account",
    "key": "API key",
    "os": "Command line, user",
    "task": "The service itself,",
    "service": "Decided by",
    "camera": "Camera",
    "applicant": "Applicant",
    "demo": "The demo",
}
AUDIT_SUBJECTS = {
    "person": "Person",
    "face": "Face",
    "event": "Event",
    "collection": "Collection",
    "audit": "Audit",
    "account": "Account",
    "key": "API key",
    "list": "Watchlist",
    "alert": "Alert",
    "door": "Door",
    "onboarding": "Identity check",
    "run": "Search for duplicates",
    "answer": "Answer about a pair",
    "pair": "Pair",
    "duplicates": "The",  # list, groups, answers, export
    "day": "Day",
    "gallery": "Gallery",
    "webhook": "Webhook",
    "nobody": "Nobody",
    "model": "Model",
    "calibration": "Calibration",
}
AUDIT_KINDS = {
    "search": "Searches",
    "verify": "Questions whether it is somebody",
    "compare": "Comparisons",
    "person": "People",
    "face": "Faces",
    "event": "Events",
    "review": "Doubtful faces",
    "duplicates": "People enrolled twice",
    "list": "Watchlists",
    "alert": "Alerts",
    "door": "Doors",
    "door_group": "Who may pass doors",
    "onboarding": "Identity checks",
    "collection": "Collections",
    "policy": "What is kept",
    "consent": "Consents",
    "retention": "Retention",
    "keys": "Keys",
    "attendance": "Exports of attendance",
    "audit": "The audit",
    "account": "Accounts",
    "session": "Sign-ins",
    "factor": "Second factors",
    "key": "API keys",
    "webhook": "Webhooks",
    "gallery": "Backups",
    "models": "Models",
    "calibration": "Calibrations",
}
AUDIT_VERBS = {
    "account.add": "Made an account",
    "account.change": "Changed an account",
    "account.delete": "Deleted an account",
    "session.begin": "Signed in",
    "session.end": "Ended sessions",
    "session.refuse": "Gave a wrong name or password",
    "factor.add": "Set up a second factor",
    "factor.remove": "Removed a second factor",
    "factor.codes": "Made new recovery codes",
    "factor.recovery": "Signed in with a recovery code",
    "factor.refuse": "Gave a right password and a wrong second factor",
    "key.create": "Made an API key",
    "key.rotate": "Renewed an API key",
    "key.revoke": "Revoked an API key",
    "key.delete": "Forgot an API key",
    "webhook.create": "Added a webhook",
    "webhook.change": "Changed a webhook",
    "webhook.rotate": "Renewed a webhook's secret",
    "webhook.delete": "Deleted a webhook",
    "webhook.test": "Tried a webhook",
    "models.choose": "Chose a model for the next start",
    "models.pull": "Fetched a model",
    "calibration.use": "Put a calibration in force",
    "calibration.delete": "Erased a calibration",
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
    "collection.drop_contract": "Erased a model's vectors",
    "collection.drop_crops": "Erased the pictures of enrolled faces",
    "gallery.backup": "Made a backup",
    "gallery.backup_failed": "Failed to make a backup",
    "gallery.restore": "Put a backup in the place of",
    "keys.make": "Began to encrypt the gallery",
    "keys.change": "Changed its keys",
    "attendance.export": "Exported attendance",
    "audit.export": "Exported the audit",
    "audit.inversion": "Tried to rebuild faces from stored vectors",
    "person.export": "Exported all that is held of a person",
    "retention.erase": "Erased what was too old",
    "policy.change": "Changed what a collection keeps",
    "consent.record": "Recorded a consent",
    "consent.withdraw": "Took a consent back",
    "person.unmerge": "Took a merge back",
    "person.authenticate": "Asked whether it is this person",
    "person.unlock": "Let a person try again",
    "duplicates.begin": "Began to search for people enrolled twice",
    "duplicates.stop": "Stopped searching for people enrolled twice",
    "duplicates.delete": "Deleted a search for people enrolled twice",
    "duplicates.answer": "Said whether two are one person",
    "duplicates.undo": "Took an answer about a pair back",
    "duplicates.view": "Looked at people enrolled twice",
    "list.create": "Made a watchlist",
    "list.change": "Changed a watchlist",
    "list.expire": "Let a watchlist run out",
    "list.delete": "Deleted a watchlist",
    "list.add": "Put somebody on a watchlist",
    "list.remove": "Took somebody off a watchlist",
    "list.view": "Looked at a watchlist",
    "alert.raise": "Raised an alert",
    "alert.view": "Looked at an alert",
    "alert.list": "Looked at the alerts of a list",
    "search.photo": "Searched for who is in a photo",
    "search.vector": "Searched for whose vector it is",
    "verify.photo": "Asked whether a photo shows this person",
    "verify.vector": "Asked whether a vector is of this person",
    "compare.photos": "Compared photos",
    "compare.vectors": "Compared vectors",
    "search.person": "Searched for who looks like somebody",
    "audit.searches_off": "Started without writing searches down",
    "alert.acknowledge": "Took note of an alert",
    "alert.confirm": "Confirmed an alert",
    "alert.dismiss": "Dismissed an alert",
    "alert.escalate": "Passed an alert on",
    "alert.undo": "Took an answer to an alert back",
    "door.view": "Looked at a door and who came to it",
    "door.add": "Added a door",
    "door.change": "Changed a door",
    "door.delete": "Deleted a door",
    "door.allow": "Let a group pass a door",
    "door.disallow": "Let a group pass a door no more",
    "door.forgive": "Forgave an anti-passback",
    "door.lock_down": "Locked down",
    "door.lift": "Ended a lock-down",
    "door.open": "Opened a door by hand",
    "door.acknowledge": "Took note of an alarm at a door",
    "door_group.add": "Made a group for doors",
    "door_group.delete": "Deleted a group for doors",
    "door_group.join": "Put somebody in a group for doors",
    "door_group.leave": "Took somebody out of a group for doors",
    "door_schedule.add": "Added opening hours",
    "door_schedule.delete": "Deleted opening hours",
    "door_holiday.add": "Added a holiday",
    "door_holiday.delete": "Deleted a holiday",
    "onboarding.start": "Began an identity check",
    "onboarding.consent": "Agreed to an identity check",
    "onboarding.withdraw": "Took the consent to an identity check back",
    "onboarding.look": "Looked at an identity check",
    "onboarding.decide": "Decided an identity check",
    "onboarding.undo": "Took a decision about an identity check back",
    "onboarding.forget": "Erased an identity check",
    "onboarding.evidence": "Took the evidence of an identity check",
}
