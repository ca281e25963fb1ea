"""Exits with 0 when the agent of this container wrote its status within the last 15 seconds, as it does every two."""

import os
import sys
import time
from pathlib import Path

OLDEST_S = 15.0


def main() -> None:
    """Look at the age of the status file."""
    path = Path(os.environ["BANDWATCH_AGENT_DATA_DIR"], "status.json")
    try:
        age_s = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        sys.exit("the agent has not written its status yet")
    if age_s > OLDEST_S:
        sys.exit(f"the agent wrote its status {age_s:.0f} s ago")


if __name__ == "__main__":
    main()
