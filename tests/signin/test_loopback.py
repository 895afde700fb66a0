"""The listener that a browser comes back to: it believes one request and outlives the others."""

import http.client
import socket
from urllib.parse import urlencode, urlsplit

import pytest
from harness import free_port

from mcp_proxy.errors import UserError
from mcp_proxy.signin.loopback import (
    CALLBACK_PATH,
    Callback,
    CallbackListener,
    new_state,
    read_callback,
)


def visit(
    listener: CallbackListener, target: str, method: str = "GET", host: str | None = None
) -> tuple[int, http.client.HTTPMessage, str]:
    port = urlsplit(listener.redirect_uri).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.putrequest(method, target, skip_host=True)
        connection.putheader("Host", host if host is not None else f"localhost:{port}")
        connection.endheaders()
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read().decode()
    finally:
        connection.close()


def callback(listener: CallbackListener, **fields: str) -> str:
    return f"{CALLBACK_PATH}?{urlencode({'state': listener.state, **fields})}"


def test_the_callback_gives_the_code() -> None:
    with CallbackListener() as listener:
        status, headers, page = visit(listener, callback(listener, code="4/abc", scope="x"))
        assert listener.wait(0) == Callback("4/abc", None)
    assert status == 200
    assert "Signed in" in page
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


# What else comes by while a person signs in: target -> status
STRAY = {
    "/favicon.ico": 404,
    "/": 404,
    "/oauth-callback/": 404,
    "/other?state={state}&code=x": 404,
    "/oauth-callback": 400,
    "/oauth-callback?code=stolen": 400,
    "/oauth-callback?state=&code=stolen": 400,
    "/oauth-callback?state=wrong&code=stolen": 400,
    "/oauth-callback?state=%FF&code=stolen": 400,
    "/oauth-callback?state=wrong&error=access_denied": 400,
    "/oauth-callback?state={state}": 400,
    "/oauth-callback?state={state}x&code=stolen": 400,
}


@pytest.mark.parametrize(("target", "status"), STRAY.items())
def test_whatever_else_comes_by_is_answered_and_the_wait_goes_on(target: str, status: int) -> None:
    with CallbackListener() as listener:
        assert visit(listener, target.replace("{state}", listener.state))[0] == status
        assert listener.wait(0) is None
        assert visit(listener, callback(listener, code="real"))[0] == 200
        assert listener.wait(0) == Callback("real", None)


def test_a_request_under_another_name_is_not_for_us() -> None:
    with CallbackListener() as listener:
        for host in ("evil.example", "localhost.evil.example", ""):
            assert visit(listener, callback(listener, code="x"), host=host)[0] == 404
        assert listener.wait(0) is None


def test_other_methods_are_refused() -> None:
    with CallbackListener() as listener:
        assert visit(listener, callback(listener, code="x"), method="POST")[0] == 501
        assert listener.wait(0) is None


def test_the_first_callback_counts_and_a_replay_does_not() -> None:
    with CallbackListener() as listener:
        assert visit(listener, callback(listener, code="first"))[0] == 200
        assert visit(listener, callback(listener, code="second"))[0] == 400
        assert listener.wait(0) == Callback("first", None)


def test_a_refusal_is_told_and_nothing_of_it_is_shown_on_the_page() -> None:
    with CallbackListener() as listener:
        attack = "<script>alert(1)</script>"
        _, _, page = visit(listener, callback(listener, error=attack, error_description=attack))
        assert listener.wait(0) == Callback(None, attack)
    assert "script" not in page
    assert "Not signed in" in page


def test_a_silent_connection_holds_nobody_up() -> None:
    with CallbackListener() as listener:
        port = urlsplit(listener.redirect_uri).port
        with socket.create_connection(("127.0.0.1", port)):
            assert visit(listener, callback(listener, code="x"))[0] == 200


def test_nobody_comes_in_time() -> None:
    with CallbackListener() as listener:
        assert listener.wait(0.01) is None


def test_two_sign_ins_have_two_ports_and_two_states() -> None:
    with CallbackListener() as one, CallbackListener() as other:
        assert one.redirect_uri != other.redirect_uri
        assert visit(one, callback(other, code="x"))[0] == 400
        assert visit(other, callback(other, code="y"))[0] == 200


def test_it_listens_on_this_machine_alone_and_is_gone_afterwards() -> None:
    with CallbackListener(port := free_port()) as listener:
        assert listener.redirect_uri == f"http://localhost:{port}/oauth-callback"
        assert listener._server.server_address[0] == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        visit(listener, "/")


def test_where_the_port_that_was_asked_for_is_taken_the_next_one_serves() -> None:
    with CallbackListener(port := free_port()), CallbackListener(port) as second:
        assert port < second.port <= port + 9
        assert second.redirect_uri == f"http://localhost:{second.port}/oauth-callback"
        assert visit(second, callback(second, code="x"))[0] == 200


def test_behind_the_last_port_there_is_any() -> None:
    with CallbackListener(65535), CallbackListener(65535) as second:
        assert second.port != 65535


def test_where_the_provider_knows_its_ports_these_are_the_next_ones() -> None:
    known = free_port()
    with CallbackListener(port := free_port()), CallbackListener(port, ports=(known,)) as second:
        assert second.port == known


def test_a_port_is_free_again_right_after_a_sign_in() -> None:
    port = free_port()
    for _ in range(2):
        with CallbackListener(port) as listener, socket.create_connection(("127.0.0.1", port)) as s:
            # HTTP/1.1 and no end from here: our side closes first, and waits for late packets.
            query = callback(listener, code="x")
            s.sendall(f"GET {query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            while s.recv(1 << 16):
                pass
            assert listener.wait(0) == Callback("x", None)


def test_another_port_is_not_advised_where_the_provider_knows_no_other() -> None:
    port = free_port()
    with CallbackListener(port), pytest.raises(UserError) as caught:
        CallbackListener(ports=(port,))
    assert "--callback-port" not in str(caught.value)
    assert f"no other than {port}" in str(caught.value)
    assert "--no-browser" in str(caught.value)


def test_states_are_long_and_never_the_same() -> None:
    states = {new_state() for _ in range(100)}
    assert len(states) == 100
    assert min(map(len, states)) >= 43


def test_a_query_is_believed_only_with_state_and_outcome() -> None:
    assert read_callback("state=s&code=c", "s") == Callback("c", None)
    assert read_callback("state=s&error=e&code=c", "s") == Callback(None, "e")
    assert read_callback("state=s&code=", "s") is None
    assert read_callback("state=t&code=c", "s") is None
