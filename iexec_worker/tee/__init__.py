"""Trusted tasks: what each framework needs of this machine, and what its enclaves are given."""
