"""Following the files: when to look, what may replace what runs, and what to start from when they are broken."""
