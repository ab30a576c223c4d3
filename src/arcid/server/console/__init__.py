"""The console people use in a browser: NiceGUI behind our own door, inside the same service.

``app.Console`` is what ``create_app`` mounts at ``/console``. Signing in needs no NiceGUI; NiceGUI
is loaded in the background by the first browser, so it costs ``arcid serve`` nothing.
"""

ROOT = "/console"
