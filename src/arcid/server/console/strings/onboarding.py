"""Who somebody is, by document and face."""

NAV_ONBOARDING = "Onboarding"
ONBOARDING = "Onboarding"
ONBOARDING_LEAD = "Is this the person on the document? What arcid could not decide waits here."
ONBOARDING_NEW = "New session"
ONBOARDING_NEW_TEXT = (
    "The link opens a page for one person's phone. Whoever has it is that person: send it to them "
    "alone. It is shown once."
)
ONBOARDING_REFERENCE = "Your reference"
ONBOARDING_REFERENCE_HINT = "A case number, say; no names."
ONBOARDING_ENROL = "Enrol whoever is accepted"
ONBOARDING_BEGIN = "Make the link"
ONBOARDING_LINK = "The link"
ONBOARDING_COPY = "Copy"
ONBOARDING_COPIED = "Copied."
ONBOARDING_NOT_COPIED = "The browser copied nothing. Mark the link and copy it."
ONBOARDING_WAITING = "Waiting for you"
ONBOARDING_NOBODY = "Nobody waits."
ONBOARDING_UNDER_WAY = "Under way"
ONBOARDING_NONE_UNDER_WAY = "No session is under way."
ONBOARDING_DECIDED = "Decided"
ONBOARDING_NONE_DECIDED = "Nothing was decided yet."
ONBOARDING_EMPTY = "Nothing waits for you"
ONBOARDING_EMPTY_TEXT = "Cases that arcid cannot decide by itself appear here."
ONBOARDING_DOCUMENT = "On the document"
ONBOARDING_SELFIE = "Before the camera"
ONBOARDING_QUESTION = "Is this {name}?"
ONBOARDING_WHO = "{name}, born {born}"
ONBOARDING_ACCEPT = "Accept"
ONBOARDING_REJECT = "Reject"
ONBOARDING_ACCEPT_NAME = "Accept {name}"
ONBOARDING_REJECT_NAME = "Reject {name}"
ONBOARDING_DONE = {"accepted": "{name} is accepted.", "rejected": "{name} is rejected."}
ONBOARDING_UNDONE = "Taken back."
ONBOARDING_EVIDENCE = "Evidence"
ONBOARDING_FORGET = "Erase"
ONBOARDING_FORGET_TEXT = (
    "Pictures, name, result and the signs of the pictures are erased for good. Whoever was "
    "enrolled stays enrolled."
)
ONBOARDING_FORGOTTEN = "Erased."
ONBOARDING_BY = "by {name}"
ONBOARDING_DETAILS = "All that was looked at"
ONBOARDING_NOT_CHECKED = "Not checked: {things}."
ONBOARDING_STATES = {
    "started": "Link not opened yet",
    "consented": "Agreed, no document yet",
    "documented": "Document taken, no face yet",
    "review": "Waits for a human",
    "accepted": "Accepted",
    "rejected": "Rejected",
    "expired": "Expired",
    "withdrawn": "Withdrawn",
}
ONBOARDING_REASONS = {
    "match_unsure": "The two faces may be one person: look at them.",
    "match_uncalibrated": "Nobody measured documents with this recogniser: compare the faces.",
    "different_people": "The two faces are not one person.",
    "too_identical": "The selfie is a picture of the document.",
    "too_alike": "The selfie may be a picture of the document.",
    "replayed": "This very picture was used in another session.",
    "repeated": "A picture much like this was used in another session.",
    "challenge_missing": "No head turned before a camera: a picture was handed in.",
    "not_live": "This looks like a picture of a face.",
    "passive_missing": "Nothing says that this is a living face.",
    "possible_duplicate": "This face is enrolled already.",
    "duplicate_unknown": "Whether this face is enrolled already could not be said.",
    "document_expired": "The document has expired.",
    "name_differs": "The name is not that of the document.",
    "name_uncertain": "The name cannot be compared with that of the document.",
    "birth_date_differs": "The birth date is not that of the document.",
    "too_many_tries": "No try was left.",
}
# What was looked at, by the code of the check
ONBOARDING_CHECKS = {
    "match": "Document and face",
    "match_unsure": "Document and face",
    "match_uncalibrated": "Document and face",
    "different_people": "Document and face",
    "identical": "The document used as a face",
    "too_identical": "The document used as a face",
    "too_alike": "The document used as a face",
    "replay": "The same picture elsewhere",
    "replayed": "The same picture elsewhere",
    "repeated": "The same picture elsewhere",
    "challenge": "Turning the head",
    "challenge_missing": "Turning the head",
    "passive": "A living face",
    "not_live": "A living face",
    "passive_missing": "A living face",
    "duplicate": "Enrolled already",
    "possible_duplicate": "Enrolled already",
    "duplicate_unknown": "Enrolled already",
    "zone": "Machine-readable zone",
    "zone_missing": "Machine-readable zone",
    "zone_differs": "Machine-readable zone",
    "document_expired": "Expiry",
    "name": "Name",
    "name_differs": "Name",
    "name_uncertain": "Name",
    "birth_date": "Birth date",
    "birth_date_differs": "Birth date",
    "birth_date_missing": "Birth date",
    "too_many_tries": "Tries",
}
ONBOARDING_EFFECTS = {
    "pass": "in order",
    "note": "for your information",
    "review": "a human decides",
    "reject": "speaks against it",
}
ONBOARDING_MEASURED = {
    "target_fmr": "Asked for: strangers taken for one person",
    "fmr": "Strangers as alike as these two",
    "probability": "One person, where half of those compared are",
}
