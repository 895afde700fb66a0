"""One model at several providers, stand-ins of other families, routes and chains: who is asked."""

from dataclasses import replace

import pytest
from asking import APIS, HOUR, IMPATIENT, asking, text_of, who
from placed import Clock
from served import settings_with
from talkers import Wish, talker

from mcp_proxy.demo.refusals import Answer
from mcp_proxy.store.settings import FallbackSettings, Settings

SONNETS = {
    "anthropic": ("claude-sonnet-4-6", "tokens"),
    "copilot": ("claude-sonnet-4.6", "premium"),
    "vertex": ("claude-sonnet-4-6", "per-minute"),
}


def spend(client, clock, provider, window, *, account=None, seconds=HOUR):
    used = client.rig.places.quota(provider)
    used.use(window, 1.0, resets_at=clock() + seconds, account=account)


# ------------------------------------------------------------- one model, several providers


@pytest.mark.parametrize("asked", ["claude-sonnet-4-6", "claude-sonnet-4.6", "sonnet"])
@pytest.mark.parametrize("api", APIS)
async def test_a_model_goes_on_at_the_next_provider_in_its_spelling(tmp_path, asked, api):
    clock = Clock()
    settings = settings_with(
        limits={"max_wait": 0},
        aliases={"sonnet": ("claude-sonnet-4-6",)},
        chains={"claude-sonnet-4-6": {"accounts": (), "smart_switch": True}},
    )
    async with asking(tmp_path, *SONNETS, settings=settings, clock=clock) as client:
        for provider, (model, window) in SONNETS.items():
            answer = await client.ask(asked, f"say {provider}", api)
            assert text_of(api, answer) == provider
            told = {name: answer.headers[f"x-mcproxy-{name}"] for name in ("account", "model")}
            assert told == {"account": f"demo-{provider}", "model": model}
            assert "x-mcproxy-fallback" not in answer.headers, "it is the same model"
            if api != "anthropic":  # there the upstream's own bytes are passed on
                named = answer.json["modelVersion" if api == "gemini" else "model"]
                assert named == asked, "clients see the name they used"
            spend(client, clock, provider, window)
        answer = await client.ask(asked, api=api)
        assert answer.status == 429
        assert client.asked.count("demo-anthropic") == 2


async def test_a_conversation_stays_with_its_provider(tmp_path):
    async with asking(tmp_path, *SONNETS) as client:
        homes = {who(await client.ask("claude-sonnet-4-6", "say again")) for _ in range(4)}
        assert len(homes) == 1
        spread = [who(await client.ask("claude-sonnet-4-6", f"say new {n}")) for n in range(6)]
        assert len(set(spread)) == 3, "different ones are spread"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, {"type": "error", "error": {"type": "api_error", "message": "oops"}}),
        Answer(529, {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
        Answer(502, "<html><title>Bad gateway</title></html>"),
    ],
    ids=["500", "529", "page"],
)
async def test_a_fault_of_one_provider_is_not_the_clients(tmp_path, answer):
    async with asking(tmp_path, "anthropic", "vertex") as client:
        client.rig.places.play("anthropic", answer)
        client.rig.places.play("vertex", answer)
        assert (await client.ask("claude-sonnet-4-6")).status == 200


# ------------------------------------------------------------------- stand-ins, by the map


def falling(models: dict[str, tuple[str, ...]]) -> Settings:
    fallback = FallbackSettings(enabled=True, models=models)
    return replace(IMPATIENT, fallback=fallback)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_stand_in_of_another_provider_answers_and_is_named(tmp_path, api, stream):
    clock = Clock()
    providers = ("zai", "anthropic", "openai")
    settings = falling({"glm-4.7": ("claude-sonnet-4-6", "gpt-5.4")})
    async with asking(tmp_path, *providers, settings=settings, clock=clock) as client:
        spend(client, clock, "zai", "5h")
        answer = await client.ask("glm-4.7", "say instead", api, stream=stream)
        assert who(answer) == "demo-anthropic"
        assert answer.headers["x-mcproxy-provider"] == "anthropic"
        assert answer.headers["x-mcproxy-model"] == "claude-sonnet-4-6"
        assert answer.headers["x-mcproxy-fallback"] == "glm-4.7 -> claude-sonnet-4-6"
        assert b"instead" in answer.body
        spend(client, clock, "anthropic", "tokens")
        answer = await client.ask("glm-4.7", "say third", api, stream=stream)
        assert answer.headers["x-mcproxy-fallback"] == "glm-4.7 -> gpt-5.4"
        spend(client, clock, "openai", "tokens")
        answer = await client.ask("glm-4.7", "say none", api, stream=stream)
        assert answer.status == 429
        for model in ("glm-4.7", "claude-sonnet-4-6", "gpt-5.4"):
            assert model in answer.message


async def test_without_the_switch_nobody_stands_in(tmp_path):
    clock = Clock()
    async with asking(tmp_path, "zai", "anthropic", settings=IMPATIENT, clock=clock) as client:
        spend(client, clock, "zai", "5h")
        assert (await client.ask("glm-4.7")).status == 429
        assert client.asked == ["demo-zai"]


OVERFLOWS = [
    (
        "zai",
        "glm-4.7",
        Answer(400, {"error": {"code": "1210", "message": "Prompt exceeds max length"}}),
    ),
    (
        "openai",
        "gpt-4.1-mini",
        Answer(
            400,
            {
                "error": {
                    "message": "This model's maximum context length is 128000 tokens.",
                    "type": "invalid_request_error",
                    "param": "messages",
                    "code": "context_length_exceeded",
                }
            },
        ),
    ),
    (
        "anthropic",
        "claude-haiku-5-5",
        Answer(
            400,
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "prompt is too long: 210000 tokens > 200000 maximum",
                },
            },
        ),
    ),
]


@pytest.mark.parametrize(("provider", "model", "overflow"), OVERFLOWS)
async def test_a_prompt_that_does_not_fit_goes_to_a_wider_model(
    tmp_path, provider, model, overflow
):
    settings = falling({model: ("qwen3:8b", "gemini-2.5-pro")})
    people = (provider, "openai-compatible", "gemini")
    async with asking(tmp_path, *people, settings=settings) as client:
        await client.limits()
        client.rig.places.play(provider, overflow)
        answer = await client.ask(model, "say wide")
        assert answer.headers["x-mcproxy-fallback"] == f"{model} -> gemini-2.5-pro"
        assert client.asked == [f"demo-{provider}", "demo-gemini"], "128k is no wider"


@pytest.mark.parametrize(("provider", "model", "overflow"), OVERFLOWS)
async def test_where_nothing_is_wider_the_client_hears_that_its_prompt_is_too_long(
    tmp_path, provider, model, overflow
):
    async with asking(tmp_path, provider) as client:
        client.rig.places.play(provider, overflow)
        answer = await client.ask(model)
        assert answer.status == 400
        assert answer.json["error"]["type"] == "invalid_request_error"
        assert "prompt is too long" in answer.message
        assert len(client.asked) == 1


# ------------------------------------------------------------------------ routes and chains

OOPS = Answer(500, {"error": {"message": "oops", "code": "server_error"}})


async def test_a_route_is_tried_entry_by_entry(tmp_path):
    clock = Clock()
    route = (
        {"provider": "zai", "account": "grace", "model": "glm-4.5-air"},
        {"provider": "zai", "model": "glm-4.7"},
        {"provider": "copilot", "model": "gpt-4.1"},
        {"model": "gemini-2.5-flash"},
    )
    settings = settings_with(limits={"max_wait": 0}, routes={"fast": route})
    people = ("zai:ada", "zai:grace", "copilot", "gemini", "anthropic")
    async with asking(tmp_path, *people, settings=settings, clock=clock) as client:
        steps = [
            ("grace", "glm-4.5-air", lambda: spend(client, clock, "zai", "5h", account="grace")),
            ("ada", "glm-4.7", lambda: spend(client, clock, "zai", "5h", account="ada")),
            ("demo-copilot", "gpt-4.1", lambda: client.rig.places.play("copilot", OOPS, times=3)),
        ]
        for name in ("route:fast", "fast"):
            answer = await client.ask(name, f"say {name}")
            assert who(answer) == "grace"
        for account, model, then in steps:
            answer = await client.ask("fast", f"say {account}")
            assert (who(answer), answer.headers["x-mcproxy-model"]) == (account, model)
            assert "x-mcproxy-fallback" not in answer.headers
            then()
        assert who(await client.ask("fast", "say gemini")) == "demo-gemini"


@pytest.mark.parametrize("smart", [False, True])
async def test_a_chain_is_followed_and_smart_switch_goes_beyond_it(tmp_path, smart):
    clock = Clock()
    chain = {"claude-sonnet-4-6": {"accounts": ("demo-vertex", "bob"), "smart_switch": smart}}
    settings = settings_with(limits={"max_wait": 0}, chains=chain)
    people = ("anthropic:ada", "anthropic:bob", "copilot", "vertex")
    async with asking(tmp_path, *people, settings=settings, clock=clock) as client:
        expected = ["demo-vertex", "bob", *(("ada", "demo-copilot") if smart else ())]
        spent = {"demo-vertex": ("vertex", "per-minute"), "demo-copilot": ("copilot", "premium")}
        for account in expected:
            answer = await client.ask("claude-sonnet-4.6", f"say {account}")
            assert who(answer) == account
            provider, window = spent.get(account, ("anthropic", "tokens"))
            spend(client, clock, provider, window, account=account)
        assert (await client.ask("claude-sonnet-4-6", "say last")).status == 429


@pytest.mark.parametrize(
    ("asked", "model"),
    [("gpt-4o-2024-11-20", "glm-4.7"), ("GPT-4o", "glm-4.5-air"), ("o9", "gemini-2.5-pro")],
)
async def test_aliases_lead_to_what_is_served(tmp_path, asked, model):
    aliases = {
        "gpt-4o": ("glm-4.5-air",),
        "gpt-4*": ("glm-4.7",),
        "o?": ("claude-opus-5-5", "gemini/gemini-2.5-pro"),
    }
    async with asking(tmp_path, "zai", "gemini", settings=settings_with(aliases=aliases)) as client:
        answer = await client.ask(asked, api="openai_chat")
        assert answer.headers["x-mcproxy-model"] == model
        assert answer.json["model"] == asked


# ------------------------------------------------ a conversation that goes on somewhere else

THINKERS = {
    "anthropic": "claude-sonnet-4-6",
    "copilot": "claude-sonnet-4.6",
    "gemini": "gemini-3-flash-preview",
    "codex": "gpt-5.5",
    "openai": "gpt-5.4",
    "openai-compatible": "qwen3:8b",
    "zai": "glm-4.7",
}
MOVES = [
    ("anthropic", "copilot"),
    ("copilot", "anthropic"),
    ("anthropic", "gemini"),
    ("gemini", "anthropic"),
    ("gemini", "codex"),
    ("codex", "gemini"),
    ("codex", "copilot"),
    ("openai", "zai"),
    ("zai", "anthropic"),
    ("anthropic", "zai"),
    ("anthropic", "openai-compatible"),
    ("openai-compatible", "openai"),
]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("home", "other"), MOVES)
async def test_a_tool_loop_with_thinking_goes_on_at_another_provider(tmp_path, api, home, other):
    routes = {
        "pair": (
            {"provider": home, "model": THINKERS[home]},
            {"provider": other, "model": THINKERS[other]},
        )
    }
    settings = settings_with(limits={"max_wait": 0}, routes=routes)
    wish = Wish(tools=True, thinks=True)
    async with asking(tmp_path, home, other, settings=settings) as client:
        async with talker(api, client.rig.url, "pair") as talking:
            said = await talking.ask("weather in Oslo please", wish)
            (call,) = said.calls
            assert client.asked == [f"demo-{home}"]
            client.rig.places.play(home, Answer(429, {"error": {"message": "Slow down"}}))
            final = await talking.answer({call.id: "18C and sunny"}, wish)
            assert "18C and sunny" in final.text
            again = await talking.ask("say on and on", wish)
            assert again.text == "on and on"
        # A signature of the first place would have been refused by the second, and asked again.
        assert client.asked == [f"demo-{home}"] * 2 + [f"demo-{other}"] * 2
