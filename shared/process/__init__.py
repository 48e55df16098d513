"""The process around a worker: its components, its port, its commands, its logs, and Faust."""
