"""OpenAI's images endpoint over a model that answers with pictures."""

import base64

import openai
import pytest
from placed import placed
from served import GEMINI, ONE, serve, settings_with, until

from mcp_proxy.demo import Fault, FaultKind

PAINTER = "gemini-3.1-flash-image"
PNG = b"\x89PNG"


async def test_the_openai_sdk_gets_its_pictures(tmp_path):
    async with serve(tmp_path) as rig, rig.openai() as client:
        made = await client.images.generate(model=PAINTER, prompt="draw a cat", n=2)
        assert made.data is not None
        assert len(made.data) == 2
        assert all(base64.b64decode(each.b64_json or "").startswith(PNG) for each in made.data)
        assert len(rig.generations) == 2


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": PAINTER}, "prompt"),
        ({"model": PAINTER, "prompt": " "}, "prompt"),
        ({"prompt": "a cat"}, "model"),
        ({"model": PAINTER, "prompt": "a cat", "n": 0}, "n"),
        ({"model": PAINTER, "prompt": "a cat", "n": 11}, "n"),
        ({"model": PAINTER, "prompt": "a cat", "response_format": "url"}, "response_format"),
        ({"model": GEMINI, "prompt": "a cat"}, "model"),
    ],
)
async def test_what_cannot_be_painted_is_refused_and_asks_nobody(tmp_path, body, param):
    async with serve(tmp_path) as rig:
        answer = await rig.post("/v1/images/generations", body)
        assert answer.status == 400
        assert answer.json["error"]["param"] == param
        assert rig.generations == []


async def test_an_unknown_painter_is_a_404(tmp_path):
    async with serve(tmp_path) as rig:
        body = {"model": "no-such-painter", "prompt": "a cat"}
        answer = await rig.post("/v1/images/generations", body)
        assert answer.status == 404
        assert answer.json["error"]["code"] == "model_not_found"


async def test_openais_painter_is_asked_at_its_own_endpoint(tmp_path):
    async with placed(tmp_path, "openai") as rig:
        client = openai.AsyncOpenAI(api_key="x", base_url=f"{rig.url}/v1", max_retries=0)
        async with client:
            made = await client.images.generate(
                model="gpt-image-1", prompt="draw a cat", size="1024x1536"
            )
        assert made.data is not None
        assert base64.b64decode(made.data[0].b64_json or "").startswith(PNG)
        (call,) = (each for each in rig.places.requests if "images" in each.path)
        assert call.path.endswith("/images/generations")
        assert call.body["size"] == "1024x1536"


@pytest.mark.parametrize(
    ("size", "ratio"),
    [("1024x1024", "1:1"), ("1536x1024", "3:2"), ("1792x1024", "16:9"), ("auto", None), (7, None)],
)
async def test_a_size_is_a_shape_where_there_are_no_sizes(tmp_path, size, ratio):
    async with serve(tmp_path) as rig:
        body = {"model": PAINTER, "prompt": "a cat", "size": size}
        assert (await rig.post("/v1/images/generations", body)).status == 200
        config = rig.generations[-1].body["request"]["generationConfig"]
        assert config.get("imageConfig", {}).get("aspectRatio") == ratio


async def test_a_picture_that_is_refused_ends_the_others_and_keeps_no_place(tmp_path):
    settings = settings_with(limits={"concurrency": 2})
    async with serve(tmp_path, people=ONE, settings=settings) as rig:
        one = {"model": PAINTER, "prompt": "a cat"}
        assert (await rig.post("/v1/images/generations", one)).status == 200
        rig.upstream.play(Fault(FaultKind.BAD_REQUEST))
        asked = len(rig.generations)
        answer = await rig.post("/v1/images/generations", {**one, "n": 6})
        assert answer.status == 400
        await until(lambda: rig.runtime.gates.load("ada") == 0)
        assert len(rig.generations) - asked < 6, "those that waited for a place asked nobody"
        assert (await rig.post("/v1/images/generations", one)).status == 200
