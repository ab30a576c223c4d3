"""Measuring: error rates, thresholds and their uncertainty, of any embedder, from outside.

Imports neither the pipeline nor the trainer: it is handed embeddings and labels.
"""
