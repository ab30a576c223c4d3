"""Which calibration decides from the next start on: own ones and the packaged one. Admins."""

from __future__ import annotations

from typing import Any

from arcid.apps import model_choice
from arcid.errors import ArcidError
from arcid.models.weights import Bundle
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.dialogs import confirm
from arcid.server.console.ui.widgets import action, button, card, chip, element, say, text


class Calibrations:
    """Those of the recogniser that runs, drawn anew after every change."""

    def __init__(self, context: ConsoleContext, bundle: Bundle) -> None:
        self._context, self._bundle = context, bundle

    async def build(self) -> None:
        with card(S.CALIBRATIONS):
            text(S.CALIBRATIONS_LEAD, "soft small", tag="p")
            self._place = element("div", "account-list")
        await self.refresh()

    async def refresh(self) -> None:
        found = await self._context.run(model_choice.known, self._bundle)
        try:
            now = self._context.services.calibration()
        except ArcidError:
            now = None
        self._place.clear()
        with self._place:
            for kept in found:
                self._row(kept, now is not None and kept.calibration_id == now.calibration_id)

    def _row(self, kept: model_choice.Kept, decides: bool) -> None:
        data = kept.to_dict()
        with element("div", "account"):
            with element("div", "person-lines grow"):
                with element("span", "row tight"):
                    text(str(data["dataset"]), "person-name")
                    chip(S.CALIBRATION_PACKAGED if kept.packaged else S.CALIBRATION_OWN)
                    if kept.in_force:
                        chip(S.CALIBRATION_IN_FORCE, "good")
                    if decides and not kept.in_force:
                        chip(S.CALIBRATION_UNTIL_RESTART, "warn")
                told = S.CALIBRATION_STANDS_ON.format(
                    people=data["people"], photos=data["photos"], date=data["date"],
                    smallest=S.rate(data["smallest_supported_fmr"]), id=kept.calibration_id,
                )  # fmt: skip
                text(told, "soft small")
                if data["notes"]:
                    text(str(data["notes"]), "soft small")
            if not kept.in_force:
                with element("div", "row"):
                    button(S.CALIBRATION_USE, self._using(kept))
                    if not kept.packaged:
                        button(S.CALIBRATION_DELETE, self._deleting(kept), kind="danger")

    def _using(self, kept: model_choice.Kept) -> Any:
        context = self._context

        @action(context, "system")
        async def use() -> None:
            if await confirm(S.CALIBRATION_USE_TITLE, S.CALIBRATION_USE_TEXT, S.CALIBRATION_USE):
                await context.allow("system")
                wanted = None if kept.packaged else kept.calibration_id
                await context.run(context.services.choices.use, self._bundle, wanted)
                say(S.CALIBRATION_USED)
                await self.refresh()

        return use

    def _deleting(self, kept: model_choice.Kept) -> Any:
        context = self._context

        @action(context, "system")
        async def delete() -> None:
            title, words = S.CALIBRATION_DELETE_TITLE, S.CALIBRATION_DELETE_TEXT
            if await confirm(title, words, S.CALIBRATION_DELETE):
                await context.allow("system")
                await context.run(
                    context.services.choices.delete, self._bundle, kept.calibration_id
                )
                await self.refresh()

        return delete
