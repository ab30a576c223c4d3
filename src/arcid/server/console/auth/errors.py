"""Why somebody was not let in."""

from __future__ import annotations

from arcid.errors import ArcidError, UsageError


class SignInRefused(ArcidError):
    """Name or password is wrong; which of the two is not said."""

    code = "sign_in_refused"


class TooManyAttempts(ArcidError):
    """Wait ``details['retry_after_s']`` seconds."""

    code = "too_many_attempts"


class AccountRefused(UsageError):
    """An account cannot be made or changed like this; the message is for the page."""

    code = "account_refused"


class SignedOut(ArcidError):
    """The session ended or the account was changed."""

    code = "signed_out"


class NotAllowed(ArcidError):
    """The account's role does not hold the permission."""

    code = "not_allowed"
