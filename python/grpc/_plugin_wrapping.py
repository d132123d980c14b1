"""What stands between the engine and a user's plugin of call credentials."""

import collections
import contextvars
import functools
import logging
import sys
import threading

import grpc
from grpc import _auth, _common
from grpc._credentials import MetadataPluginCallCredentials

_LOGGER = logging.getLogger(__name__)


class _AuthMetadataContext(
    collections.namedtuple("AuthMetadataContext", ("service_url", "method_name")),
    grpc.AuthMetadataContext,
):
    """What the plugin is told of the call."""


class _CallbackState:
    """Whether the plugin has answered, or was given up because it raised."""

    def __init__(self):
        # Its owner may take it again: a callback may be collected at any time.
        self.lock = threading.RLock()
        self.called = False
        self.exception = None


class _AuthMetadataPluginCallback(grpc.AuthMetadataPluginCallback):
    """Takes one answer of a plugin."""

    def __init__(self, state, callback):
        self._state = state
        self._callback = callback

    def __del__(self):
        state = self._state
        with state.lock:
            if state.called or state.exception is not None:
                return
            state.called = True
        if not sys.is_finalizing():
            from grpc import _asking

            # Garbage is collected anywhere, under any lock.
            text = "the plugin let go of its callback without an answer"
            _asking.run(functools.partial(self._callback, None, False, text))

    def __call__(self, metadata, error):
        with self._state.lock:
            if self._state.exception is not None:
                raise RuntimeError(
                    f'AuthMetadataPluginCallback raised exception "{self._state.exception}"!'
                )
            if self._state.called:
                raise RuntimeError("AuthMetadataPluginCallback invoked more than once!")
            self._state.called = True
        if error is None:
            self._callback(metadata, True, None)
        else:
            self._callback(None, False, str(error))


class _Plugin:
    """A plugin as the engine calls it, with the context variables of whoever made it."""

    def __init__(self, metadata_plugin):
        self._metadata_plugin = metadata_plugin
        self._stored_ctx = contextvars.copy_context()

    @property
    def known(self):
        """The metadata of a plugin that always says the same; None of others."""
        plugin = self._metadata_plugin
        return plugin._metadata if type(plugin) is _auth.AccessTokenAuthMetadataPlugin else None

    def __call__(self, service_url, method_name, callback):
        """Asks for metadata; `callback(metadata, ok, error)` is called once, with pairs, True and
        None, or with None, False and a str."""
        context = _AuthMetadataContext(_common.decode(service_url), _common.decode(method_name))
        state = _CallbackState()
        answer = _AuthMetadataPluginCallback(state, callback)
        try:
            # A copy: one context cannot be entered by two threads at once.
            self._stored_ctx.copy().run(self._metadata_plugin, context, answer)
        except Exception as error:
            _LOGGER.exception(
                'AuthMetadataPluginCallback "%s" raised exception!', self._metadata_plugin
            )
            with state.lock:
                if state.called:
                    return
                state.exception = error
            callback(None, False, str(error))


def metadata_plugin_call_credentials(metadata_plugin, name):
    """See `grpc.metadata_call_credentials`."""
    if name is None:
        name = getattr(metadata_plugin, "__name__", None) or type(metadata_plugin).__name__
    return grpc.CallCredentials(
        MetadataPluginCallCredentials(_Plugin(metadata_plugin), _common.encode(name))
    )
