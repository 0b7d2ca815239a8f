"""
From what an app left in `iexec_out` to a digest, an archive and a link.

What reads that folder takes no name in it for granted: strangers wrote it. Functions without
`async` wait for the disk: they belong in a Trio worker thread, and those that read a lot are
cancelled there between two chunks. They raise `OSError` and `ValueError`, whose text says what
is wrong with the app's output.
"""
