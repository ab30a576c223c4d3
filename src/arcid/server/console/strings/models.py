"""Models and calibrations of this machine, for admins."""

MODELS_NEXT = "From the next start on"
MODEL_TASKS = {
    "recognition": "Recogniser",
    "detection": "Detector",
    "liveness": "Liveness",
    "landmarks": "Landmarks",
}
MODEL_WHY = {
    "named": "{name}, since {variable} or the command that starts this service names it.",
    "chosen": "{name}, since it was chosen on this machine.",
    "packaged": "{name}, the packaged one: nothing else is named or chosen.",
}
MODELS_RESTART = "{now} runs until this service is restarted; then {next} does."
MODEL_PACKAGED = "Return to the packaged one"
MODELS_COLLECTIONS = "Collections and the recogniser that runs"
MODELS_NEVER_MEET = (
    "Vectors of two contracts never meet: a face without a vector of the recogniser that runs is "
    "not found. Faces whose crop is kept can be embedded again; the others need enrolling again."
)
MODELS_AHEAD = "{done:,} faces ready, {waiting:,} to embed again, {stuck:,} without a crop"
MODELS_EMBED = "Embed again"
MODELS_EMBED_TITLE = "Embed {name} again?"
MODELS_EMBED_TEXT = (
    "A job embeds {n:,} kept crops with the recogniser that runs. Their older vectors stay."
)
MODELS_EMBEDDING = "A job is embedding them."
MODELS_HERE = "Installed models"
MODEL_RUNS = "Runs"
MODEL_NOT_COMMERCIAL = "no commercial use"
MODEL_MEASURED = "TAR {tar} at 1 in 10,000, measured ({tar_low} to {tar_high})"
MODEL_UNCALIBRATED = "no usable calibration: compares, decides nothing"
MODEL_USE = "Use from the next start"
MODEL_USE_TITLE = "Use {name}?"
MODEL_USE_DETECTOR = (
    "It is verified, loaded and run now, and used when this service starts the next time. Vectors "
    "keep their meaning; calibrations were measured behind the detector they name."
)
MODEL_USE_RECOGNISER = (
    "It is verified, loaded and run now, and used when this service starts the next time. Vectors "
    "of two contracts never meet. With it, of the faces enrolled today:"
)
MODEL_CHOSEN = "{name} is used from the next start on."
MODELS_CATALOGUE = "Catalogue"
MODELS_CATALOGUE_OPEN = "{n} models and packs that are not installed"
MODELS_PULL_ON = "Nothing is fetched by itself: you ask for one and accept its licence."
MODELS_PULL_OFF = (
    "This service fetches no models (ARCID_MODEL_DOWNLOADS is off). At its command line: arcid "
    "models pull NAME."
)
MODEL_SIZE_UNKNOWN = "size not published"
MODEL_PULL = "Fetch"
MODEL_PULL_TITLE = "Fetch {name}?"
MODEL_PULL_TEXT = (
    "Its licence: {licence} ({url}). Read it; by fetching you accept it. From {address}, sha256 "
    "{sha256}."
)
MODEL_PULLING = "Fetching {name}"
MODEL_PULLED = "{name} is installed."
CALIBRATIONS = "Calibrations"
CALIBRATIONS_LEAD = (
    "What was measured here (arcid calibrate), and what came with the model. This service decides "
    "by the one it started with; what is put in force counts from the next start on."
)
CALIBRATION_PACKAGED = "Packaged"
CALIBRATION_OWN = "Measured here"
CALIBRATION_IN_FORCE = "In force"
CALIBRATION_UNTIL_RESTART = "Decides until the restart"
CALIBRATION_STANDS_ON = (
    "{people:,} people in {photos:,} photos · smallest rate {smallest} · {date} · {id}"
)
CALIBRATION_USE = "Put in force"
CALIBRATION_USE_TITLE = "Put this calibration in force?"
CALIBRATION_USE_TEXT = (
    "From the next start on its thresholds decide who matches. The one in force now is kept."
)
CALIBRATION_USED = "It decides from the next start on."
CALIBRATION_DELETE = "Delete"
CALIBRATION_DELETE_TITLE = "Delete this calibration?"
CALIBRATION_DELETE_TEXT = "Only measuring anew brings it back."
