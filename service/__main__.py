"""The command line of operators; `python -m service --help` says what there is."""

from __future__ import annotations

from service.command.main import main

if __name__ == "__main__":
    main(prog_name="python -m service")
