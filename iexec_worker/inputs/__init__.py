"""Datasets and input files: what strangers' URLs may reach, and how their bytes get here."""
