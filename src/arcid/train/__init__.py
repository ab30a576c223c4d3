"""Train face embedders: data, backbones, margin losses, a classifier that shards, and export.

The room meets the product only at a model bundle. Its parts, in the order a step uses them:

    data → augment → backbones → classifier (with one of the losses) → loop → checkpoint → export

``backbones``   networks by name, (B,3,S,S) images in, (B,D) features out
``losses``      margin losses on cosines: one core, many names
``classifier``  the class centres: whole, shared between ranks, or (``partial``) sampled
``triplet``     losses without centres, and the P×K batches they need

Everything here needs PyTorch: ``pip install 'arcid[train]'``. Importing this package alone does
not load it.
"""
