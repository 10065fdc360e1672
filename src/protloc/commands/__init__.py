"""The commands, each a translation into one library call."""
