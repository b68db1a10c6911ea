"""Allow ``python -m mrs_pipeline.cli``."""

import sys

from mrs_pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
