"""Origins against real servers on loopback, and against servers that misbehave."""
