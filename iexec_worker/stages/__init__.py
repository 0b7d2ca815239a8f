"""
The steps of a task, one module each.

A stage is an async callable that gets the task and holds only the clients it uses. It returns
the details the pool is told, or raises `StageFailed` with the cause. It may be cancelled at any
checkpoint, and run again from the start after a crash: doing it twice has the effect of once.
"""
