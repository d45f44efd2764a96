"""Timings of the product's parts beside each other."""
