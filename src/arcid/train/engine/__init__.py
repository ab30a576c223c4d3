"""The run: steps, schedule, optimisers, and its record.

``loop.train`` reads from top to bottom; ``job`` is what it is given, ``model`` what learns.
"""
