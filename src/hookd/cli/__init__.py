"""The verbs: `main` is the list of them, each module holds those of one kind.

Exit codes (the contract): 0 fine, 1 what was asked is not so, 2 usage, 69 no daemon there, 75 try again,
77 not allowed, 78 bad config.
"""
