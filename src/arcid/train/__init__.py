"""Train face embedders: data, backbones, margin losses, a classifier that shards, and export.

The room meets the product only at a model bundle. Its rooms, in the order
a step uses them, each knowing only those before it:

    config → backbones → data → heads → weights → objectives → engine → recogniser
    → clean, study · export → finetune, invert

``config``      the recipe, read from YAML
``backbones``   networks by name, (B,3,S,S) images in, (B,D) features out
``data``        sources, photos, augmentation, batches
``heads``       class centres and the margin losses on them
``weights``     checkpoints, and weights from elsewhere
``objectives``  what a step makes smaller: a margin loss, triplets, distillation
``engine``      the run, of whatever job it is given
``recogniser``  the job of a face embedder
``finetune``    a ready network, fitted to somebody's own people
``invert``      faces out of vectors: what a stored vector gives away
``detector``    the jobs of arcid's own face detector and landmark refiner

Everything here needs PyTorch: ``pip install 'arcid[train]'``. Importing this package alone does
not load it.
"""
