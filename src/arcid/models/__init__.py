"""Models: what they are (manifest), which are known (catalogue), where they lie (weights)."""
