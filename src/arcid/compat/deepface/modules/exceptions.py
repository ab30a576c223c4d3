"""deepface's exceptions, all of them ``ValueError``."""


class DataTypeError(ValueError):
    """A list that should hold the numbers of a vector holds something else."""


class DimensionMismatchError(ValueError):
    """A vector of another length than the model's."""


class DuplicateEntryError(ValueError):
    """A face that is stored already."""


class EmptyDatasource(ValueError):
    """A folder without pictures, or a store without faces."""


class FaceNotDetected(ValueError):
    """No face where one is needed."""


class ImgNotFound(ValueError):
    """A picture that is not there."""


class InvalidEmbeddingsShapeError(ValueError):
    """Vectors of different lengths."""


class PathNotFound(ValueError):
    """A folder that is not there."""


class SpoofDetected(ValueError):
    """A picture of a picture."""


class UnimplementedError(ValueError):
    """A model, detector or action that is not there."""


__all__ = [
    "DataTypeError",
    "DimensionMismatchError",
    "DuplicateEntryError",
    "EmptyDatasource",
    "FaceNotDetected",
    "ImgNotFound",
    "InvalidEmbeddingsShapeError",
    "PathNotFound",
    "SpoofDetected",
    "UnimplementedError",
]
