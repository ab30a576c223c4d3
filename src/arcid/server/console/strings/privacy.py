"""What a collection is for, how long what is kept, and who agreed."""

PRIVACY = "Privacy"
PRIVACY_LEAD = "What people are kept for, for how long, and whether they agreed."
POLICY = "What is kept, and why"
POLICY_PURPOSE = "Purpose"
POLICY_BASIS = "Legal basis"
POLICY_CONSENT = "Nobody is enrolled who did not agree"
POLICY_LED = "When somebody takes their consent back"
POLICY_LEDS = {
    "erase": "they are deleted at once",
    "review": "they stay until somebody decides",
}
POLICY_UNSEEN = "Delete people unseen for (days)"
POLICY_UNSEEN_TEXT = "Since they were seen or enrolled last. Empty: never by itself."
POLICY_KEEP_TEXT = "Since they were added. Empty: never by itself."
POLICY_KEEP = "Delete people after (days)"
POLICY_STRANGERS = "Keep strangers' faces (hours)"
POLICY_STRANGERS_TEXT = "Of people who are not enrolled. Always erased, after 720 hours at most."
POLICY_EVENTS = "Keep faces behind events (days)"
POLICY_EVENTS_TEXT = "Of people who are enrolled, and of questions that wait for an answer."
POLICY_REFUSED = "Keep refused faces (days)"
POLICY_REFUSED_TEXT = "Faces said not to be somebody, as numbers. Empty: as long as the person."
POLICY_CROPS_ALL = "Everybody who may see people sees pictures of faces"
POLICY_CROPS = "Otherwise only"
POLICY_PUBLISHED = "Show this to the public at /privacy"
POLICY_PUBLIC = "The public page"
POLICY_SAVE = "Save"
POLICY_SAVED = "Saved. What is too old by now is erased within the hour."
POLICY_TITLE = "Erase sooner?"
POLICY_TEXT = "What is older than the new times is erased for good within the hour."
POLICY_GO = "Save"
AGREED = "Who agreed"
AGREED_COUNT = "{agreed:,} of {people:,} people agreed."
AGREED_NOT_ASKED = "This collection does not demand consent."
AGREED_WAITING = "These people took their consent back, are still found, and wait for a decision:"

# of one person
CONSENT = "Consent"
CONSENT_NONE = "Nothing is recorded."
CONSENT_TEXT = "Version of the text they agreed to"
CONSENT_EVIDENCE = "Where that can be seen"
CONSENT_EVIDENCE_TEXT = "As the number of a form. No name."
CONSENT_BY = "Agreed by"
CONSENT_THEMSELVES = "themselves"
CONSENT_DEMANDED = "This collection takes only people who agreed."
CONSENT_MISSING = "Say which text they agreed to."
CONSENT_RECORD = "Record consent"
CONSENT_RECORDED = "Recorded."
CONSENT_LINE = "Text {text}, {when}, by {by}"
CONSENT_ENDED = "taken back {when}"
CONSENT_STANDS = "stands"
CONSENT_WITHDRAW = "Take consent back"
CONSENT_WITHDRAW_TITLE = "Take back what {name} agreed to?"
CONSENT_WITHDRAW_TEXTS = {
    "erase": "As this collection's policy says, the person is deleted with everything kept of "
    "them. This cannot be undone.",
    "review": "As this collection's policy says, the person stays and is found as before, until "
    "somebody deletes them or records a new consent.",
}
CONSENT_ERASED = "{name} took the consent back and is deleted."
CONSENT_REVIEW = "{name} took the consent back and waits for a decision."
ROLE_KEY = "API keys"

# what is too old
RETENTION = "Erased because of its age"
RETENTION_TEXT = "The service looks every ten minutes."
RETENTION_DUE = "Too old now: {what}."
RETENTION_NOTHING = "nothing"
RETENTION_LAST = "Looked last {when}."
RETENTION_NEVER = "Nobody has looked yet."
RETENTION_RUN = "{when}: {what}"
RETENTION_KINDS = {
    "people": ("1 person", "{n} people"),
    "strangers": ("1 face of a stranger", "{n} faces of strangers"),
    "event_faces": ("1 face behind an event", "{n} faces behind events"),
    "refused": ("1 face said not to be somebody", "{n} faces said not to be somebody"),
}

# receipts, disclosures, a person's own data
RECEIPTS = "Receipts of erasures"
RECEIPTS_NONE = "Nobody was erased yet."
RECEIPT_LINE = "{when} · {what}"
RECEIPT_SAVE = "Save"
RECEIPT_NAME = "Save the receipt of {when}"
RECEIPT_OF = {"person": "Person {id}", "collection": "Collection {id}"}
DISCLOSURES = "Who was told"
DISCLOSURES_NONE = "Nobody was told anything."
DISCLOSURES_TEXT = "Kept for three years."
DISCLOSURE_LINE = "{when} · {to} · {what}"
DISCLOSED = {"told": "to {to}", "export": "as a {to}", "subject": "to {to}"}
DISCLOSURE_NOBODY = "nobody known"
SUBJECT_EXPORT = "Export all that is held"
