"""The greeting screen."""

KIOSK = "Kiosk"
KIOSK_STATES = {
    "waiting": ("Come closer", ""),
    "looking": ("One moment…", ""),
    "several": ("One at a time, please", ""),
    "unknown": ("I do not know you yet", "Please ask at the desk."),
    "review": (
        "I am not certain that it is you",
        "Please ask at the desk: somebody there decides.",
    ),
}
KIOSK_HELLO = (
    "Good night, {name}",
    "Good morning, {name}",
    "Good day, {name}",
    "Good evening, {name}",
)
KIOSK_LOGGED = "You are signed in at {time}."
KIOSK_FAILED = "That did not work"
KIOSK_FAILURES = {
    "too_slow": "It took too long.",
    "wrong_way": "That was the other side.",
    "face_lost": "The face was gone for a moment.",
    "flat": "This looks like a picture of a face.",
    "jumped": "The face changed on the way.",
    "changed": "The face changed on the way.",
}
KIOSK_ACTIONS = {
    "turn_left": "Turn your head to your left",
    "turn_right": "Turn your head to your right",
    "come_closer": "Come a little closer",
    "close_eyes": "Close your eyes for a second",
    "open_mouth": "Open your mouth",
}
KIOSK_HINTS = {
    "look_straight": "Look straight ahead",
    "no_face": "Where are you?",
    "too_small": "Come a little closer",
    "turn_less": "Not so far",
    "slower": "A little slower",
    "open_eyes": "Open your eyes again",
    "close_mouth": "Close your mouth again",
    "go_on": "",
    "done": "",
}
KIOSK_STEP = "Step {n} of {total}"
KIOSK_FULL = "Full screen"
KIOSK_LEAVE = "Leave kiosk"
KIOSK_CAMERA = "Kiosk"
KIOSK_UNSET = "No collection is chosen"
KIOSK_UNSET_TEXT = "An admin chooses under Accounts whom this kiosk greets."
