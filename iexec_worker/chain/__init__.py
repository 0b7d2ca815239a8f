"""
Everything about the blockchain: wallet, hashes, node, hub, blocks, transactions.

Built on eth-abi and eth-account, what web3 itself encodes and signs with, and not on web3:
its batches and receipts need asyncio, and it would cost the process 13 MB for two calls.
"""
