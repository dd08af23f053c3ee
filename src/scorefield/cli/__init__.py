"""The command line: `scorefield train | sample | evaluate | data | info | report | list`. Nothing imports it."""
