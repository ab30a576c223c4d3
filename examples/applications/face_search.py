"""Face search: who of a large collection is in a photo, at a rate for the whole of a search."""

from arcid import Gallery, Pipeline, enrol_photos, find_photos

gallery, pipeline = Gallery.open("people.db"), Pipeline.from_models()
gallery.create_collection("people")
photos = [(photo.parent.name, photo, photo.name) for photo in find_photos(["people"])]
enrol_photos(pipeline, gallery, "people", photos)
found = pipeline.identify("probe.jpg", gallery, "people", fpir=0.01, k=5)
for face in found:
    print(face.decision.outcome, face.decision.reason)
    print([(person.name, person.cosine, person.probability) for person in face.candidates])
