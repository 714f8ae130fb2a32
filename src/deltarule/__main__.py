"""``python -m deltarule``: the command line."""

import sys

from deltarule.cli.main import main

sys.exit(main())
