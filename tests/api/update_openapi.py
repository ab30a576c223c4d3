"""Write ``openapi.json`` and the client's modules anew: ``python -m tests.api.update_openapi``.

Then review the diff.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from arcid.server.app import create_app
from arcid.server.settings import Settings

if __name__ == "__main__":
    text = json.dumps(create_app(Settings.load()).openapi(), indent=1, ensure_ascii=False)
    (Path(__file__).parent / "openapi.json").write_text(text + "\n", "utf-8")
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, str(root / "scripts" / "make_client.py")], check=True)
