"""A throwaway process for ``sandbox.probe``: shuts itself in and prints which layers hold."""

from __future__ import annotations

import json
import os
import sys

from safelight.judge import sandbox


def main() -> None:
    """Apply every layer, as a template and its judge would, and print JSON rows."""
    prepared = sandbox.prepare(int(sys.argv[1]))
    sealed = sandbox.seal()
    seen = {layer.name: layer for layer in sealed}
    # A layer holds if it held in both steps.
    for layer in prepared:
        if not layer.held:
            seen[layer.name] = layer
    rows = [[layer.name, layer.held, layer.why] for layer in seen.values()]
    # Ended without Python's own ending, which makes calls that a judge may not.
    os.write(1, json.dumps(rows).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
