"""A whole workerpool on one machine: chain, contracts, scheduler, broker, result proxy, config server."""
