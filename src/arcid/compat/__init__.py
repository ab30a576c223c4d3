"""Other systems' interfaces over arcid, so that code written for them changes one line.

What each does alike, better or differently stands in docs/compat. Nothing in arcid imports these.
"""
