"""An RTSP server of GStreamer's, for the system's Python: FILE (H.264 in MP4) at /door on PORT."""

from __future__ import annotations

import sys

import gi

gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main(file: str, port: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f'( filesrc location="{file}" ! qtdemux ! rtph264pay name=pay0 pt=96 config-interval=-1 )'
    )
    server.get_mount_points().add_factory("/door", factory)
    if not server.attach(None):
        raise SystemExit("the port is taken")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
