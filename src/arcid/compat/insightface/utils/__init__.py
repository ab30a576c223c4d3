"""Helpers of alignment."""

from arcid.compat.insightface.utils import face_align

__all__ = ["face_align"]
