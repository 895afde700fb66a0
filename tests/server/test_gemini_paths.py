"""What paths of Gemini's API say: model, action, manner of the stream; and pages of the list."""

import pytest

from mcp_proxy.dialects import PathTarget
from mcp_proxy.errors import BadRequest, ErrorKind, ProxyError
from mcp_proxy.model import Family, ModelInfo
from mcp_proxy.server.gemini import COUNT, GENERATE, STREAM, model_row, page_of, target_of


@pytest.mark.parametrize(
    ("path", "model", "action"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", GENERATE),
        ("/v1/models/gemini-2.5-pro:countTokens", "gemini-2.5-pro", COUNT),
        ("/v1beta/models/models/gemini-2.5-pro:countTokens", "gemini-2.5-pro", COUNT),
        ("/v1beta/models/zai/glm-4.7:generateContent", "zai/glm-4.7", GENERATE),
        ("/v1beta/models/llama3:8b:generateContent", "llama3:8b", GENERATE),
        ("/v1beta/models/route:fast:streamGenerateContent", "route:fast", STREAM),
        ("/v1beta/models/claude-opus-4-5@20251101:countTokens", "claude-opus-4-5@20251101", COUNT),
        (
            "/v1beta1/projects/p/locations/global/publishers/google/models/gemini-3-pro:generateContent",
            "gemini-3-pro",
            GENERATE,
        ),
    ],
)
def test_path_says_model_and_action(path, model, action):
    target, said = target_of(path, {})
    assert (target.model, said) == (model, action)
    assert target.stream is (action == STREAM)


@pytest.mark.parametrize(
    ("action", "query", "target"),
    [
        (STREAM, {"alt": "sse"}, PathTarget("m", stream=True)),
        (STREAM, {"$alt": "sse", "key": "x"}, PathTarget("m", stream=True)),
        (STREAM, {}, PathTarget("m", stream=True, array=True)),
        (STREAM, {"alt": "json"}, PathTarget("m", stream=True, array=True)),
        (GENERATE, {"alt": "sse"}, PathTarget("m", stream=False)),
    ],
)
def test_stream_is_one_json_list_unless_sse_is_asked_for(action, query, target):
    assert target_of(f"/v1beta/models/m:{action}", query) == (target, action)


@pytest.mark.parametrize("path", ["/v1beta/models/m", "/v1beta/models/:generateContent"])
def test_path_without_model_or_action_leads_nowhere(path):
    with pytest.raises(ProxyError) as caught:
        target_of(path, {})
    assert caught.value.kind is ErrorKind.NOT_FOUND


ROWS = [{"name": f"models/{number}"} for number in range(5)]


def test_list_is_whole_unless_a_size_is_asked_for():
    assert page_of(ROWS, {}) == {"models": ROWS}
    assert page_of(ROWS, {"pageSize": "0"}) == {"models": ROWS}
    assert page_of(ROWS, {"pageSize": "many"}) == {"models": ROWS}


@pytest.mark.parametrize("size", range(1, 7))
def test_pages_add_up_to_the_list(size):
    found, query = [], {"pageSize": str(size)}
    while True:
        page = page_of(ROWS, query)
        assert len(page["models"]) <= size
        found += page["models"]
        if "nextPageToken" not in page:
            break
        query["pageToken"] = page["nextPageToken"]
    assert found == ROWS


@pytest.mark.parametrize("token", ["x", "-1", "1e3", "²"])
def test_token_of_another_server_is_refused(token):
    with pytest.raises(BadRequest) as caught:
        page_of(ROWS, {"pageToken": token})
    assert caught.value.param == "pageToken"


def test_row_has_the_name_under_which_the_model_was_asked_for():
    row = model_row("fast", ModelInfo("m", Family.OTHER, "M", 1000, 100), [])
    assert row["name"] == "models/fast"
    assert (row["displayName"], row["thinking"]) == ("M", False)
    assert (row["inputTokenLimit"], row["outputTokenLimit"]) == (1000, 100)
    assert row["supportedGenerationMethods"] == [GENERATE, STREAM, COUNT]
