"""
What runs in the test images: pre-compute, post-compute and app as the real ones are on the wire.

    main            one program, a part of a task by its name
    provisioning    the secrets of the part's session       orders      misbehaviour on demand
    pre_compute     datasets and input files                result      digest and archive
    post_compute    upload, and the computed file           callbacks   what the worker is told
    signing, keccak signatures with the enclave's key       agent       the provider agent of TDX
    requests        HTTP                                    telling     what is printed, failures

Standard library only, for that is all the images have besides; the agent runs on the machine.
"""
