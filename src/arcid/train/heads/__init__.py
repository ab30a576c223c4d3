"""Class centres and the softmax losses on them.

``margin``      margins on cosines, and what a loss must offer a classifier
``softmax``     the losses: plain, with fixed margins, with margins that adapt
``classifier``  the class centres: whole, shared between ranks, or (``partial``) sampled
``imprint``     centres that start as the mean feature of their class
"""
