"""Cameras of the service and of the browser, live."""

# cameras
CAMERAS = "Cameras"
CAMERAS_LEAD = "What the service watches by itself."
CAMERA_ADD = "Add camera"
CAMERA_EDIT = "Change camera"
CAMERA_NONE = "No camera yet"
CAMERA_NONE_TEXT = "Add a network camera, a webcam of this machine, or a video file."
CAMERA_NAME = "Name"
CAMERA_SOURCE = "Source"
CAMERA_SOURCE_HINT = "rtsp://… or https://… of a stream, 0 for the first webcam, or a file's path."
CAMERA_PLACE = "Place (optional)"
CAMERA_PLACE_HINT = "Cameras of one place see the same comings and goings."
CAMERA_LIVENESS = "Liveness"
CAMERA_LIVENESS_NAMES = {"off": "Off", "flag": "Flag", "require": "Require"}
CAMERA_LIVENESS_TEXT = (
    "Flag records suspected pictures of faces beside arrivals, Require in their place."
)
CAMERA_ATTENDANCE = "Keeps attendance"
CAMERA_ATTENDANCE_TEXT = (
    "Writes who comes in the attendance book. Without, the camera serves only what else is set up "
    "for it."
)
CAMERA_ENABLED = "Switched on"
CAMERA_SOURCE_KEPT = (
    "User name, password and what follows a ? are kept and not shown. To change anything, type the "
    "whole address again."
)
CAMERA_SEALED_SHORT = "sealed with another key"
CAMERA_BAD_FRAME = "A frame was no picture and was left out."
CAMERA_SAVED = "{name} is saved."
CAMERA_DELETE = "Delete"
CAMERA_DELETE_TITLE = "Delete the camera {name}?"
CAMERA_COLLECTION_DELETED = "{name} (deleted)"
CAMERA_COLLECTION_GONE = "Its collection “{name}” was deleted. Choose another."
CAMERA_COLLECTION_MISSING = "Choose the collection of people this camera looks for."
CAMERA_DELETE_TEXT = "What it has seen stays in the attendance book."
CAMERA_DELETED = "{name} is deleted."
CAMERA_STATES = {
    "off": "Off",
    "starting": "Starting",
    "live": "Live",
    "trouble": "In trouble",
    "ended": "Ended",
}
CAMERA_RATE = "{n:.0f} frames/s"
CAMERA_SIZE = "{width} × {height}"
EDIT = "Change"

# live
LIVE = "Live"
LIVE_LEAD = "Who is there, as it happens."
LIVE_OWN = "This device's camera"
LIVE_OWN_NAME = "Browser of {name}"
LIVE_START = "Start camera"
LIVE_SHOW = "Show picture"
LIVE_STOP = "Stop"
LIVE_ENLARGE = "Enlarge: {name}"
LIVE_FACE = "Face of {who}"
LIVE_EVENTS = "What happened"
LIVE_EVENTS_NONE = "Nothing yet."
LIVE_UNKNOWN = "Unknown visitor"
LIVE_REVIEW = "Not certain"
LIVE_LOW_QUALITY = "Not usable"
LIVE_SPOOF = "Picture of a face?"
LIVE_NO_CAMERA = "No camera is switched on. Start this device's camera, or add one."
LIVE_CANVAS = "Camera picture: {name}"
LIVE_NOBODY = "nobody is named"
CAMERA_REFUSED = "The camera was not allowed. Allow it in the browser's settings for this page."
CAMERA_MISSING = "This device has no camera that can be used."
CAMERA_INSECURE = "Browsers allow cameras only over https or on localhost."
CAMERA_ENDED = "The camera stopped: it was unplugged, switched off, or taken away from this page."
CAMERA_TOO_MANY = "You have {n} cameras running on other pages. Close one of them."
CAMERA_LOST = "The connection broke; trying again…"
