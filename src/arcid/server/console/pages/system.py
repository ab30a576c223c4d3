"""Is it well, how fast is it, how much does it hold?"""

from __future__ import annotations

import platform
import time
from datetime import datetime

import arcid
from arcid.errors import ArcidError
from arcid.events import Outbox
from arcid.events.duties import holders
from arcid.runtime import default_threads, hardware
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    chip,
    element,
    facts,
    link_button,
    note,
    say,
    table_head,
    text,
)
from arcid.server.deps import Services


async def system(context: ConsoleContext) -> None:
    """Health, speed and storage on one page."""
    running = context.services
    with frame(context, S.SYSTEM, "/system", lead=S.SYSTEM_LEAD):
        with element("div", "columns even"):
            with card(S.HEALTH):
                await _health(context)
                queue = S.QUEUE_TEXT.format(
                    waiting=running.batcher.pending, size=running.settings.queue_size
                )
                facts(
                    [
                        (S.VERSION, arcid.__version__),
                        (S.TIME_HERE, _now()),
                        (S.UPTIME, S.duration(time.monotonic() - running.started)),
                        (S.QUEUE, queue),
                        (S.PROCESSOR, hardware.cpu_name()),
                        (S.THREADS, str(default_threads())),
                        (S.PYTHON, platform.python_version()),
                        (S.PLATFORM, platform.platform(terse=True)),
                    ]
                )
            with card(S.SPEED):
                _speed(running)
                _alerts(running)
        with element("div", "columns even"):
            with card(S.STORAGE):
                await _storage(context)
            with card(S.COLLECTIONS):
                await _collections(context)
        with element("div", "columns even"):
            with card(S.TOLD_OTHERS):
                await _told(context)
                link_button(S.WEBHOOKS_OPEN, f"{ROOT}/webhooks")
            with card(S.TASKS):
                _tasks(running)
        with card(S.BACKUPS):
            await _backups(context)


async def _health(context: ConsoleContext) -> None:
    try:
        await context.run(context.gallery.last_change)
    except ArcidError as error:
        chip(S.HEALTH_TROUBLE, "bad")
        note(error.message, "bad", role="alert")
        return
    losses = await context.run(context.gallery.losses)
    for line in losses:
        note(line, "bad", role="alert")
    for line in await context.run(context.gallery.unscrubbed):
        note(line, "warn", role="status")
    troubles = await context.run(_deciding, context.services)
    well = not losses and not troubles
    chip(S.HEALTHY if well else S.HEALTH_TROUBLE, "good" if well else "warn")
    for trouble in troubles:
        note(trouble, "warn")


def _now() -> str:
    now = datetime.now().astimezone()
    return f"{now.isoformat(' ', 'minutes')} ({now:%Z})"


def _deciding(running: Services) -> list[str]:
    """What stands between the calibration and the questions asked here, in words."""
    try:
        if running.calibration() is None:
            return [S.NO_CALIBRATION]
    except ArcidError as error:
        return [error.message]
    found = [
        S.UNANSWERED.format(message=u.message[:1].upper() + u.message[1:], advice=u.advice)
        for u in running.unanswered()
    ]
    return found + ([S.CALIBRATION_REPLACED] if running.pipeline.calibration_replaced else [])


def _speed(running: Services) -> None:
    stages = {name: stage_times(running, name) for name in S.STAGES}
    if not any(count for count, _ in stages.values()):
        text(S.SPEED_NONE, "soft", tag="p")
        return
    text(S.SPEED_TEXT, "soft small", tag="p")
    with element("div", "table-box"), element("table"), element("tbody"):
        for name, (count, mean_s) in stages.items():
            if count:
                with element("tr"):
                    text(S.STAGES[name], tag="td")
                    text(S.MILLISECONDS.format(ms=mean_s * 1000), "number", tag="td")
                    text(S.STAGE_COUNT.format(n=round(count)), "number soft", tag="td")


def _alerts(running: Services) -> None:
    """How long alerts of watchlists took, where there were any."""
    taken = running.pulse.alerts
    if taken is None or not taken.stored.count:
        return
    rows = []
    for label, one in ((S.ALERT_STORED, taken.stored), (S.ALERT_TOLD, taken.delivered)):
        if one.p50_ms is not None and one.p95_ms is not None:
            words = S.ALERT_SPREAD.format(p50=one.p50_ms / 1000, p95=one.p95_ms / 1000, n=one.count)
            rows.append((label, words))
    facts(rows)


def stage_times(running: Services, stage: str) -> tuple[float, float]:
    """How often a stage ran since the start, and its mean time in seconds."""
    values = {
        sample.name: sample.value
        for metric in running.metrics.stage_seconds.collect()
        for sample in metric.samples
        if sample.labels.get("stage") == stage
    }
    count = values.get("arcid_stage_seconds_count", 0.0)
    return count, values.get("arcid_stage_seconds_sum", 0.0) / count if count else 0.0


async def _storage(context: ConsoleContext) -> None:
    stats = await context.run(context.gallery.stats)
    facts(
        [
            (S.DATABASE, f"{stats['backend']} · {context.gallery.url}"),
            (S.DATABASE_SIZE, S.bytes_(stats["file_bytes"])),
            (S.JOURNAL, f"{stats['journal_mode']}, {stats['synchronous']}"),
            (S.SCHEMA, str(stats["schema_version"])),
        ]
    )
    findings = element("div", aria_live="polite")

    @action(context, "system")
    async def check() -> None:
        found = await context.run(context.gallery.check)
        findings.clear()
        with findings:
            for line in found:
                note(line, "bad", role="alert")
        if not found:
            say(S.CHECK_OK)

    button(S.CHECK, check, icon="check")


async def _told(context: ConsoleContext) -> None:
    found = await context.run(Outbox(context.gallery).counts)
    if not found:
        text(S.TOLD_NOBODY, "soft", tag="p")
        return
    by = await context.run(holders, context.gallery)
    with element("div", "table-box"), element("table"):
        table_head(S.TOLD_HEAD)
        with element("tbody"):
            for name, counts in sorted(found.items()):
                with element("tr"):
                    text(name, tag="td")
                    for what in ("waiting", "done", "failed"):
                        text(f"{counts[what]:,}", "number", tag="td")
                    holder = by.get(f"telling:{name}")
                    text(S.TOLD_BY_NOBODY if holder is None else holder[0], tag="td")


def _tasks(running: Services) -> None:
    with element("div", "table-box"), element("table"):
        table_head(S.TASKS_HEAD)
        with element("tbody"):
            for state in running.housekeeping.states:
                with element("tr"):
                    text(S.TASK_NAMES.get(state.task.name, state.task.name), tag="td")
                    text(S.duration(state.task.every_s), "number", tag="td")
                    last = S.TASK_ELSEWHERE if state.elsewhere else S.TASK_WAITS
                    text(S.moment(state.last) if state.last else last, tag="td")
                    text(state.problem or S.TASK_WELL, "bad" if state.problem else "", tag="td")


SHOWN = 5  # backups


async def _backups(context: ConsoleContext) -> None:
    running = context.services
    if running.backups.schedule is None:
        text(S.BACKUPS_NONE, "soft", tag="p")
        return
    settings = running.settings
    words = S.BACKUPS_EVERY.format(hours=settings.backup_every_h, keep=settings.backup_keep)
    text(words, "soft small", tag="p")
    listed = element("div", aria_live="polite")

    async def show() -> None:
        found = await context.run(running.backups.state)
        listed.clear()
        with listed:
            if found.problem is not None:
                note(found.problem, "bad" if found.backups else "warn", role="alert")
            if not found.backups:
                return
            with element("div", "table-box"), element("table"):
                table_head(S.BACKUPS_HEAD)
                with element("tbody"):
                    for one in found.backups[:SHOWN]:
                        with element("tr"):
                            text(S.moment(one.made_at), tag="td")
                            text(S.bytes_(one.bytes), "number", tag="td")
                            text(one.path.name, "soft", tag="td")

    @action(context, "system")
    async def make() -> None:
        try:
            made = await context.run(running.backups.make)
            say(S.BACKUP_MADE.format(name=made.path.name))
        finally:
            await show()

    await show()
    button(S.BACKUP_NOW, make, icon="download")


async def _collections(context: ConsoleContext) -> None:
    known = await context.run(context.gallery.collections)
    if not known:
        text(S.NO_COLLECTION, "soft", tag="p")
        return
    with element("div", "table-box"), element("table"):
        table_head(S.COLLECTION_HEAD)
        with element("tbody"):
            for one in known:
                with element("tr"):
                    text(one.name, tag="td")
                    text(f"{one.people:,}", "number", tag="td")
                    text(f"{one.faces:,}", "number", tag="td")
                    text(S.YES if one.keep_crops else S.NO, tag="td")
