"""Verification: are two photographs of one person? The error rate is asked for, not a threshold."""

from arcid import Pipeline

pipeline = Pipeline.from_models()
answer = pipeline.verify("ada1.jpg", "ada2.jpg", fmr=1e-4)  # 1 false match in 10,000 strangers
print(answer.decision.outcome, answer.decision.cosine, answer.decision.probability)
print(answer.decision.reason)
