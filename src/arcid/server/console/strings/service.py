"""Models, calibration, health and storage."""

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
    "signed": "signed by arcid",
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
TIME_HERE = "Time here"
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
ALERT_STORED = "From a face in view to its alert"
ALERT_TOLD = "From a face in view to a receiver"
ALERT_SPREAD = "half within {p50:.1f} s, 95 of 100 within {p95:.1f} s, of {n:,}"
STAGE_COUNT = "{n:,}×"
TOLD_OTHERS = "Told to others"
TOLD_NOBODY = "Nobody is told of events: ARCID_WEBHOOKS, ARCID_MQTT or ARCID_SMTP says whom."
TOLD_BY_NOBODY = "nobody"
TOLD_HEAD = ("To", "Waiting", "Told in 30 days", "Given up", "By")
TASKS = "Done by itself"
TASKS_HEAD = ("What", "Every", "Last", "")
TASK_NAMES = {
    "backup": "Back the gallery up",
    "onboarding": "Erase identity checks whose time is over",
    "alerts": "Erase alerts whose time is over",
    "doors": "Erase old passages of doors",
    "duplicates": "Erase old searches for people enrolled twice",
    "settle": "Erase what a reader held up",
    "jobs": "Forget imports of 30 days ago and unused uploads",
    "keys": "Note when API keys were used last",
    "retention": "Erase people and faces that are too old",
    "seals": "Seal the audit of the day before",
    "disclosures": "Forget who was told what three years ago",
    "outbox": "Forget what was told 30 days ago",
    "looks": "Write who looked and searched to the audit",
}
TASK_ELSEWHERE = "another process does it"
TASK_WAITS = "not yet"
TASK_WELL = "well"
STORAGE = "Storage"
DATABASE = "Database"
DATABASE_SIZE = "Size"
JOURNAL = "Journal"
SCHEMA = "Schema"
BACKUPS = "Backups"
BACKUPS_NONE = (
    "None is made by itself: ARCID_BACKUPS names no folder. arcid gallery backup makes one."
)
BACKUPS_EVERY = "One every {hours:g} hours; the newest {keep} stay."
BACKUPS_HEAD = ("When", "Size", "File")
BACKUP_NOW = "Back up now"
BACKUP_MADE = "Backed up as {name}, read back and found whole."
CHECK = "Check every row"
CHECK_OK = "The gallery is sound."
COLLECTIONS = "Collections"
COLLECTION_HEAD = ("Name", "People", "Faces", "Pictures kept")
YES, NO = "yes", "no"
