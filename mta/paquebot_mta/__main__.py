"""``python -m paquebot_mta`` is the ``paquebot`` command."""

from paquebot_mta.admin.cli import main

if __name__ == "__main__":
    main(prog_name="paquebot")
