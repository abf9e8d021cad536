"""``python -m safelight`` is the command line."""

from safelight.cli.entry import main

if __name__ == "__main__":
    main()
