"""The HTTP surface that clients see."""
