"""Anthropic's web search tool, answered by the upstream's own search where it has one."""

import pytest
from served import CLAUDE, GEMINI, serve, until

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
FUNCTION = {"name": "f", "input_schema": {"type": "object", "properties": {}}}


async def test_a_search_is_told_as_anthropics_own_would_be(tmp_path):
    async with serve(tmp_path) as rig, rig.anthropic() as client:
        message = await client.messages.create(
            model=GEMINI,
            max_tokens=1000,
            tools=[SEARCH],
            tool_choice={"type": "tool", "name": "web_search"},
            messages=[{"role": "user", "content": "search the web for cats"}],
        )
        use, result = (block for block in message.content if block.type != "text")
        assert use.type == "server_tool_use"
        assert use.name == "web_search"
        assert result.type == "web_search_tool_result"
        assert result.tool_use_id == use.id
        assert all(hit.url.startswith("http") for hit in result.content)
        assert message.usage.server_tool_use is not None
        assert message.usage.server_tool_use.web_search_requests >= 1


async def test_a_streamed_search_is_the_same(tmp_path):
    async with serve(tmp_path) as rig, rig.anthropic() as client:
        asked = {
            "model": GEMINI,
            "max_tokens": 1000,
            "tools": [SEARCH],
            "messages": [{"role": "user", "content": "search the web for cats"}],
        }
        whole = await client.messages.create(**asked)
        async with client.messages.stream(**asked) as stream:
            streamed = await stream.get_final_message()
        types = [block.type for block in streamed.content]
        assert types == [block.type for block in whole.content]
        assert "web_search_tool_result" in types


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_a_model_that_cannot_search_answers_without(tmp_path, model):
    async with serve(tmp_path) as rig:
        await rig.call("GET", "/v1/models")  # which is where the upstream says who can
        choice = {"type": "tool", "name": "web_search"}
        answer = await rig.messages("say hi", model=model, tools=[SEARCH], tool_choice=choice)
        assert answer.status == 200, answer.body
        [call] = rig.generations
        searches = "googleSearch" in str(call.body)
        assert searches is (model == GEMINI)
        assert call.body["requestType"] == ("web_search" if searches else "agent")


async def test_beside_function_tools_it_is_left_out_and_the_request_works(tmp_path):
    async with serve(tmp_path) as rig:
        answer = await rig.messages("say hi", model=CLAUDE, tools=[SEARCH, FUNCTION])
        assert answer.status == 200
        assert "googleSearch" not in str(rig.generations[-1].body)
        request_id = answer.headers["request-id"]
        await until(lambda: rig.runtime.state.get("decisions", request_id))
        told = rig.runtime.state.get("decisions", request_id)
        assert told is not None
        assert any("web search is left out" in note for note in told["notes"]), "for explain"
