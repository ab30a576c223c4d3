"""Write ``openapi.json`` anew: ``python -m tests.api.update_openapi``; then review the diff."""

from __future__ import annotations

import json
from pathlib import Path

from arcid.server.app import create_app
from arcid.server.settings import Settings

if __name__ == "__main__":
    text = json.dumps(create_app(Settings.load()).openapi(), indent=1, ensure_ascii=False)
    (Path(__file__).parent / "openapi.json").write_text(text + "\n", "utf-8")
