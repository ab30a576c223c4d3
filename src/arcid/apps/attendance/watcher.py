"""One camera watched for attendance alone: a command, a kiosk's page, a recording."""

from __future__ import annotations

from arcid.apps import watching
from arcid.apps.attendance.observer import duty
from arcid.apps.attendance.policy import Policy
from arcid.apps.watching import Liveness
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline


class Watcher(watching.Watcher):
    """Watches one camera for one thread. ``camera`` is its name in every event.

    Raises ``CalibrationMissing`` and ``CollectionNotFound`` at once, ``MissingExtra`` without the
    tracking package, ``UsageError`` where the policy asks for liveness and none is handed in.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        gallery: Gallery,
        collection: str,
        policy: Policy | None = None,
        *,
        camera: str = "camera",
        liveness: Liveness | None = None,
    ) -> None:
        self.policy = policy or Policy()
        self.collection = gallery.collection(collection).name
        super().__init__(
            pipeline,
            [duty(gallery, self.collection, self.policy)],
            self.policy,
            camera=camera,
            liveness=None if liveness is None else lambda: liveness,
        )

    def rate(self, size: int) -> float:
        """The false positive identification rate decided at in a gallery of so many templates."""
        return self.policy.rate(self._pipeline.calibration, size)
