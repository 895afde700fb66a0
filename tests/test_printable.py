"""What strangers say, made fit for a log."""

import pytest

from mcp_proxy.printable import without_quotations, without_secrets

A_SECOND_FOR_A_PAGE = pytest.mark.timeout(20)
"""Gone through again from each of its places, such a text would take a minute and more."""


@pytest.mark.parametrize(
    "begins", ["eyJ", "sk-", "ya29.", "1//", "AIza", "GOCSPX-", "ghp_", "key="]
)
@A_SECOND_FOR_A_PAGE
def test_a_long_run_of_how_secrets_begin_takes_no_time(begins):
    without_secrets(begins * (256 * 1024 // len(begins)))


@pytest.mark.parametrize("begins", ['"', "`", '"\\', '\\"', '"a', "`a"])
@A_SECOND_FOR_A_PAGE
def test_a_long_run_of_how_quotations_begin_takes_no_time(begins):
    without_quotations(begins * (256 * 1024 // len(begins)))


@pytest.mark.parametrize("before", ["", "token ", '"', "=", "("])
def test_a_json_web_token_is_left_out_wherever_it_begins(before):
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    assert without_secrets(f"{before}{token} is bad") == f"{before}… is bad"
