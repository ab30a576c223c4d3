"""What programs show to the service."""

KEYS = "API keys"
KEYS_LEAD = "What programs show to the service, and what each may do."
KEYS_NONE = "No key is stored."
KEYS_NONE_TEXT = "With the first one, every program has to show a key, those of this machine too."
KEY_ADD = "Make a key"
KEY_NAME = "Name of the program"
KEY_VERBS = "It may"
KEY_VERB_NAMES = {
    "read": "look at people, events and pictures",
    "search": "search and compare faces",
    "enrol": "enrol and change people",
    "decide": "answer reviews, alerts and cases",
    "delete": "delete people and collections",
    "doors": "open doors and lock them down",
    "admin": "set the service up and make keys",
    "vectors": "take vectors out",
}
KEY_COLLECTIONS = "Only in these collections"
KEY_DAYS = "For so many days"
KEY_ALWAYS = "Empty: no end, and all collections."
KEY_MADE_TITLE = "The key of {name}"
KEY_MADE_TEXT = "Copy it into the program now. It is not shown again; arcid keeps its hash only."
KEY_DONE = "I have copied it"
KEY_ROTATE = "Renew"
KEY_ROTATE_TITLE = "Renew the key of {name}?"
KEY_ROTATE_TEXT = "A new key is shown once. The old one is taken for another 24 hours."
KEY_REVOKE = "Revoke"
KEY_REVOKE_TITLE = "Revoke the key of {name}?"
KEY_REVOKE_TEXT = "The program is refused from now on. A revoked key cannot be used again."
KEY_REVOKED = "The key of {name} is revoked."
KEY_STATES = {"valid": "Valid", "expired": "Expired", "revoked": "Revoked"}
KEY_ALL = "all collections"
KEY_NOWHERE = "no collection that is left"
KEY_USED = "last used {when}"
KEY_ENDS = "ends {when}"
