"""Texts: YAML and JSON, bytes to plain values and back, with the place of everything."""
