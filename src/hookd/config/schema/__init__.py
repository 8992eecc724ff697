"""The JSON Schemas that a config names: read, compiled, asked, and what they say in words."""
