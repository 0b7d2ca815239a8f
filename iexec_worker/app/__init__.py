"""
The composition root: every client is built here, the nurseries of the tree are opened here.

    clients      ways out of the process       assembly   parts from clients and terms
    worker       the root of the tree          signals    drain and stop
    machine      what the pool is told of us   watches    engine and wallet, for readiness
"""
