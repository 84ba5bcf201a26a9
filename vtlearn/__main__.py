"""``python -m vtlearn`` is the command line."""

from vtlearn.cli import main

main()
