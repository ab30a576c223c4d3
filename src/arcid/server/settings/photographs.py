"""How much may be sent and be worked on at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

from arcid.server.settings.parsing import hosts

MIB = 2**20


class Photographs(BaseSettings):
    """Bytes, pixels and images."""

    max_upload_bytes: int = Field(16 * MIB, ge=1024, description="Most bytes of one image.")
    max_request_bytes: int = Field(64 * MIB, ge=1024, description="Most bytes of one upload.")
    max_json_bytes: int = Field(MIB, ge=1024, description="Most bytes of a JSON body.")
    max_inflight_bytes: int = Field(
        256 * MIB, ge=1024, description="Most bytes of all uploads being worked on at once."
    )
    max_image_pixels: int = Field(
        50_000_000,
        ge=256,
        description="Most pixels of one image; reading one takes 4 bytes for each.",
    )
    max_inflight_pixels: int = Field(
        150_000_000,
        ge=256,
        description="Most pixels of all images waiting or being worked on at once; a request that "
        "has more by itself is taken when nothing else waits.",
    )
    max_archive_bytes: int = Field(
        4096 * MIB, ge=1024, description="Most bytes of an archive that is uploaded for an import."
    )
    imports: Path | None = Field(
        None,
        description="Folder on this machine whose folders may be imported from; without it, "
        "uploads are the only way.",
    )
    max_images: int = Field(16, ge=1, le=1000, description="Most images of one request.")
    image_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(hosts)] = Field(
        (),
        description="Hosts that images may be fetched from where a request gives an address "
        "instead of a picture, separated by commas; over https, at public addresses only. Empty: "
        "none.",
    )
    image_timeout_s: float = Field(
        10.0, gt=0, le=60, description="How long the images of one request may take to be fetched."
    )
    queue_size: int = Field(
        64, ge=1, description="Images waiting or being worked on; one more is answered with 429."
    )
    max_batch: int = Field(32, ge=1, le=1024, description="Faces that close a batch.")
    max_wait_ms: float = Field(
        3.0, ge=0, le=1000, description="How long a face waits for others whose photo is in work."
    )
    decode_apart: bool = Field(
        False,
        description="Whether uploads are decoded in processes of their own, one per worker, each "
        "under a memory limit; Linux only.",
    )
    workers: int | None = Field(
        None, ge=1, le=256, description="Threads that decode and detect; by default one per core."
    )
