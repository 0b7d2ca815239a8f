"""The scheduler of the embedded pool: what a worker meets of iexec-core."""
