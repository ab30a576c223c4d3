"""Cameras that a service watches by itself: set up once, opened when the service starts.

    cameras = Cameras(pipeline, gallery, home_dir())
    cameras.start()                                   a thread for each; tried again when it fails
    cameras.add(name="Door", source="rtsp://…", collection="staff")
    cameras.status(camera.id)                         live, in trouble since when and why
    cameras.close()

``book`` holds the rules and the table, ``runner`` a camera's thread, ``watching`` all of them.

Addresses may hold passwords: they are stored sealed, and only ``Camera.shown`` goes anywhere.
"""
