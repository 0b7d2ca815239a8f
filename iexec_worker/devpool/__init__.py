"""A whole workerpool on one machine: chain, contracts, scheduler, result proxy, config server."""
