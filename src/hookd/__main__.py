"""`python -m hookd` is `hookd`."""

from hookd.cli.main import main

main()
