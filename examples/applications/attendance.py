"""Attendance: name who passes a camera, write each arrival once, and make the day's sheet."""

from datetime import datetime

from arcid import Gallery, Pipeline, enrol_photos
from arcid.apps.attendance import Attendance, Watcher, export
from arcid.video import open_source

gallery, pipeline = Gallery.open("attendance.db"), Pipeline.from_models()
gallery.create_collection("staff")
enrol_photos(pipeline, gallery, "staff", [("Ada", "ada1.jpg", "badge")])
watcher = Watcher(pipeline, gallery, "staff", camera="door")
for view in watcher.watch(open_source("door.mp4", start=datetime.now().astimezone())):
    for event in view.events:
        print(event.at, event.kind, event.name)
book = Attendance(gallery, "staff")
sheet = export.csv_text(export.day_table(book.day(datetime.now().date())))
print(sheet)
