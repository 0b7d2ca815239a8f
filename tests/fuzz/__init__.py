"""
Every reader of what others wrote, fuzzed.

    make fuzz                          all, a minute each
    make fuzz ARGS="multiaddress 300"  one, for 300 seconds

What was found is in `corpus/<target>`, one file per input; the tests read all of them again.
"""
