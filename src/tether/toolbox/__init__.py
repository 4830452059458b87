"""Tools that ship ready: files, search and commands, confined to a folder."""
