"""The main job as a newcomer sees it: `make run` and `make demo`."""
