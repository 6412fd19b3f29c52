"""The commands, a module a family: options, what is called, what is printed. The work is in the other rooms."""
