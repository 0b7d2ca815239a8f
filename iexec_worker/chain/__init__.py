"""
Everything about the blockchain: wallet, hashes, node, hub, blocks, transactions.

Built on eth-abi and eth-account, what web3 itself encodes and signs with, and not on web3:
its batches and receipts need asyncio, and it would cost the process 13 MB for two calls.
"""

import sys

import eth_account  # noqa: F401 - imported here for the sake of the next line

# py_ecc, which eth_account imports, raises CPython's limit to 100,000 for itself. At that depth
# the JSON scanner overruns the C stack: a stranger's deal with 100,000 brackets for parameters
# would end the process by a segmentation fault instead of a RecursionError.
sys.setrecursionlimit(1_000)
