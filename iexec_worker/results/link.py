"""Where a result is, as it is written on-chain: these exact bytes."""

from __future__ import annotations


def ipfs_link(ipfs_hash: str) -> str:
    """The link of a result that the result proxy put on IPFS."""
    return _link("ipfs", f"/ipfs/{ipfs_hash}")


def dropbox_link(chain_task_id: str) -> str:
    """The link of a TEE task's result in the beneficiary's Dropbox."""
    return _link("dropbox", f"/results/{chain_task_id}")


def ethereum_link(callback: str) -> str:
    """The link of a result that goes to the contract *callback*."""
    return _link("ethereum", callback)


def _link(storage: str, location: str) -> str:
    return f'{{ "storage": "{storage}", "location": "{location}" }}'
