"""
The composition root: every client is built here, the nurseries of the tree are opened here.

    clients      ways out of the process       assembly   parts from clients and terms
    identity     what parts are built from     staging    stages from clients and terms
    enclaves     what trusted tasks need       checks     what `iexec-worker check` looks at
    worker       the root of the tree          joining    what is made anew for other terms
    signals      drain and stop                systemd    what systemd is told
    machine      what the pool is told of us   watches    engine and wallet, for readiness
    readiness    why there is no work          disk       room for tasks
"""
