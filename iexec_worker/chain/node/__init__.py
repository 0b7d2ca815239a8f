"""The blockchain node: its requests and answers, which node is asked, and its new blocks."""
