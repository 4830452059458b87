"""What the command's agent is given to know: its system prompt, and what a folder and a person bring.

system              the system prompt
places              where people keep files for agents, and which of them a project brings
front_matter        the head of a Markdown file, in YAML
instructions        AGENTS.md and its relatives, also those of folders that a tool works in
skills              skills: their names for the prompt, and the tool that gives their text and their files
markdown_commands   commands that are Markdown files
sub_agents          agents that are files, as tools
gathering           all of it, read from a folder and from a person's own folders
joining             all of it, given to an agent
commands            the slash commands about it
"""
