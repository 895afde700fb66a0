"""Names of the documents that the engine makes, for those who name them without an engine."""

LIMITS_SCHEMA = "mcproxy.limits/1"
MODELS_SCHEMA = "mcproxy.models/1"
ROUTE_SCHEMA = "mcproxy.route/1"
