"""The show: what it claims, and that a claim which does not hold fails it."""

import json

import aiohttp
import pytest

from mcp_proxy.cli import run
from mcp_proxy.demo import play as show
from mcp_proxy.demo.clients import NotAnswered
from mcp_proxy.demo.play import SCENES, Audience, NotShown, play
from mcp_proxy.server.app import Server


def serve(runtime):
    return Server(runtime, host="127.0.0.1", port=0)


class Listener(Audience):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.text = ""
        self.thinking = ""
        self.reports = []
        self.titles = []

    async def begins(self, title):
        self.titles.append(title)

    async def hears(self, kind, piece):
        setattr(self, kind, getattr(self, kind) + piece)

    async def sees(self, report):
        self.reports.append(report)


async def test_every_step_of_the_show_holds():
    listener = Listener()
    steps = await play(listener, serve)
    assert [step.problem for step in steps] == [None] * len(SCENES)
    assert listener.titles == [step.title for step in steps] == [title for title, _ in SCENES]
    facts = [fact for step in steps for fact in step.facts]
    assert any("gemini-3-pro-high -> claude-opus-4-5-thinking" in fact for fact in facts)
    assert "Good morning!" in listener.text
    assert listener.thinking
    accounts = listener.reports[0]["accounts"]
    assert [account["id"] for account in accounts] == ["ada", "grace"]


async def not_shown(_act):
    raise NotShown("the text is 'no'")


async def not_answered(_act):
    raise NotAnswered("503: nobody is there")


async def cut_off(_act):
    raise aiohttp.ServerDisconnectedError


@pytest.mark.parametrize(
    ("scene", "problem"),
    [
        (not_shown, "the text is 'no'"),
        (not_answered, "503: nobody is there"),
        (cut_off, "Server disconnected"),
    ],
)
async def test_a_step_that_does_not_hold_fails_and_the_show_goes_on(monkeypatch, scene, problem):
    monkeypatch.setattr(show, "SCENES", (("broken", scene), SCENES[1]))
    broken, after = await play(Audience(), serve)
    assert (broken.ok, broken.problem) == (False, problem)
    assert after.ok


def test_the_verb_prints_the_steps_and_exits_0(capsys):
    assert run(["demo"]) == 0
    shown = capsys.readouterr().out
    for title, _ in SCENES:
        assert title in shown
    assert "fallback: gemini-3-pro-high -> claude-opus-4-5-thinking" in shown
    assert "exhausted" in shown
    assert "\x1b[" not in shown


def test_json_is_one_document_with_a_flag_for_each_step(capsys):
    assert run(["demo", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert [step["ok"] for step in document["steps"]] == [True] * len(SCENES)


def test_the_verb_exits_1_when_a_step_fails(capsys, monkeypatch):
    monkeypatch.setattr(show, "SCENES", (("broken", not_shown),))
    assert run(["demo"]) == 1
    assert "failed: the text is 'no'" in capsys.readouterr().out
    assert run(["demo", "--json"]) == 1
    step = json.loads(capsys.readouterr().out)["steps"][0]
    assert (step["ok"], step["problem"]) == (False, "the text is 'no'")


def test_nothing_of_the_users_is_touched(tmp_path, monkeypatch, capsys):
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("ACCOUNTS_CONFIG_PATH", str(tmp_path / "accounts.toml"))
    monkeypatch.setenv("MCPROXY_STATE_DIR", str(tmp_path / "state"))
    assert run(["demo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert list(tmp_path.iterdir()) == []
