"""What only trusted tasks need: sessions, pre- and post-compute, and what they report."""
