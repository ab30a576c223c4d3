"""``python -m arcid``."""

from __future__ import annotations

from arcid.cli import main

if __name__ == "__main__":
    main()
