"""A container of a task from its start to its end, and what an app printed and left."""
