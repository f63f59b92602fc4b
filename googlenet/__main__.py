"""`python -m googlenet` is the command `googlenet`."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. Ctrl-C is one line while it is imported, too."""
    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("googlenet: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
