"""Digital onboarding: consent, a document's portrait, a selfie, and a decision with its reasons."""

from arcid import Gallery, Pipeline
from arcid.apps.onboarding.applicant import Agreed, Applicant
from arcid.apps.onboarding.cases import Cases
from arcid.apps.onboarding.records import Rules

gallery, pipeline = Gallery.open("members.db"), Pipeline.from_models()
gallery.create_collection("members")
cases, applicant = Cases(gallery), Applicant(gallery, pipeline)
rules = Rules(live=False, passive="off")  # a photo is enough; left out, a camera and liveness
session, token = cases.start("members", reference="A-1001", rules=rules)
applicant.consent(token, Agreed("1", "My document and my face are compared."), name="Ada")
applicant.document(token, "document.jpg")
decided = applicant.selfie(token, "ada2.jpg").session
for check in decided.checks:
    print(check.effect, check.code, check.message)
print(decided.state)  # accepted, review or rejected
