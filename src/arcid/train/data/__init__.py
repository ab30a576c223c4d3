"""Training data: sources → store → chosen photos → stream → batches.

    data = open_data(config.data)
    stream = ChipStream(data.train.labels, batch=config.data.batch, seed=config.seed)
    with ChipLoader(data.train, stream, Augment(config.augment, config.seed), config.data) as chips:
        for batch in chips:
            ...

``sources``  one protocol over folders, tar shards, RecordIO and Parquet: encoded bytes by number
``chips``    bytes → canvas of 128×128 uint8 RGB: the 112-pixel template and its rim
``store``    all sources behind one row number
``dataset``  which photos train which class, and the report of where every photo went
``stream``   the shuffled order, as one number that resumes anywhere
``loader``   workers that stay ahead of the network
"""
