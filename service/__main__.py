"""Runs the operators' command line; `python -m service --help` lists its commands."""

from __future__ import annotations

from service.command.main import main

if __name__ == "__main__":
    main(prog_name="python -m service")
