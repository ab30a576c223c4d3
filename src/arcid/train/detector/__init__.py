"""The trainer of arcid's own face detector: labels from two teachers, views, network, loop, export.

    labels → scenes → views → network + assign + losses → loop → export, evaluate

Teachers and detectors to be measured are handed in as callables; what comes out is a model bundle
of the detector family ``arcid``.
"""
