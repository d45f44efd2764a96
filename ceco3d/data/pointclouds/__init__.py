"""Scans as people have them: files of any usual format, in any unit, with or without colour; one reader a format."""
