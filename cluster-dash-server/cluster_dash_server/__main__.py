"""`python -m cluster_dash_server`, the same as the command `cluster-dash-server`."""

import sys

from .cli import main

sys.exit(main())
