"""Duplicate accounts: everybody compared with everybody, at so many false pairs in the whole."""

from arcid import Gallery, Pipeline, enrol_photos
from arcid.apps.duplicates import Duplicates, work

gallery, pipeline = Gallery.open("accounts.db"), Pipeline.from_models()
gallery.create_collection("accounts")
photos = [("ada", "ada1.jpg", ""), ("a.lovelace", "ada2.jpg", ""), ("grace", "grace1.jpg", "")]
enrol_photos(pipeline, gallery, "accounts", photos, allow_duplicate=True)
duplicates = Duplicates(gallery)
run = duplicates.runs.begin("accounts", pipeline.calibration, false_pairs=0.01, actor="Fraud desk")
work(gallery, "accounts", run.id, pipeline.calibration)
pairs = duplicates.find("accounts")
print([(pair.a.name, pair.b.name, pair.cosine) for pair in pairs])
