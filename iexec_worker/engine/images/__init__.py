"""Images of apps: what is known of one before its pull, the pull, and room for the next."""
