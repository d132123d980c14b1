"""Constructors of credentials: what they take, and the errors for what they do not."""

import contextvars
import threading

import grpc
import pytest

PAIR = (b"key", b"certificate")



def raised(kind, text, function, *arguments, **keywords):
    with pytest.raises(kind) as error:
        function(*arguments, **keywords)
    assert str(error.value) == text


@pytest.mark.parametrize(
    "arguments",
    [(), (b"junk",), (None, b"key"), (None, None, b"chain"), (b"roots", b"key", b"chain")],
)
def test_ssl_channel_credentials(arguments):
    assert type(grpc.ssl_channel_credentials(*arguments)) is grpc.ChannelCredentials


def test_ssl_channel_credentials_are_bytes():
    text = "expected certificate to be bytes, got <class 'str'>"
    raised(TypeError, text, grpc.ssl_channel_credentials, "a")
    with pytest.raises(TypeError):
        grpc.ssl_channel_credentials(5)


def test_ssl_server_credentials():
    assert type(grpc.ssl_server_credentials([PAIR])) is grpc.ServerCredentials
    assert type(grpc.ssl_server_credentials([PAIR, PAIR], b"roots", True)) is grpc.ServerCredentials
    empty = "At least one private key-certificate chain pair is required!"
    raised(ValueError, empty, grpc.ssl_server_credentials, ())
    raised(ValueError, empty, grpc.ssl_server_credentials, None)
    rootless = "Illegal to require client auth without providing root certificates!"
    raised(ValueError, rootless, grpc.ssl_server_credentials, [PAIR], require_client_auth=True)


@pytest.mark.parametrize("pairs", [[("key", b"c")], [(b"k", "c")], [(None, None)]], ids=repr)
def test_ssl_server_credentials_are_bytes(pairs):
    with pytest.raises(TypeError):
        grpc.ssl_server_credentials(pairs)
    with pytest.raises(TypeError):
        grpc.ssl_server_certificate_configuration(pairs)


@pytest.mark.parametrize("pairs", [[(b"k",)], [b"k"]], ids=repr)
def test_ssl_server_credentials_are_pairs(pairs):
    with pytest.raises(ValueError):
        grpc.ssl_server_credentials(pairs)


def test_dynamic_ssl_server_credentials():
    config = grpc.ssl_server_certificate_configuration([PAIR])
    assert type(config) is grpc.ServerCertificateConfiguration
    made = grpc.dynamic_ssl_server_credentials(config, lambda: None, True)
    assert type(made) is grpc.ServerCredentials
    text = "initial_cert_config must be a grpc.ServerCertificateConfiguration"
    raised(TypeError, text, grpc.dynamic_ssl_server_credentials, None, None)
    text = "cert_config_fetcher must be callable"
    raised(TypeError, text, grpc.dynamic_ssl_server_credentials, config, None)
    with pytest.raises(ValueError):
        grpc.ssl_server_certificate_configuration([])


def test_call_credentials():
    token = grpc.access_token_call_credentials("token")
    plugin = grpc.metadata_call_credentials(lambda context, callback: None, "name")
    for made in (token, plugin, grpc.composite_call_credentials(token, plugin)):
        assert type(made) is grpc.CallCredentials
    assert type(grpc.composite_call_credentials(token)) is grpc.CallCredentials
    with pytest.raises(AttributeError):
        grpc.composite_call_credentials(token, None)


def test_composite_channel_credentials():
    ssl, token = grpc.ssl_channel_credentials(), grpc.access_token_call_credentials("token")
    made = grpc.composite_channel_credentials(ssl, token, token)
    assert type(made) is grpc.ChannelCredentials
    with pytest.raises(AttributeError):
        grpc.composite_channel_credentials(None, token)


def test_local_credentials():
    for kind in grpc.LocalConnectionType:
        assert type(grpc.local_channel_credentials(kind)) is grpc.ChannelCredentials
        assert type(grpc.local_server_credentials(kind)) is grpc.ServerCredentials
    assert type(grpc.local_channel_credentials()) is grpc.ChannelCredentials
    with pytest.raises(AttributeError):
        grpc.local_channel_credentials(5)
    with pytest.raises(AttributeError):
        grpc.local_server_credentials(None)


def test_credentials_for_other_worlds_can_be_made():
    token = grpc.access_token_call_credentials("token")
    made = [
        grpc.alts_channel_credentials(),
        grpc.alts_channel_credentials(["account"]),
        grpc.compute_engine_channel_credentials(token),
        grpc.xds_channel_credentials(),
        grpc.xds_channel_credentials(grpc.ssl_channel_credentials()),
    ]
    assert {type(each) for each in made} == {grpc.ChannelCredentials}
    made = [grpc.alts_server_credentials(), grpc.insecure_server_credentials()]
    made.append(grpc.xds_server_credentials(made[1]))
    assert {type(each) for each in made} == {grpc.ServerCredentials}
    with pytest.raises(AttributeError):
        grpc.xds_server_credentials(None)
    with pytest.raises(AttributeError):
        grpc.compute_engine_channel_credentials(None)


def test_secure_channel_wants_credentials():
    with pytest.raises(AttributeError):
        grpc.secure_channel("localhost:1", None)


@pytest.mark.ferrpc_only("below this, grpcio's core enters the context")
def test_a_plugin_is_asked_with_the_variables_of_its_maker():
    from grpc import _plugin_wrapping

    variable = contextvars.ContextVar("variable")
    variable.set("maker")
    seen = []

    def plugin(context, callback):
        seen.append((variable.get(), context.service_url, context.method_name))
        callback((("k", "v"),), None)

    wrapped = _plugin_wrapping._Plugin(plugin)
    arguments = ("https://h/s", "m", lambda *answer: seen.append(answer))
    thread = threading.Thread(target=wrapped, args=arguments)
    thread.start()
    thread.join()
    assert seen[0] == ("maker", "https://h/s", "m")
    assert seen[1][0] == (("k", "v"),)


def test_a_plugin_answers_once():
    from grpc import _plugin_wrapping

    raised_texts = []

    def plugin(context, callback):
        assert isinstance(context, grpc.AuthMetadataContext)
        assert isinstance(callback, grpc.AuthMetadataPluginCallback)
        callback((), None)
        try:
            callback((), None)
        except RuntimeError as error:
            raised_texts.append(str(error))

    _plugin_wrapping._Plugin(plugin)("https://h/s", "m", lambda *answer: None)
    assert raised_texts == ["AuthMetadataPluginCallback invoked more than once!"]


def test_the_token_is_sent_as_bearer():
    from grpc import _auth

    answers = []
    _auth.AccessTokenAuthMetadataPlugin("token")(None, lambda *answer: answers.append(answer))
    assert answers == [((("authorization", "Bearer token"),), None)]


def test_credentials_of_google():
    from grpc import _auth

    class Credentials:
        def get_access_token(self):
            class Token:
                access_token = "t"

            return Token()

    done, answers = threading.Event(), []

    def callback(*answer):
        answers.append(answer)
        done.set()

    _auth.GoogleCallCredentials(Credentials())(None, callback)
    assert done.wait(10)
    assert answers == [((("authorization", "Bearer t"),), None)]
