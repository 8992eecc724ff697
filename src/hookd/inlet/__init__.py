"""The ways in: `unix` and `http` read bytes, `intake` is the one door behind which events are judged and stored."""
