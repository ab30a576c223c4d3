"""The overview: how much happened when."""

OVERVIEW = "Overview"
OVERVIEW_LEAD = "How much happened when, and what waits."
OVERVIEW_PERIODS = {1: "24 hours", 7: "7 days", 30: "30 days"}
OVERVIEW_PERIOD = "Period"
OVERVIEW_SEEN = "Who was seen"
OVERVIEW_DOUBTS = "What wants a look"
OVERVIEW_SERIES = {
    "arrival": "Arrivals",
    "unknown": "Unknown",
    "review": "Doubtful",
    "spoof": "Perhaps a picture",
    "alert": "Alerts",
}
OVERVIEW_PRESENT = "here now"
OVERVIEW_WAITING = "wait for review"
OVERVIEW_ALERTS = "open alerts"
OVERVIEW_CAMERAS = "Cameras"
OVERVIEW_CAMERAS_TEXT = "As this process sees them, since it watches them."
OVERVIEW_LIVE = "How much of the time cameras were live"
OVERVIEW_SHARE = "live {share} of the time"
OVERVIEW_NO_CAMERAS = "No camera looks for this collection."
OVERVIEW_STATE_SINCE = "since {moment}"
OVERVIEW_TABLE = "As a table"
OVERVIEW_WHEN = "When"
OVERVIEW_CUT = "More than {n} events: only the newest are counted."
