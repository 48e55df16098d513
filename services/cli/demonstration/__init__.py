"""The demo: a story in scenes, each of which checks that it shows what it says."""
