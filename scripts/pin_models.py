"""Write the digests of the bundles and calibrations that ship into ``arcid/models/trust.py``.

    python scripts/pin_models.py

Run it after a bundle in ``arcid/models/default`` was made anew, and look at the difference: these
lines are what arcid recognises its own models by.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from arcid import files, paths
from arcid.models import trust, weights


def pins() -> dict[str, dict[str, str]]:
    """What the module's dictionaries hold."""
    folders = (path.parent for path in paths.packaged_models_dir().glob("*/manifest.json"))
    return {
        "PACKAGED": {folder.name: trust.digest(folder) for folder in sorted(folders)},
        "CALIBRATIONS": {
            path.name: weights.sha256_file(path)
            for path in sorted(weights.CALIBRATIONS.glob("*.json"))
        },
    }


def main() -> int:
    module = Path(trust.__file__)
    text = module.read_text("utf-8")
    for name, pinned in pins().items():
        lines = "".join(f'    "{key}": "{value}",\n' for key, value in pinned.items())
        text = re.sub(rf"^{name} = \{{.*?^\}}", f"{name} = {{\n{lines}}}", text, flags=re.M | re.S)
    files.write_text(module, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
