"""68 landmarks a face, and what they tell: pose of the head, openness of eyes and mouth, contour.

A stage of its own, off unless asked for: detections → ``model`` → ``points`` → ``pose``, ``mask``
"""

from arcid.landmarks.model import LandmarkModel
from arcid.landmarks.points import Landmarks

__all__ = ["LandmarkModel", "Landmarks"]
