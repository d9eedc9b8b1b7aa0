# SPDX-License-Identifier: Apache-2.0
"""`python -m fusion_ros`: the command `fusion-ros`."""

import sys

from fusion_ros.cli.main import main

sys.exit(main())
