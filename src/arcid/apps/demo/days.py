"""Attendance of some days: who came when, who left, who was not known, and one in doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta

from arcid.apps import watching
from arcid.apps.attendance import Policy
from arcid.apps.attendance.observer import duty
from arcid.apps.demo.cast import Cast
from arcid.apps.demo.places import CAMERA, COLLECTION, SIDE
from arcid.apps.demo.walking import Passing, Recording
from arcid.apps.watchlists import observer as watchlists
from arcid.events import Place
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline

DAYS = 3
PAUSE = timedelta(minutes=10)  # the live cameras go on from now
BETWEEN = timedelta(seconds=25)
SHIFT = Policy(keep="crop", cooldown_s=11 * 3600.0)  # people pass the door twice a day
DOUBT = Policy(keep="crop", fpir=1e-9)  # stricter than the calibration knows: a human decides


def attend(gallery: Gallery, pipeline: Pipeline, cast: Cast, now: datetime) -> None:
    """Have the front door's camera see the last days, and the side door's the night before."""
    past = [passing for day in _workdays(now) for passing in _day(cast, day)]
    past = [one for one in past if one.at < now - PAUSE]
    past += _lately(past, now)
    duties = [
        duty(gallery, COLLECTION, SHIFT),
        watchlists.duty(gallery, Place(CAMERA, CAMERA)),
    ]
    _see(pipeline, duties, SHIFT, CAMERA, past)
    night = datetime.combine(now.date() - timedelta(days=1), time(), now.tzinfo)
    doubtful = [
        Passing(night + timedelta(hours=22, minutes=9 * n), player.heads[-1])
        for n, player in enumerate(cast.staff[1:3])
    ]
    _see(pipeline, [duty(gallery, COLLECTION, DOUBT)], DOUBT, SIDE, doubtful)


def _lately(past: Sequence[Passing], now: datetime) -> list[Passing]:
    """Whoever came today was seen again just now."""
    today = [one for one in past if one.at.date() == now.date() and one.at < now - 3 * PAUSE]
    return [replace(one, at=now - PAUSE + n * BETWEEN) for n, one in enumerate(today)]


def _see(
    pipeline: Pipeline,
    duties: Sequence[watching.Duty],
    policy: Policy,
    camera: str,
    passings: Sequence[Passing],
) -> None:
    watcher = watching.Watcher(pipeline, duties, policy, camera=camera)
    for _ in watcher.watch(Recording(camera, passings)):
        pass


def _workdays(now: datetime) -> list[date]:
    """The last days people worked, and today."""
    before = (now.date() - timedelta(days=back) for back in range(1, 2 * DAYS + 1))
    return [now.date(), *[day for day in before if day.weekday() < 5][:DAYS]]


def _day(cast: Cast, day: date) -> Iterator[Passing]:
    """Everybody comes in the morning and goes in the evening; one stays away each day."""
    start, turn = datetime.combine(day, time()).astimezone(), day.toordinal()
    for number, player in enumerate(cast.staff):
        if number == turn % len(cast.staff):
            continue
        came = timedelta(hours=8, minutes=4 * number + turn * (number + 1) % 4)
        went = timedelta(hours=16, minutes=30 + 7 * number + turn * (number + 2) % 6)
        heads = player.heads
        yield Passing(start + came, heads[turn % len(heads)])
        yield Passing(start + went, heads[(turn + 1) % len(heads)])
    if cast.strangers:
        later = timedelta(hours=10, minutes=turn * 7 % 60)
        yield Passing(start + later, cast.strangers[turn % len(cast.strangers)])
    if turn % 2:
        yield Passing(start + timedelta(hours=13, minutes=12), cast.barred.heads[0])
