"""
The provider agent of TDX as workers call it: it gets a session and writes it into a file.

It runs on the machine itself, as a program of its own; see `machine.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from iexec_worker.devpool.tee.enclave.requests import NoAnswer, ask
from iexec_worker.devpool.tee.enclave.telling import say


def main() -> int:
    """Do what the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(prog="secret_provider_agent")
    parser.add_argument("-e", dest="endpoint", required=True)
    parser.add_argument("-i", dest="session", required=True)
    parser.add_argument("-s", dest="target", required=True, type=Path)
    parser.add_argument("-v", dest="verifier", required=True, choices=["nullverifier"])
    wanted = parser.parse_args()
    place = wanted.endpoint.rstrip("/")
    base = place if place.startswith("http://") else f"http://{place}"
    try:
        session = json.loads(ask("GET", f"{base}/sessions/{wanted.session}"))
    except (NoAnswer, ValueError) as error:
        say(f"no session: {error}")
        return 1
    wanted.target.write_text(json.dumps(session))
    say(f"wrote {len(session.get('services', ()))} services to {wanted.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
