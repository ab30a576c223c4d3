"""Trained weights: checkpoints, bundles and files of other projects, read, checked and restored."""
