"""Small networks trained in one process: draw views, step, average, measure, store.

``loop.train`` is the run; a ``Job`` says what is trained on what. The recogniser's own loop, with
ranks, mixed precision and classifiers, is ``arcid.train.engine.loop``.
"""
