"""Many people at once."""

IMPORT = "Import many"
IMPORT_LEAD = "Photos of many people, from a zip or a folder. Nothing is taken twice."
IMPORT_SOURCE = "Photos"
IMPORT_ZIP = "Choose a zip"
IMPORT_ZIP_HINT = "One folder per person inside, or people.csv with person and photo."
IMPORT_FOLDER = "Choose a folder"
IMPORT_FOLDER_HINT = "One folder per person inside. It is sent as one file."
IMPORT_LIST = "Choose a list (CSV)"
IMPORT_LIST_HINT = "Only where the folders do not say whose photo is whose."
IMPORT_LISTED = "List: {name}"
IMPORT_SENDING = "Sending…"
IMPORT_TOO_LARGE = "More than {size}: import it in parts."
IMPORT_TOO_MANY = "More than 65,535 files: import them in parts."
IMPORT_QUALITY = "Refuse poor photos"
IMPORT_CONSENT = "Consent of everybody of whom the list says none"
IMPORT_FOUND = "{name}: {photos} of {people}."
ONE_PHOTO, MANY_PHOTOS = "1 photo", "{n:,} photos"
IMPORT_NOTHING = "Nothing can be taken from it."
IMPORT_LEFT = "{n:,} stay behind: {reasons}."
IMPORT_BEGIN = "Import"
IMPORT_BEGUN = "The import is under way."
IMPORT_JOBS = "Imports"
IMPORT_NEVER = "Nothing was imported into this collection here yet."
IMPORT_STATES = {
    "waiting": "Waits for its turn",
    "running": "Importing",
    "stopped": "Stopped",
    "failed": "Failed",
    "done": "Done",
    "cancelled": "Ended",
    "silent": "Cut off; it is taken up by itself",
}
IMPORT_PROGRESS = "{state}: {taken:,} of {total:,} taken, {refused:,} refused"
IMPORT_BY = "Begun {when}"
IMPORT_STOP = "Stop"
IMPORT_GO_ON = "Go on"
IMPORT_CANCEL = "End it"
IMPORT_CANCEL_TITLE = "End this import for good?"
IMPORT_CANCEL_TEXT = "Who is enrolled stays enrolled. What was uploaded is deleted."
IMPORT_REASONS = "Why {n:,} were refused"
IMPORT_REASONS_MORE = "The first {n} are shown; the file has all."
IMPORT_REPORT = "All reasons as CSV"
IMPORT_HEAD = ("Photo", "Why")
