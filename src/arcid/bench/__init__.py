"""Benchmarks behind ``arcid bench`` and ``benchmarks/``: ratios to a peer timed in the same run."""

from __future__ import annotations

from arcid.bench.common import hardware_slug

__all__ = ["hardware_slug"]
