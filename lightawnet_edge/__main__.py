"""The command line, where it is installed: `lightawnet-edge`, or `python -m lightawnet_edge`."""

from __future__ import annotations

import sys

from lightawnet_edge.errors import INTERRUPTED, BackendUnavailableError


def main() -> None:
    """Run the command line; where its packages are missing, say what installs them."""
    try:
        from lightawnet_edge import cli
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "typer"):
            raise
        sys.stderr.write(
            f"error: {error}. The command line is an extra, which a device application does not "
            "need: pip install 'lightawnet-edge[cli]'\n"
        )
        raise SystemExit(BackendUnavailableError.exit_code) from None
    except KeyboardInterrupt:  # while it is imported
        raise SystemExit(INTERRUPTED) from None
    cli.main()


if __name__ == "__main__":
    main()
