"""
Being a member of a pool.

    join         the questions before: configuration, versions, chain
    membership   keeps a session, for ever; replicates outlive it
    session      one session: login, register, heartbeat, link, intake
    intake       a free slot first, then the question for work
"""
