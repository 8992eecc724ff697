"""Definitions that come through the control API: tried, written, committed."""
