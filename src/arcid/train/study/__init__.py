"""Comparative study: losses × rounds with a growing number of identities × seeds, one budget.

    result = run_study(load_study("configs/study_small.yaml"))

``config`` says what is compared, ``run`` trains and measures, ``ranking`` says who may be called
better than whom, ``report`` writes it down.
"""
