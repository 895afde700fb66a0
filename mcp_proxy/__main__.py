"""`python -m mcp_proxy` is the same program as `mcproxy`."""

from mcp_proxy.cli import main

if __name__ == "__main__":
    main()
