"""mcproxy: one local server in front of your own AI accounts, for clients of any of the big APIs."""

__version__ = "0.1.0"
