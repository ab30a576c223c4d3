"""Where arcid looks on this machine; every folder can be moved by an environment variable.

``ARCID_HOME``    gallery and downloads (default: the user's data folder)
``ARCID_MODELS``  bundles pulled, imported or converted (default: ``$ARCID_HOME/models``)
``ARCID_DATA``    photographs and third-party weights for development (default: none)
``ARCID_DATABASE`` path or SQLAlchemy URL of the gallery (default: ``$ARCID_HOME/gallery.db``)
``ARCID_COMPILED`` compiled models (default: ``$ARCID_HOME/cache/models``; ``off``: none are kept)
"""

from __future__ import annotations

import os
from pathlib import Path

from arcid.errors import ConfigError


def home_dir() -> Path:
    """The folder that holds everything arcid writes by default."""
    if value := os.environ.get("ARCID_HOME"):
        return Path(value).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("arcid", appauthor=False))


def models_dir() -> Path:
    """Where ``arcid models pull`` and ``import`` put bundles."""
    value = os.environ.get("ARCID_MODELS")
    return Path(value).expanduser() if value else home_dir() / "models"


def compiled_dir() -> Path | None:
    """Where compiled models are kept, None where none are to be."""
    value = os.environ.get("ARCID_COMPILED")
    if value == "off":
        return None
    return Path(value).expanduser() if value else home_dir() / "cache" / "models"


def data_dir() -> Path | None:
    """The development data folder, None where ``ARCID_DATA`` names none; its ``models/`` is the
    last place models are looked for."""
    value = os.environ.get("ARCID_DATA")
    return Path(value).expanduser() if value else None


def required_data_dir() -> Path:
    """``data_dir``; raises ``ConfigError`` where ``ARCID_DATA`` names none."""
    if (found := data_dir()) is None:
        raise ConfigError("set ARCID_DATA to the folder that holds data/ and models/")
    return found


def packaged_models_dir() -> Path:
    """The bundles that ship with arcid."""
    return Path(__file__).parent / "models" / "default"


def named_database() -> str | None:
    """Path or SQLAlchemy URL in ``ARCID_DATABASE``; None where it names none."""
    return os.environ.get("ARCID_DATABASE") or None


def database_url() -> str:
    """Path or SQLAlchemy URL of the gallery."""
    return named_database() or str(home_dir() / "gallery.db")
