"""What the rules and services need from the world; ``store`` and ``origin`` provide it.

Times are seconds since 1970 unless a name says otherwise; sizes are bytes.
"""
