"""
Being a member of a pool.

    join         the questions before: configuration, versions, chain
    member       what a membership is made of
    membership   keeps a session, for ever; replicates outlive it
    attendance   one session: login, register, heartbeat, link, intake
    intake       a free slot first, then the question for work
    obstacles    why none may be asked for now
    ending       drain, or stop            parking   what is said of tasks that are left
"""
