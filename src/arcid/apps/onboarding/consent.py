"""The text an applicant consents to: that of a file, or one that says what arcid does."""

from __future__ import annotations

from pathlib import Path

from arcid.apps.onboarding.records import Agreed
from arcid.errors import ConfigError

DEFAULT = Agreed(
    "arcid-1",
    "To check who you are, this service compares a photo of your identity document with your "
    "face, as the camera sees it now. For that it computes a description of both faces, which are "
    "biometric data, and looks whether you are registered already. It keeps the two pictures, the "
    "name and birth date you enter, and the result, for the time that whoever asked you has set, "
    "and erases them then. Nobody else gets them. You may stop at any time before the end: "
    "everything of you is then erased at once.",
)


def consent_text(path: str | None) -> Agreed:
    """A text file's content, its version its name without the ending; None: the default.

    Raises ``ConfigError``.
    """
    if path is None:
        return DEFAULT
    file = Path(path).expanduser()
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"ARCID_ONBOARDING_CONSENT: {file.name} cannot be read as UTF-8 text "
            f"({type(error).__name__})"
        ) from None
    if not text:
        raise ConfigError(f"ARCID_ONBOARDING_CONSENT: {file.name} is empty")
    return Agreed(file.stem, text)
