"""Ways out.

`dispatcher` decides who goes next; `request` makes what is sent; a `sender` makes one HTTP request of it and gives
what came back. `http1` is the sender for nearly everything; `connect`, `lookup`, `trust`, `connection`, `pool` and
`response` are its parts, each of one idea.
"""
