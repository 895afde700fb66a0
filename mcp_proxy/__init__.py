"""mcproxy: one local server in front of your own AI accounts, for clients of any big API."""

__version__ = "0.1.0"
