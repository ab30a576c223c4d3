"""Training data: sources → store → chosen photos → stream → batches.

    data = open_data(config.data)
    stream = SampleStream(data.train.labels, batch=config.data.batch, seed=config.seed)
    view = Augment(config.augment, config.seed)
    with BatchLoader(data.train, stream, view, config.data) as batches:
        for batch in batches:
            ...

``sources``  one protocol over folders, tar shards, RecordIO and Parquet: encoded bytes by number
``crops``    bytes → canvas of 128×128 uint8 RGB: the 112-pixel template and its rim
``store``    all sources behind one row number
``dataset``  which photos train which class, and the report of where every photo went
``stream``   the shuffled order, as one number that resumes anywhere
``loader``   workers that stay ahead of the network
"""
