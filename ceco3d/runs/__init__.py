"""Run folders on disk, as later tools read them."""
