"""Is this the person on the document? Consent, document, living face → a decision with reasons.

Cases(gallery).start("members")                    cases.py      a session and its link's token
Applicant(gallery, pipeline).document(token, …)    applicant.py  steps of whoever has the link
Live(pipeline).watch(source)                       live.py       a head that turns as asked
judging.outcome(checks)                            judging.py    all that decides
verify(data, fingerprint=…)                        evidence.py   signed, verified offline
Authenticator(…).authenticate(…)                   authenticating.py   a face as a key
"""
