"""The demo: a script of scenes, each of which claims only what was seen."""
