"""Who is here: the signed-in account behind a page, asked again before every action."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from arcid.errors import ArcidError, SeveralFacesFound
from arcid.results import Face, Faces
from arcid.server.console import strings as S
from arcid.server.console.auth.accounts import Account
from arcid.server.console.auth.roles import Permission
from arcid.types import Selection

if TYPE_CHECKING:
    from arcid.gallery import Gallery
    from arcid.server.console.app import Console
    from arcid.server.deps import Services

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


class SignedOut(ArcidError):
    """The session ended or the account was changed."""

    code = "signed_out"


class NotAllowed(ArcidError):
    """The account's role does not hold the permission."""

    code = "not_allowed"


@dataclass(frozen=True, slots=True)
class Visit:
    """One browser's session at the time its page was asked for."""

    console: Console
    token: str
    account: Account

    @property
    def services(self) -> Services:
        return self.console.services

    @property
    def gallery(self) -> Gallery:
        return self.services.gallery

    def may(self, permission: Permission) -> bool:
        """For what to show; ``allow`` is what protects."""
        return self.account.may(permission)

    async def allow(self, permission: Permission) -> Account:
        """The account as it is now; raises ``SignedOut`` or ``NotAllowed`` if it may not."""
        account = await asyncio.to_thread(self.console.accounts.session, self.token)
        if account is None:
            raise SignedOut(S.SIGNED_OUT)
        if not account.may(permission):
            raise NotAllowed(S.NOT_ALLOWED)
        return account

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A blocking call in a thread of those that may wait for the gallery, which session checks
        do not need. Raises ``Overloaded``."""
        return await self.services.writes.run(call, *args, **kwargs)

    async def faces(
        self, photo: bytes, *, select: Selection = "all", photo_ids: bool = False
    ) -> Faces:
        """The faces of an uploaded photo, through the service's one queue."""
        (future,) = await self.run(
            self.services.batcher.submit, [photo], select=select, photo_ids=photo_ids
        )
        return await asyncio.wrap_future(future)

    async def one_face(self, photo: bytes, *, photo_ids: bool = False) -> Face:
        """The one face of a photo, ``photo_ids`` where it is to be enrolled.

        Raises ``NoFaceFound`` and ``SeveralFacesFound``; quality is measured, not enforced.
        """
        try:
            found = await self.faces(photo, select="prominent", photo_ids=photo_ids)
        except SeveralFacesFound as error:  # its message names a choice that no page offers
            error.message = S.FACES_SEVERAL.format(**error.details)
            raise
        return self.services.pipeline.checked(found)


def quietly(
    visit: Visit, permission: Permission
) -> Callable[[Callable[[], Awaitable[None]]], Callable[[], Awaitable[None]]]:
    """Around what a page does by itself every so often: trouble is logged, an ended session ends
    the page."""

    def around(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            from nicegui import ui

            try:
                await visit.allow(permission)
                await work()
            except (SignedOut, NotAllowed):
                ui.navigate.reload()
            except ArcidError as error:
                log.warning("a page could not be refreshed", extra={"code": error.code})

        return run

    return around
