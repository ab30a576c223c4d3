"""Where the service listens, whom it lets in, and how long it waits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

from arcid.server.settings.parsing import hash_keys, networks, origins


class Listening(BaseSettings):
    """Addresses, keys and connections."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    uds: Path | None = Field(
        None,
        description="Unix socket to listen on instead of a port; for its owner and their group.",
    )
    tls_cert: Path | None = Field(
        None, description="Certificate chain to speak TLS with, a PEM file; with ARCID_TLS_KEY."
    )
    tls_key: Path | None = Field(
        None, repr=False, description="Its private key, a PEM file without a password."
    )
    api_keys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(hash_keys)] = Field(
        (), description="API keys, separated by commas; only their sha256 is kept in memory."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(networks)] = Field(
        (),
        description="Addresses or networks of proxies whose X-Forwarded-For, -Proto and -Host are "
        "believed, separated by commas; unix: whoever comes through ARCID_UDS.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(origins)] = Field(
        (),
        description="Origins of web pages that may call /v1/ from a browser, with an API key, as "
        "https://app.example, separated by commas. Empty: none.",
    )
    max_connections: int = Field(
        512, ge=4, description="Most open connections; idle ones make room for new ones."
    )
    max_connections_per_client: int = Field(
        128, ge=2, description="The same of one address that is no trusted proxy."
    )
    header_timeout_s: float = Field(
        15.0, gt=0, description="How long a connection may be open without a whole request head."
    )
    upload_timeout_s: float = Field(
        20.0, gt=0, description="How long a body is waited for that comes too slowly."
    )
    min_upload_bytes_per_s: int = Field(
        1024, ge=1, description="What is too slow for a body, on average over that time."
    )
    answer_timeout_s: float = Field(
        60.0, gt=0, description="How long a client may take nothing of an answer."
    )
