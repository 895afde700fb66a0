"""Embedded upstreams of every API beside Cloud Code, on one loopback port."""

from mcp_proxy.demo.places.allowance import Allowance
from mcp_proxy.demo.places.app import DemoPlaces
from mcp_proxy.demo.places.desk import RecordedCall
from mcp_proxy.demo.refusals import Answer

__all__ = ["Allowance", "Answer", "DemoPlaces", "RecordedCall"]
