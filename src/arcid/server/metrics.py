"""Prometheus metrics of one application, in a registry of its own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from arcid.apps.backups import Backups
from arcid.server.pulse import Pulse

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
FACES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Names start with ``arcid_``; docs/concepts/rest.md lists them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "arcid_http_requests_total",
            "Requests answered, by route template.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "arcid_http_request_seconds",
            "Time from the first byte to the answer.",
            ("method", "route"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "arcid_stage_seconds",
            "Time of one stage: decode, detect (with alignment and quality), embed (a batch), "
            "search.",
            ("stage",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batch_faces = Histogram(
            "arcid_batch_faces",
            "Faces embedded in one call.",
            buckets=FACES,
            registry=self.registry,
        )
        self.queue_images = Gauge(
            "arcid_queue_images", "Images waiting or being worked on.", registry=self.registry
        )
        self.inflight_pixels = Gauge(
            "arcid_inflight_pixels",
            "Pixels of images waiting or being worked on, by the memory that reading them takes.",
            registry=self.registry,
        )
        self.inflight_bytes = Gauge(
            "arcid_inflight_bytes", "Bytes of uploads being worked on.", registry=self.registry
        )
        self.connections = Gauge(
            "arcid_connections", "Open connections, WebSockets too.", registry=self.registry
        )
        self.connections_closed = Counter(
            "arcid_connections_closed_total",
            "Connections closed for others or for being slow.",
            ("reason",),
            registry=self.registry,
        )
        self.overloaded = Counter(
            "arcid_overloaded_total", "Requests answered with 429.", registry=self.registry
        )

    def watch(self, pulse: Pulse, backups: Backups) -> None:
        """Report the gallery's size as it was last seen, and when that was; and its backups."""
        self.registry.register(_GallerySizes(pulse))
        self.registry.register(_Backups(backups))
        self.registry.register(_Alerts(pulse))

    def render(self) -> bytes:
        return generate_latest(self.registry)


class _GallerySizes(Collector):
    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        sizes = self._pulse.sizes
        for name, text, value in (
            ("collections", "Collections.", sizes.collections),
            ("people", "People enrolled.", sizes.people),
            ("faces", "Faces enrolled.", sizes.faces),
            ("seen_seconds", "Since the gallery last answered.", self._pulse.seen_s),
        ):
            yield GaugeMetricFamily(f"arcid_gallery_{name}", text, value=value)


class _Backups(Collector):
    def __init__(self, backups: Backups) -> None:
        self._backups = backups

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        if self._backups.schedule is None:
            return
        text = "1 where the last backup that was tried here was not made."
        yield GaugeMetricFamily("arcid_backup_failed", text, value=self._backups.failed)
        if (newest := self._backups.newest) is not None:
            age_s = (datetime.now(UTC) - newest.made_at).total_seconds()
            yield GaugeMetricFamily("arcid_backup_seconds", "Since the newest backup.", value=age_s)


class _Alerts(Collector):
    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        found = GaugeMetricFamily(
            "arcid_alert_latency_seconds",
            "From a face being visible to its alert being stored, and told; of the newest alerts.",
            labels=("stage", "quantile"),
        )
        taken = self._pulse.alerts
        for stage, spread in () if taken is None else (
            ("stored", taken.stored), ("delivered", taken.delivered),
        ):  # fmt: skip
            for quantile, value in (("0.5", spread.p50_ms), ("0.95", spread.p95_ms)):
                if value is not None:
                    found.add_metric((stage, quantile), value / 1000)
        yield found
