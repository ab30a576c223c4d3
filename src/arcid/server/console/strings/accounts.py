"""Signing in, accounts, roles and sessions."""

# signing in
SIGN_IN = "Sign in"
SIGN_IN_TEXT = "Face identity on your own machine."
SIGN_IN_WRONG = "Name or password is wrong."
SIGN_IN_AS_OTHER = "Sign in as somebody else"
SIGN_OUT = "Sign out"
ON_THE_WAY = "The page opens in a moment."
GO_ON = "Go on"
SIGNED_OUT = "Your session has ended. Sign in again."
SECOND = "Second step"
SECOND_TEXT = "The password is right. Show that it is you."
SECOND_CODE = "Code"
SECOND_HINT = "The six digits your authenticator app shows, or a recovery code."
SECOND_WRONG = "This code is wrong, or was used already."
SECOND_CODE_WRONG = "This is not the code the app shows now. The clocks of phone and service agree?"
SECOND_THERE = "This account has got a second factor meanwhile. Sign in again, with it."
SECOND_AGAIN = "Scan the picture again."
SECOND_UNREADABLE = (
    "The key that the app's secret was sealed with is not here any more. Use a recovery code, or "
    "run on the machine: arcid accounts reset-second-factor NAME"
)
PASSWORD_WRONG = "The password is wrong."  # noqa: S105
APP_ADD = "Set up an authenticator app"
APP_TEXT = "Scan the picture with the app, then type the code it shows."
APP_NEEDED = "Your account needs a second factor. " + APP_TEXT
APP_QR = "QR code with the secret for an authenticator app"
APP_SECRET = "Or type this into the app:"  # noqa: S105
APP_CODE = "Code the app shows"
PASSKEYS = "Passkeys"
PASSKEYS_NONE = "None. A passkey signs you in with this device's lock, or with a security key."
PASSKEY_ADD = "Add a passkey"
PASSKEY_TEXT = "Your browser asks for this device's lock, a phone or a security key."
PASSKEY_INSTEAD = "Use a passkey instead"
PASSKEY_NAME = "What you call it"
PASSKEY_NAME_HINT = 'As "laptop" or "blue security key".'
PASSKEY_NAME_WRONG = "A name has 1 to {high} printable characters."
PASSKEY_SIGN_IN = "Sign in with a passkey"
PASSKEY_SHOW = "Use a passkey"
PASSKEY_USED = "Made {made}. Last used: {used}."
PASSKEY_SYNCED = "synced"
PASSKEY_REMOVE = "Remove this passkey"
PASSKEY_REMOVE_NAME = "Remove the passkey {name}"
PASSKEY_REMOVE_TEXT = "It lets nobody in any more. Remove it from the device, too."
PASSKEY_WRONG = "This passkey does not let you in here."
PASSKEY_REFUSED = "The browser's answer does not fit, or took too long. Try again."
PASSKEY_TOO_MANY = "It is registered already, or there are {n} already."
PASSKEY_FAILED = "The browser showed no passkey. Try again."
PASSKEY_MISSING = "This browser knows no passkeys."
PASSKEY_NOT_HERE = (
    "Passkeys do not work at this address: they are tied to the service's public address "
    "(ARCID_PUBLIC_URL), or without one to localhost, and need arcid[passkeys]."
)
OIDC_SIGN_IN = "Sign in with {name}"
OIDC_DOWN = "The sign-in service does not answer. Try again, or sign in with a password of here."
OIDC_REFUSED = "The sign-in there did not work. Try again, or ask whoever runs this service."
OIDC_DENIED = "The sign-in there was broken off."
OIDC_NO_ROLE = "You are known there, but have no role here. Ask whoever runs this service."
OIDC_EMAIL = "Your address has no access here, or is not confirmed there."
CODES = "Recovery codes"
CODES_TEXT = (
    "Keep them where your phone is not. Each lets you in once instead of a code of the app; they "
    "are not shown again."
)
CODES_KEPT = "I have kept them"
CODES_RENEW = "Make new recovery codes"
CODES_RENEW_TEXT = "The old ones are worth nothing then."
SECOND_REMOVE = "Remove the second factor"
SECOND_REMOVE_TEXT = (
    "The password alone will let you in. App, passkeys and recovery codes are forgotten."
)
SET_UP = "Set up arcid"
SET_UP_TEXT = "Make the first account. It may do everything; you can add others later."
SET_UP_BUTTON = "Create account"
SET_UP_DONE = "The first account exists already. Sign in."
SET_UP_CODE = "Set-up code"
SET_UP_CODE_HINT = (
    "arcid serve printed it, and a link that fills it in, when it started. An API key of the "
    "service will do, too."
)
SET_UP_CODE_WRONG = (
    "This is not the set-up code that arcid serve printed when it started last, nor an API key "
    "of the service."
)
SET_UP_LOST = (
    "This service was set up before, but its database has no accounts: it was exchanged, or they "
    "were deleted. To make an account, run this on its machine: arcid accounts add NAME"
)
ACCOUNT_NAME = "Name"
PASSWORD = "Password"  # noqa: S105
PASSWORD_REPEAT = "Password again"  # noqa: S105
PASSWORD_HINT = "At least {low} characters. A few words are easy to remember."  # noqa: S105
PASSWORD_LENGTH = "A password has {low} to {high} characters."  # noqa: S105
PASSWORD_WEAK = "This password is too easy to guess. Choose another."  # noqa: S105
PASSWORDS_DIFFER = "The two passwords differ."
TOO_MANY_ATTEMPTS = "Too many attempts. Try again in {wait}."
SIGN_IN_BUSY = "Many people are signing in. Try again in a moment."
ACCOUNT_NAME_WRONG = "A name has 1 to {high} printable characters."
ACCOUNT_NAME_TAKEN = "There is an account of that name already."
ACCOUNT_GONE = "This account does not exist any more."
ACCOUNT_UNKNOWN = "There is no account of the name {name!r}; arcid accounts list shows all."
LAST_ADMIN = "One admin who can sign in has to remain."
NOT_ALLOWED = "Your role does not allow this."
NOT_ALLOWED_TITLE = "Not for this role"
NOT_ALLOWED_TEXT = "{name} is signed in as {role}, who may not open this page."
BACK = "Back"
ROLE_NAMES = {
    "admin": "Admin",
    "officer": "Officer",
    "operator": "Operator",
    "reviewer": "Reviewer",
    "guard": "Guard",
    "viewer": "Viewer",
    "kiosk": "Kiosk",
}
ROLE_TEXTS = {
    "admin": "Everything: cameras, accounts, deleting people.",
    "officer": "Keeps watchlists, answers alerts, reads who did what, says how long what is kept.",
    "operator": "Enrols and corrects, searches, exports.",
    "reviewer": "Decides on doubtful faces, people enrolled twice and identity checks.",
    "guard": "Sees cameras, alerts and doors, opens a door by hand.",
    "viewer": "Looks at attendance and people, changes nothing.",
    "kiosk": "Shows the greeting screen, nothing else.",
}

# accounts
ACCOUNTS = "Accounts"
ACCOUNTS_LEAD = "Who may sign in, and what they may do."
ACCOUNT_ADD = "Add account"
ACCOUNT_ROLE = "Role"
ACCOUNT_LAST = "Last sign-in: {when}"
ACCOUNT_CLOSED = "Closed"
ACCOUNT_CLOSE = "Close account"
ACCOUNT_OPEN = "Open again"
ACCOUNT_KIOSK = "Kiosk"
ACCOUNT_KIOSK_TITLE = "The kiosk of {name}"
ACCOUNT_KIOSK_COLLECTION = "Greets the people of"
ACCOUNT_KIOSK_ONLY = "The only collection"
ACCOUNT_KIOSK_CHALLENGE = "Ask for head turns"
ACCOUNT_KIOSK_CHALLENGE_TEXT = (
    "Presence is recorded only after the turns were done. Without them a photograph held up is "
    "greeted too."
)
ACCOUNT_KIOSK_SAVED = "Saved. An open kiosk of {name} follows within seconds."
ACCOUNT_SIGN_OUT = "Sign out everywhere"
ACCOUNT_RESET = "New password"
ACCOUNT_RESET_TITLE = "New password for {name}"
ACCOUNT_DELETE = "Delete"
ACCOUNT_DELETE_TITLE = "Delete the account {name}?"
ACCOUNT_DELETE_TEXT = "The person behind it is signed out at once. Enrolled faces are not touched."
ACCOUNT_ADDED = "{name} can sign in now."
ACCOUNT_CHANGED = "{name} is changed and has to sign in again."
ACCOUNT_DELETED = "The account {name} is deleted."
ACCOUNT_YOU = "you"
SESSIONS = "Signed in"
SESSIONS_OWN = "Your sign-in"
SESSIONS_OWN_LEAD = "What you sign in with, and the browsers in which you are signed in."
SESSIONS_OWN_OPEN = "Your sessions"
SECOND_FACTOR = "Second factor"
SECOND_FACTOR_APP = "An authenticator app. Recovery codes left: {n}."
SECOND_FACTOR_PASSKEYS = "Your passkeys. Recovery codes left: {n}."
SECOND_FACTOR_NONE = "None: the password alone lets you in."
SECOND_FACTOR_CHANGE = "Use another app"
ACCOUNT_PROVIDER = "kept elsewhere"
ACCOUNT_ELSEWHERE = "This account is kept by another service, which also has its password."
SECOND_FACTOR_ELSEWHERE = "You sign in at {issuer}, which asks for what it needs."
ACCOUNT_SECOND = "Second factor"
ACCOUNT_SECOND_RESET = "Reset second factor"
ACCOUNT_SECOND_RESET_TITLE = "Reset the second factor of {name}?"
ACCOUNT_SECOND_RESET_TEXT = (
    "For somebody who lost the phone and the recovery codes. The person is signed out, and then "
    "signs in with the password, or sets a new one up where one is demanded. Be sure who asks."
)
SESSIONS_NONE = "Nobody is signed in."
SESSION_SINCE = "Since {since}. Last seen {seen}. Ends {ends} if unused."
SESSION_FROM = "from {address}"
SESSION_THIS = "this browser"
SESSION_END = "End"
SESSION_END_NAME = "End the session of {name} that began {since}"
SESSION_ENDED = "The session has ended."
SESSIONS_END_OTHERS = "End all others"
SESSIONS_ENDED = "Sessions ended: {n}."
