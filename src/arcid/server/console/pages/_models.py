"""What decides from the next start on: models chosen, crops embedded again. Admins."""

from __future__ import annotations

from typing import Any

from arcid.apps import model_choice, model_facts
from arcid.apps.jobs import Jobs, begin_reembedding
from arcid.apps.model_choice import Ahead, Choice
from arcid.errors import ManifestInvalid
from arcid.models import pull as offers
from arcid.models import weights
from arcid.models.manifest import Task
from arcid.models.weights import Bundle
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._catalogue import Catalogue
from arcid.server.console.ui.dialogs import answer, confirm, dialog, dialog_buttons
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    chip,
    element,
    note,
    say,
    text,
)

TASKS: tuple[Task, ...] = ("recognition", "detection")


class Machine:
    """The models of this machine, drawn anew after every change."""

    def __init__(self, context: ConsoleContext) -> None:
        self._context = context

    async def build(self) -> None:
        self._place = element("div", "column")
        await self.refresh()

    async def refresh(self) -> None:
        found = await self._context.run(self._read)
        self._place.clear()
        with self._place:
            await self._show(**found)

    def _read(self) -> dict[str, Any]:
        broken: dict[str, ManifestInvalid] = {}
        bundles = weights.installed(broken)
        names = {bundle.name for bundle in bundles}
        every = [offers.offer(name) for name in sorted(weights.pullable())]
        running = self._context.services.pipeline.bundle
        gallery = self._context.gallery
        return {
            "choices": [self._context.services.choices.next_start(task) for task in TASKS],
            "bundles": [(one, model_facts.summary(one, {})) for one in bundles],
            "broken": {name: error.message for name, error in broken.items()},
            "offered": [one for one in every if not {e.name for e in one.models} <= names],
            "ahead": [] if running is None else model_choice.ahead(gallery, running),
            "busy": {job.collection for job in Jobs(gallery).every(ended=False)
                     if job.kind == "reembed"},
        }  # fmt: skip

    async def _show(
        self,
        choices: list[Choice],
        bundles: list[tuple[Bundle, dict[str, Any]]],
        broken: dict[str, str],
        offered: list[offers.Offer],
        ahead: list[Ahead],
        busy: set[str],
    ) -> None:
        with element("div", "columns even"):
            with card(S.MODELS_NEXT):
                for choice in choices:
                    self._next(choice)
            with card(S.MODELS_COLLECTIONS):
                self._collections(ahead, busy)
        with card(S.MODELS_HERE), element("div", "account-list"):
            following = {choice.task: choice for choice in choices}
            for bundle, facts in bundles:
                self._installed(bundle, facts, following.get(bundle.manifest.task))
            for name, problem in broken.items():
                note(f"{name}: {problem}", "warn")
        with card(S.MODELS_CATALOGUE):
            Catalogue(self._context, self.refresh).build(offered)

    def _next(self, choice: Choice) -> None:
        made_with = self._context.services.pipeline.provenance
        now = made_with["model" if choice.task == "recognition" else "detector"]
        text(S.MODEL_TASKS[choice.task], "person-name", tag="h3")
        words = S.MODEL_WHY[choice.why].format(name=choice.name, variable=choice.variable)
        text(words, tag="p")
        if choice.problem is not None:
            note(choice.problem, "bad")
        elif choice.name != now:
            note(S.MODELS_RESTART.format(now=now, next=choice.name), "warn")
        if choice.why == "chosen":
            button(S.MODEL_PACKAGED, self._returning(choice.task))

    def _collections(self, ahead: list[Ahead], busy: set[str]) -> None:
        text(S.MODELS_NEVER_MEET, "soft small", tag="p")
        for one in ahead:
            with element("div", "account"), element("div", "person-lines grow"):
                text(one.collection, "person-name")
                text(_ahead_words(one), "soft small")
                if one.collection in busy:
                    text(S.MODELS_EMBEDDING, "soft small", role="status")
                elif one.waiting and one.problem is None:
                    with element("div", "row"):
                        button(S.MODELS_EMBED, self._embedding(one))

    def _installed(self, bundle: Bundle, facts: dict[str, Any], following: Choice | None) -> None:
        made_with = self._context.services.pipeline.provenance
        runs = bundle.name in (made_with["model"], made_with["detector"])
        measured = facts["measured"]
        told = [S.MODEL_TASKS[bundle.manifest.task], facts["licence"]]
        if not bundle.manifest.licence.commercial_use:
            told.append(S.MODEL_NOT_COMMERCIAL)
        if measured:
            told.append(S.MODEL_MEASURED.format(**{
                key: S.percent(measured[key]) for key in ("tar", "tar_low", "tar_high")
            }))  # fmt: skip
        if facts["calibration"] in ("no", "unusable"):
            told.append(S.MODEL_UNCALIBRATED)
        with element("div", "account"):
            with element("div", "person-lines grow"):
                with element("span", "row tight"):
                    text(bundle.name, "person-name")
                    if runs:
                        chip(S.MODEL_RUNS, "good")
                    if not bundle.vouched:
                        chip(S.MODEL_UNVERIFIED, "warn")
                text(facts["description"] or facts["family"], "soft small")
                text(" · ".join(told), "soft small")
            free = following is not None and following.why != "named"
            if free and following is not None and following.name != bundle.name:
                button(S.MODEL_USE, self._choosing(bundle), name=f"{S.MODEL_USE}: {bundle.name}")

    def _choosing(self, bundle: Bundle) -> Any:
        context, manifest = self._context, bundle.manifest

        @action(context, "system")
        async def choose() -> None:
            if manifest.task == "recognition":
                ahead = await context.run(model_choice.ahead, context.gallery, bundle)
                lines = [f"{one.collection}: {_ahead_words(one)}" for one in ahead]
                ready = S.MODEL_USE_RECOGNISER
            else:
                lines, ready = [], S.MODEL_USE_DETECTOR
            with dialog(S.MODEL_USE_TITLE.format(name=bundle.name)) as asked:
                text(ready, tag="p")
                for line in lines:
                    text(line, "soft small", tag="p")
                dialog_buttons(asked, S.MODEL_USE, lambda: True)
            if await answer(asked):
                await context.allow("system")
                await context.run(context.services.choices.choose, bundle.name)
                say(S.MODEL_CHOSEN.format(name=bundle.name))
                await self.refresh()

        return choose

    def _returning(self, task: Task) -> Any:
        context = self._context

        @action(context, "system")
        async def back() -> None:
            found = await context.run(context.services.choices.choose_packaged, task)
            say(S.MODEL_CHOSEN.format(name=found.name))
            await self.refresh()

        return back

    def _embedding(self, one: Ahead) -> Any:
        context = self._context

        @action(context, "system")
        async def begin() -> None:
            title = S.MODELS_EMBED_TITLE.format(name=one.collection)
            if await confirm(title, S.MODELS_EMBED_TEXT.format(n=one.waiting), S.MODELS_EMBED):
                await context.allow("system")
                pipeline = context.services.pipeline
                await context.run(begin_reembedding, context.gallery, one.collection, pipeline)
                context.services.jobs.wake()
                await self.refresh()

        return begin


def _ahead_words(one: Ahead) -> str:
    if one.problem is not None:
        return one.problem
    return S.MODELS_AHEAD.format(done=one.done, waiting=one.waiting, stuck=one.stuck)
