"""The `headrace` command: one file a command, loaded when it is invoked."""
