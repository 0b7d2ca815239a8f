"""The chain of the embedded pool: anvil, PoCo's contracts, and those who use them."""
