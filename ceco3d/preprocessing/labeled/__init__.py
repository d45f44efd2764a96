"""Labeled scans of any layout: find them, read them with their labels, make processed scenes of them.

``layout``    what a layout finds and reads: ``RawScan``, ``LabeledPoints``, the protocol ``Layout``
``pipeline``  processed scenes of the scans of a layout, in parallel
"""
