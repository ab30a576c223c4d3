"""Watchlists and their alerts."""

from __future__ import annotations

NAV_ALERTS = "Alerts"
NAV_WATCHLISTS = "Watchlists"

ALERTS = "Alerts"
ALERTS_LEAD = "People who look like somebody on a list. You decide; nothing happens by itself."
ALERTS_NONE = "No alert waits"
ALERTS_NONE_TEXT = (
    "When a camera sees somebody who looks like a person on a list, it is shown here."
)
ALERTS_NO_LIST = "No list for you"
ALERTS_NO_LIST_TEXT = "Alerts of a list are shown to those whom the list names."
ALERT_SOUND = "Sound"
ALERT_NOTIFY = "Notify me"
ALERT_SOUND_NAME = "Sound at a new alert, in this browser"
ALERT_NOTIFY_NAME = "Notification at a new alert, in this browser"
ALERT_ASLEEP = "Click anywhere to hear alerts: this browser keeps the page silent until then."
ALERTS_WAITING = "Waiting"
ALERTS_SILENT = "Silent reviews"
ALERTS_SILENT_TEXT = "Less alike: nobody was told of them."
ALERTS_ANSWERED = "Answered"
ALERTS_NOT_ANSWERED = "Nothing was answered yet."
ALERTS_NONE_SHORT = "Nobody waits."
ALERT_QUESTION = "Is this {name}?"
ALERT_SEEN = "Seen by the camera"
ALERT_ENROLLED = "On the list: {name}"
ALERT_WHERE = "{list} · {camera} · {time}"
ALERT_LINE = "Perhaps {name}"
ALERT_SECOND = "{name} has confirmed it. A second person has to."
ALERT_ACKNOWLEDGE = "I am looking"
ALERT_CONFIRM = "Yes, it is"
ALERT_DISMISS = "Not this person"
ALERT_ESCALATE = "Escalate"
ALERT_ACKNOWLEDGE_NAME = "Acknowledge the alert about {name}"
ALERT_CONFIRM_NAME = "Yes, this is {name}"
ALERT_DISMISS_NAME = "No, this is not {name}"
ALERT_ESCALATE_NAME = "Escalate the alert about {name}"
ALERT_DONE = {
    "acknowledge": "You are looking at it.",
    "confirm": "Confirmed.",
    "dismiss": "Not {name}. This face is not taken for them again.",
    "escalate": "Escalated: those who are to act are told.",
}
ALERT_FIRST = "Confirmed by you. A second person has to confirm it too."
ALERT_STATES = {
    "new": "new",
    "acknowledged": "somebody is looking",
    "confirmed": "confirmed",
    "dismissed": "not this person",
    "escalated": "escalated",
}
ALERT_BY = "{state}, by {name}"
ALERT_UNDONE = "Taken back."
ALERT_DETAILS = "Why, in numbers"
ALERT_WHY = "Why"
ALERT_LATENCY = "Seen to alert"
ALERT_LATENCY_S = "{s:.1f} seconds"
ALERT_SIGHTINGS = "Seen"
ALERT_ONCE, ALERT_TIMES = "once", "{n} times"
ALERT_RING = "Alert: {list}"
ALERT_RING_TEXT = "At {camera}. Look at both faces in the console."

WATCHLISTS = "Watchlists"
WATCHLISTS_LEAD = "Whom cameras look for, why, until when, and at how many false alerts."
WATCHLIST_NONE = "No list yet"
WATCHLIST_NONE_TEXT = (
    "A list has a purpose, a legal basis, somebody who answers for it, and an end."
)
WATCHLIST_MAKE = "Make a list"
WATCHLIST_NAME = "Name"
WATCHLIST_PURPOSE = "What is it for?"
WATCHLIST_BASIS = "What allows it? (legal basis)"
WATCHLIST_OWNER = "Who answers for it?"
WATCHLIST_UNTIL = "Until (year-month-day)"
WATCHLIST_LAST_DAY = "Until"
WATCHLIST_BUDGET = "False alerts that are bearable, a camera-hour"
WATCHLIST_FOUR_EYES = "Two people have to confirm an alert"
WATCHLIST_DAY = "Write the day as 2027-06-30."
WATCHLIST_ON_IT = ("1 person", "{n} people")
WATCHLIST_EXPIRED = "expired: it matches nobody"
WATCHLIST_ENDS = "until {day}"
WATCHLIST_TERMS = "The list"
WATCHLIST_COLLECTION = "People of"
WATCHLIST_SEEN_BY = "Seen by"
WATCHLIST_CAMERAS = "Cameras"
WATCHLIST_ALL = "all"
WATCHLIST_KEEP = "Alerts are kept"
WATCHLIST_DAYS = "{n} days"
WATCHLIST_BUDGETS = "Its budget at each camera"
WATCHLIST_BUDGETS_TEXT = (
    "The threshold follows the faces a camera sees and the size of the list. A camera that was not "
    "watched yet is taken to see {n:.0f} faces an hour. The number of false alerts is that of one "
    "look at each face; where several have to agree, fewer come."
)
WATCHLIST_COLUMNS = (
    "Camera",
    "Faces an hour",
    "Alert from",
    "False alerts a day, at most",
    "Missed",
)
WATCHLIST_COSINE = "cosine {cosine:.3f}"
WATCHLIST_INTERVAL = "{mid:.2g} ({low:.2g} to {high:.2g})"
WATCHLIST_BEYOND = "beyond what was measured"
WATCHLIST_UNKNOWN_CAMERA = "a new camera"
WATCHLIST_PEOPLE = "On the list"
WATCHLIST_NOBODY = "Nobody is on it yet."
WATCHLIST_ADD = "Put on the list"
WATCHLIST_WHO = "Name of an enrolled person"
WATCHLIST_REASON = "Why?"
WATCHLIST_TAKE_OFF = "Take off"
WATCHLIST_TAKE_OFF_NAME = "Take {name} off the list"
WATCHLIST_ADDED = "{name} is on the list."
WATCHLIST_REMOVED = "{name} is off the list."
WATCHLIST_EXPIRE = "End it now"
WATCHLIST_EXPIRE_TITLE = "End {name} now?"
WATCHLIST_EXPIRE_TEXT = "It matches nobody from then on. Its people and alerts stay."
WATCHLIST_ENDED = "{name} has ended."
WATCHLIST_DELETE = "Erase it"
WATCHLIST_DELETE_TITLE = "Erase {name}?"
WATCHLIST_DELETE_TEXT = "Its alerts and the faces behind them are erased. Its people stay enrolled."
WATCHLIST_BY = "{reason} · {name}, {day}"
