"""YAML files in, one frozen Config out.

The road, in the order of its stages; `load` walks it:

    snapshot    every file of the tree, read once into memory, at a moment when nothing moved
    text/       bytes to plain values with the place of every key and value
    check       values against `schemas/config.schema.json`, every problem at once
    schema/     the JSON Schemas that are named, compiled
    building/   layers merged and webhooks built, cross-checked, into one `core.config.Config`

`problems` is what all of them say when something is wrong, `references` reads what stands outside the files.

Beside the road: `ahead` has some of it done while the files are still being written, `reload/` follows the files of a
running daemon, `managing/` takes definitions from the control API, `checking/` is what `hookd check` says beyond the
errors, `comparing/` puts two configs side by side.
"""
