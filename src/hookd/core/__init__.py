"""Values and decisions, without any input or output.

Nothing here opens, sends, sleeps, logs, asks the clock or draws a random number: time and randomness are
arguments, and what comes back is a value that the shell acts upon.
"""
