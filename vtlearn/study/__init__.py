"""The comparison: one protocol, many models, one report; and a look at the machine."""
