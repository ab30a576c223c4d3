"""``import arcid`` is light, and the heavy packages stay where they belong."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ("cv2", "PIL", "openvino", "onnxruntime", "sqlalchemy", "fastapi", "typer", "rich", "torch")


def _modules_after(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return {name.split(".")[0] for name in json.loads(done.stdout)}


def test_import_arcid_loads_numpy_only() -> None:
    loaded = _modules_after("import arcid")
    assert "numpy" in loaded
    assert not loaded & set(HEAVY)


def test_the_command_line_starts_without_the_heavy_packages() -> None:
    loaded = _modules_after("import arcid.cli")
    assert not loaded & (set(HEAVY) - {"typer", "rich"})


def test_the_product_needs_no_torch() -> None:
    loaded = _modules_after("import arcid.pipeline, arcid.gallery, arcid.server.app")
    assert "torch" not in loaded


def test_every_public_name_resolves() -> None:
    code = "import arcid\nfor name in arcid.__all__: getattr(arcid, name)\narcid.Pipelin"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "has no attribute 'Pipelin'" in done.stderr
