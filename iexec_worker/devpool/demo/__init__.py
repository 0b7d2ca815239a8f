"""
A pool, workers and tasks on one machine, from the first download to the proof.

    options   what is wanted              scene      engine, image, pool and workers
    deal      what the requester buys     progress   what happens now, for people
    trust     what enclaves need
    proof     what the chain says of it, and whether the results on disk agree
"""
