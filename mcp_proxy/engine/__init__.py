"""The only place that talks to upstreams."""
