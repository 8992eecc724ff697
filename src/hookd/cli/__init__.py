"""The verbs: `main` is the list of them, each module holds those of one kind.

Exit codes (the contract): 0 fine, 1 what was asked is not so, 2 usage, 69 no daemon there, 75 try again,
77 not allowed, 78 bad config.
"""

import signal
import sys

if sys.argv[1:2] == ["run"]:
    # A reload that is asked for while the daemon is still importing must not end it: systemd takes death by SIGHUP for
    # a clean end and starts no other. The files are read later anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
