"""The wallet's transactions: one writer, and how each is priced, sent, followed and told apart."""
