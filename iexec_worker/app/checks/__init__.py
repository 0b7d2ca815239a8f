"""
What a worker needs, looked at one by one, each with what to do about it.

    finding   what a look says               facts     what one look learns for the next
    machine   engine, wallet, disk           pool      scheduler, login, config server, result proxy
    chain     node, chain id, gas, stake     clock     ours against those of pool and chain
    run       all of them side by side
"""
