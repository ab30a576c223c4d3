"""Run deepface's own unit tests through arcid's stand-in.

python -m tests.compat.deepface_suite CHECKOUT

CHECKOUT: its repository's files. Modules of deepface other than those arcid stands in for come from
the judge (make .venv/.judged). What fails is told at the end; docs/compat/deepface.md says why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.compat.judges import ROOT, judge


def main(checkout: Path, *more: str) -> int:
    """pytest's exit status."""
    theirs = next((judge("deepface").parents[1] / "lib").glob("python3*/site-packages"))
    with tempfile.TemporaryDirectory() as folder:
        unit = shutil.copytree(checkout / "tests" / "unit", Path(folder) / "tests" / "unit")
        for name in ("requirements.txt", "package_info.json"):
            shutil.copy(checkout / name, folder)
        paths = filter(None, [os.environ.get("PYTHONPATH"), str(ROOT), str(theirs)])
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "tests.compat.deepface_swap",
             "-p", "no:cacheprovider", "--rootdir", folder, "--tb=line", "-W", "ignore",
             "--continue-on-collection-errors", *(more or ["."])],
            cwd=unit, check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        ).returncode  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
