"""The command line: `scorefield train | sample | evaluate | compare | data | info | report | list`.

Nothing imports it.
"""
