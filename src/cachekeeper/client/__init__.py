"""What a producer service uses: a read-through cache and a way to invalidate."""
