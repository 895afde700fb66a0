"""OpenAI's images endpoint over a model that answers with pictures."""

import base64

import pytest
from served import GEMINI, serve

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
