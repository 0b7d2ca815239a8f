"""What a person or a machine can see of the worker: logs, durations, metrics, the tree."""
