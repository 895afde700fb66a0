"""How this program starts itself once more."""

import sys
from typing import Final

OWN_COMMAND: Final = (sys.executable, "-P", "-m", "mcp_proxy")
"""With -P: modules in the working directory, which somebody may have cloned, are not loaded."""

ENDS_WITH_PARENT: Final = "MCPROXY_ENDS_WITH_PARENT"
"""Set for a `serve` that is of no use without the process that has started it, to its number."""
