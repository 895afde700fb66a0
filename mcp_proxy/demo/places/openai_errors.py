"""How OpenAI's APIs say no. Source: client-apis.md 2.4, providers.md 2."""

from collections.abc import Mapping

from mcp_proxy.demo.refusals import Answer, JsonObject

_TYPES = {429: "requests", 500: "server_error", 503: "service_unavailable_error"}


def openai_refusal(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The error object."""
    error: JsonObject = {
        "message": message,
        "type": kind or _TYPES.get(status, "invalid_request_error"),
        "param": param,
        "code": code,
    }
    return Answer(status, {"error": error}, headers or {})


def invalid(message: str, param: str | None = None, code: str | None = None) -> Answer:
    return openai_refusal(400, message, param=param, code=code)


def unsupported_parameter(name: str, instead: str | None = None) -> Answer:
    hint = f" Use '{instead}' instead." if instead else ""
    text = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
    return invalid(text, name, "unsupported_parameter")


def unsupported_value(name: str, value: object, supported: str) -> Answer:
    text = f"Unsupported value: '{name}' does not support {value!r} with this model. {supported}"
    return invalid(text, name, "unsupported_value")


def missing(name: str) -> Answer:
    return invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")


def wrong_value(name: str, value: object, supported: tuple[str, ...]) -> Answer:
    listed = ", ".join(f"'{choice}'" for choice in supported)
    text = f"Invalid value: '{value}'. Supported values are: {listed}."
    return invalid(text, name, "invalid_value")


def too_long(tokens: int, window: int) -> Answer:
    return invalid(
        f"This model's maximum context length is {window} tokens. However, your messages resulted "
        f"in {tokens} tokens. Please reduce the length of the messages.",
        "messages",
        "context_length_exceeded",
    )


def no_such_model(name: object) -> Answer:
    text = f"The model `{name}` does not exist or you do not have access to it."
    return openai_refusal(404, text, code="model_not_found")


def wrong_key() -> Answer:
    text = (
        "Incorrect API key provided: sk-***. You can find your API key at "
        "https://platform.openai.com/account/api-keys."
    )
    return openai_refusal(401, text, code="invalid_api_key")


def no_key() -> Answer:
    text = "You didn't provide an API key. You need to provide it in an Authorization header."
    return openai_refusal(401, text)
