"""
The tasks of this worker: each is one Trio task that owns its state and its journal.

    table        the steps as data            steps         doing one step, telling the pool
    replicate    the life of one task         group         all that are alive
    waiting      between two steps            overtaking    what the chain changes during one
    topic        what is published            credibility   what of it to believe
    standings    what the chain says of it    asking        pool and chain, until they answer
    journal      what survives the process    rebuilding    what is found again without it
    description  what the chain says, once    stakes        what must be seen before a task goes
    uploads      results on their way         slots         how many compute at once
    surroundings what all of them share
"""
