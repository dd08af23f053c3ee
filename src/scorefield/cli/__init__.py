"""The command line: `scorefield train | sample | evaluate | ...`; `scorefield --help` names every command.

Nothing imports it.
"""
