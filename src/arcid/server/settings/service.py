"""All of them together, from the environment or from keyword arguments."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from arcid.errors import ConfigError
from arcid.server.settings.listening import Listening
from arcid.server.settings.parsing import HOW_TO_MAKE_A_KEY, is_loopback, listed
from arcid.server.settings.photographs import Photographs
from arcid.server.settings.signing_in import SigningIn
from arcid.server.settings.told import Told

Protocol = Literal["compreface", "rekognition", "insightface-server"]


class Settings(SigningIn, Told, Photographs, Listening):
    """What ``create_app`` and ``serve`` need to know; immutable. Build it with ``load``."""

    model_config = SettingsConfigDict(
        env_prefix="ARCID_",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    database: str | None = Field(
        None, description="Path or SQLAlchemy URL of the gallery; by default in ARCID_HOME."
    )
    detector: str | None = Field(
        None,
        description="Detector to run, or several that vote, `a+b`; by default the one chosen on "
        "this machine, else the packaged one.",
    )
    recogniser: str | None = Field(
        None,
        description="Recogniser to run, or several as one, `a+b`; by default the one chosen on "
        "this machine, else the packaged one, in eight bits where the processor has VNNI.",
    )
    landmarks: str | None = Field(
        None,
        description="Landmark model to run: every face then has 68 points, which quality and "
        "kiosks use and REST tells where it is asked to: arcid-landmarks-s (packaged) or dlib_68, "
        "both for research alone. Empty: none.",
    )
    model_downloads: bool = Field(
        False,
        description="Whether admins may fetch models of the catalogue through the service. Nothing "
        "is fetched by itself either way.",
    )
    onboarding_consent: str | None = Field(
        None,
        description="Text file that applicants consent to; its name is the version. By default "
        "one that says what arcid does.",
    )
    backups: Path | None = Field(
        None,
        description="Folder that backups of the gallery go into by themselves; another disk's.",
    )
    backup_every_h: float = Field(
        24.0, gt=0, le=8784, description="How many hours lie between two of them."
    )
    backup_keep: int = Field(
        14, ge=1, le=10_000, description="How many of the newest stay; older ones are removed."
    )
    backup_keys: Path | None = Field(
        None,
        description="File that the newest copy of the key store is kept in beside that; in another "
        "folder than ARCID_BACKUPS, better on another disk.",
    )
    compat: Annotated[tuple[Protocol, ...], NoDecode, BeforeValidator(listed)] = Field(
        (),
        description="Protocols of other systems that are answered too, separated by commas: "
        "compreface, rekognition, insightface-server.",
    )
    audit_searches: bool = Field(
        True,
        description="Whether each search for a person and each comparison leaves a row in the "
        "audit; `arcid search` and `arcid verify --person` ask it too, and a service that starts "
        "with it off writes that down.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least important log lines that are written."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.uds is not None and self.tls_cert is not None:
            raise ValueError("a Unix socket speaks no TLS: leave uds or tls_cert out")
        if self.decode_apart and sys.platform != "linux":
            raise ValueError("decode_apart needs Linux; leave it off here")
        if self.max_images > self.queue_size:
            raise ValueError("queue_size must be at least max_images")
        if self.max_request_bytes > self.max_inflight_bytes:
            raise ValueError("max_inflight_bytes must be at least max_request_bytes")
        if self.max_connections_per_client > self.max_connections:
            raise ValueError("max_connections must be at least max_connections_per_client")
        if self.max_image_pixels > self.max_inflight_pixels:
            raise ValueError("max_inflight_pixels must be at least max_image_pixels")
        return self

    @classmethod
    def load(cls, **values: Any) -> Settings:
        """Environment plus ``values`` (None: not given); raises ``ConfigError``."""
        try:
            return cls(**{name: value for name, value in values.items() if value is not None})
        except ValidationError as error:
            problems = "; ".join(
                f"{'ARCID_' + '_'.join(map(str, e['loc'])).upper() + ': ' if e['loc'] else ''}"
                f"{e['msg'].removeprefix('Value error, ')}"
                for e in error.errors(include_input=False, include_context=False)
            )
            raise ConfigError(problems) from None

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach ``host``, or the Unix socket."""
        return self.uds is not None or is_loopback(self.host)

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach the service."""
        return not self.loopback or bool(self.trusted_proxies)

    def check_exposed(self, stored: Callable[[], bool] = lambda: False) -> None:
        """Raise ``ConfigError`` where others could reach the service and no key protects it.

        ``stored`` says whether the gallery has a valid one; asked only where it matters.
        """
        if self.api_keys or not self.exposed or stored():
            return
        if not self.loopback:
            raise ConfigError(
                f"listening on {self.host} lets other machines in, so an API key is needed: make "
                f"one with arcid keys add, set ARCID_API_KEYS ({HOW_TO_MAKE_A_KEY}), or listen on "
                "127.0.0.1"
            )
        raise ConfigError(
            "a proxy lets other machines in, so ARCID_TRUSTED_PROXIES needs API keys: make one "
            f"with arcid keys add, or set ARCID_API_KEYS ({HOW_TO_MAKE_A_KEY})"
        )
