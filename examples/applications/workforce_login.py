"""Workforce authentication: is the living face before this screen the person who signs in?"""

from arcid import Gallery, Pipeline, enrol_photos
from arcid.apps.onboarding.authenticating import Authenticator
from arcid.liveness import passive

gallery, pipeline = Gallery.open("logins.db"), Pipeline.from_models()
gallery.create_collection("staff")
enrol_photos(pipeline, gallery, "staff", [("Lin", "badge.jpg", "badge")])
lin = gallery.person_called("staff", "Lin")
login = Authenticator(gallery, pipeline, passive.load())  # refuses pictures of faces
answer = login.authenticate("staff", lin.id, "login.jpg", fmr=1e-4)
print("let in" if answer.accepted else f"refused: {answer.why}", answer.tries_left)
