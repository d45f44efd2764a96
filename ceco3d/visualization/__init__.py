"""Segmentations of a scene side by side: pictures, a page for the browser, a window."""
