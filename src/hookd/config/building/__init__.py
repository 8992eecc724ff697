"""Checked files to one Config: layers merged, webhooks built, and what did not change taken over."""
