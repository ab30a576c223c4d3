"""A place to choose an archive, a folder or a list, which the service keeps for a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.ui.icons import svg


class FileDrop(Element, component="static/filedrop.js"):
    """``on_file`` gets the upload's id and the name of what was chosen; ``folder``: a folder, which
    the browser sends as one zip."""

    def __init__(
        self,
        label: str,
        hint: str,
        on_file: Callable[[str, str], Awaitable[None]],
        *,
        icon: str,
        accept: str = "",
        folder: bool = False,
        max_bytes: int,
    ) -> None:
        super().__init__()
        self.props["address"] = f"{ROOT}/upload"
        self.props["label"] = label
        self.props["hint"] = hint
        self.props["accept"] = accept
        self.props["folder"] = folder
        self.props["busyText"] = S.IMPORT_SENDING
        self.props["failedText"] = S.DROP_FAILED
        self.props["tooLargeText"] = S.IMPORT_TOO_LARGE.format(size=S.bytes_(max_bytes))
        self.props["tooManyText"] = S.IMPORT_TOO_MANY
        self.props["maxBytes"] = max_bytes
        self.props["icon"] = svg(icon)

        async def received(event: GenericEventArguments) -> None:
            await on_file(str(event.args["id"]), str(event.args["name"])[:120])

        self.on("file", received)
