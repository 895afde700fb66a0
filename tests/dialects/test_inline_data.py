"""Base64 and data: URLs in every spelling that clients use."""

import pytest

from mcp_proxy.dialects.inline_data import is_data_url, media_at, read_base64, read_data_url
from mcp_proxy.errors import BadRequest


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("+/+/", "+/+/"),
        ("AA==", "AA=="),
        ("AA\nAA\r\n", "AAAA"),
    ],
)
def test_base64_loses_its_line_breaks(sent, read):
    assert read_base64(sent, ("data",)) == read


@pytest.mark.parametrize(
    "sent", ["", "=", "A", "AA", "AAAAA", "-_-_", "not-base64", "hello!", "ключ", "AA==AA=="]
)
def test_base64_that_does_not_decode_is_refused_by_path(sent):
    with pytest.raises(BadRequest) as refused:
        read_base64(sent, ("a", 0, "data"))
    assert refused.value.param == "a[0].data"


@pytest.mark.parametrize(
    ("url", "mime_type", "data"),
    [
        ("data:image/png;base64,AAAA", "image/png", "AAAA"),
        ("DATA:Image/PNG;name=x;BASE64,AAAA", "image/png", "AAAA"),
        ("data:;base64,AA%3D%3D", "", "AA=="),
        ("data:text/plain,a%20b", "text/plain", "YSBi"),
        ("data:,", "", ""),
    ],
)
def test_data_url(url, mime_type, data):
    assert is_data_url(url)
    assert read_data_url(url, ("url",)) == (mime_type, data)


def test_data_url_without_a_comma_is_refused():
    with pytest.raises(BadRequest):
        read_data_url("data:image/png;base64", ("url",))


@pytest.mark.parametrize("url", ["", "ftp://host/a", "file:///etc/passwd", "//host/a", "a.png"])
def test_an_address_that_cannot_be_fetched_is_refused(url):
    with pytest.raises(BadRequest) as refused:
        media_at(url, ("source", "url"), "image/*")
    assert refused.value.param == "source.url"


def test_a_refused_address_is_told_by_its_host_alone():
    with pytest.raises(BadRequest, match=r"got one to 'files\.example'$") as refused:
        media_at("ftp://ada:hidden@files.example/a?key=hidden", ("url",), "image/*")
    assert "hidden" not in refused.value.message
    with pytest.raises(BadRequest, match=r"data: URL$"):
        media_at("ftp://[broken", ("url",), "image/*")
