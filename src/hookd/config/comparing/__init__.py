"""Two configs side by side: what differs, what that would do, and where each value came from."""
