"""The command line: one file a command; `main.COMMANDS` lists them."""
