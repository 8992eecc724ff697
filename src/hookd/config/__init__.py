"""YAML files in, one frozen Config out.

The road, in the order of its stages:

    snapshot     every file of the tree, read once into memory, at a moment when nothing moved
    strictyaml   bytes to plain values with the place of every key and value
    check        values against `schemas/config.schema.json`, every problem at once
    load         values to one `core.config.Config`, compiled and cross-checked

`problems` is what all of them say when something is wrong, `showing` how people see it, `explained` what each code
means at length. For `hookd check` alone: `advice` (warnings), `trial` (tests), `environment` (what a machine lacks).
"""
