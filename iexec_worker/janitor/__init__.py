"""Removing what an earlier life of this worker left and no journal knows."""
