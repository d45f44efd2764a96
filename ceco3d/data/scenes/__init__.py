"""Scenes, label spaces and the processed format."""
