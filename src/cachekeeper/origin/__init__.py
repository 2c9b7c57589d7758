"""Where the truth is: origins that files are read from, and what watches them."""
