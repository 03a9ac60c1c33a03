"""What each of several processes that share a model runs; `processes.py` starts them."""

import sys
from pathlib import Path

from elusive.common.large.processes import work

if __name__ == "__main__":
    work(Path(sys.argv[1]))
