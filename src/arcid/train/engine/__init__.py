"""The run: steps, schedule, optimisers, measuring while training, and its record.

``loop.train`` reads from top to bottom; ``model`` is everything that learns.
"""
