"""What the worker serves over HTTP: health, metrics, version, the supervision tree."""
