"""`python -m iexec_worker`: the command `iexec-worker` where its script is not on the path."""

from iexec_worker.cli import main

if __name__ == "__main__":
    main(prog_name="iexec-worker")
