"""
The tasks of this worker: each is one Trio task that owns its state and its journal.

    table        the steps as data            steps        doing one step, telling the pool
    replicate    the life of one task         group        all that are alive
    topic        what is published            credibility  what of it to believe
    journal      what survives the process    slots        how many compute at once
"""
