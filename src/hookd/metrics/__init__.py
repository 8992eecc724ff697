"""What is measured: `names` declares it, `tallies` counts in plain numbers, `exposing` makes the text."""
