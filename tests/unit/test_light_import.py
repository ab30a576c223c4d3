"""``import arcid`` is light, and the heavy packages stay where they belong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import arcid
from arcid import cli, errors

HEAVY = ("cv2", "PIL", "openvino", "onnxruntime", "sqlalchemy", "fastapi", "typer", "rich", "torch")


def _modules_after(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return {name.split(".")[0] for name in json.loads(done.stdout)}


def test_import_arcid_loads_nothing_heavy() -> None:
    assert not _modules_after("import arcid") & {"numpy", *HEAVY}


def test_the_client_needs_httpx_and_pydantic_alone() -> None:
    loaded = _modules_after("import arcid.client")
    assert {"httpx", "pydantic"} <= loaded
    assert not loaded & {"numpy", *HEAVY} - {"rich"}  # of httpx's own command line


def test_the_command_line_starts_without_the_heavy_packages() -> None:
    loaded = _modules_after("import arcid.cli")
    assert not loaded & (set(HEAVY) - {"typer", "rich"})


def test_a_command_loads_its_own_modules_and_every_module_has_one() -> None:
    code = (
        "import sys, arcid.cli; arcid.cli.run_command(arcid.cli.app, ['verify', '--help'])\n"
        "print(*(m for m in sys.modules if m.startswith('arcid.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = {name.removeprefix("arcid.cli.") for name in done.stdout.splitlines()[-1].split()}
    listed = {module for modules in cli.COMMANDS.values() for module in modules}
    assert loaded & listed == {"verify"}
    written = Path(cli.__file__).parent.glob("*.py")
    assert listed >= {f.stem for f in written if "\ndef register(" in f.read_text("utf-8")}


def test_the_product_needs_no_torch() -> None:
    loaded = _modules_after(
        "import arcid.pipeline, arcid.gallery, arcid.server.app, arcid.apps.aligning"
    )
    assert "torch" not in loaded


def test_every_error_and_everything_loaded_later_is_at_the_top() -> None:
    assert set(errors.__all__) | set(arcid._LAZY) <= set(arcid.__all__)
    assert len(set(arcid.__all__)) == len(arcid.__all__)
    kinds = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert kinds == set(errors.__all__)
    assert dir(arcid) == sorted(arcid.__all__)


def test_import_arcid_loads_two_modules_of_its_own() -> None:
    code = "import sys, arcid; print(*sorted(m for m in sys.modules if m.startswith('arcid')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["arcid", "arcid.errors"]


def test_every_public_name_resolves() -> None:
    code = "import arcid\nfor name in arcid.__all__: getattr(arcid, name)\narcid.Pipelin"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "has no attribute 'Pipelin'" in done.stderr
