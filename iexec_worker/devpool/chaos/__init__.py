"""
Faults at random times in a pool with real workers, and what has to hold when they are over.

    options, plan   what is wanted; which fault strikes when, by the seed alone
    proxy           connections that can be delayed, throttled, cut, reset (line, link)
    returning       servers that come back: dockerd, node
    disk            a disk that can be filled
    post, scene     a worker that is started again; everything there is
    processes       what can be done to a process besides ending it
    kinds           the kinds of faults and what each does
    orders          the tasks that are bought
    run             a whole run, from the first download to the verdict
    evidence        what chain, pool, engine, disk and logs say afterwards
    recovery        how long a worker that was killed said nothing
    invariants      what has to hold of it
    verdict         all of this as plain values
"""
