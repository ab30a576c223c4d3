"""A recogniser's run: ``job.train`` brings data, objective and measuring to the engine."""
