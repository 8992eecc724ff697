"""What `hookd check` has to say beyond the errors: how it is shown, warnings, the machine, the tests."""
