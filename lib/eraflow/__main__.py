"""`python -m eraflow JOB ...` is `eraflow JOB ...`."""

import sys

from eraflow.command import main

sys.exit(main())
