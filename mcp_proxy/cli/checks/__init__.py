"""The checks of `mcproxy doctor`: a module a theme, listed in `themes.py`."""
