"""Plugins of call credentials: an access token, and the credentials of google-auth."""

import grpc


class AccessTokenAuthMetadataPlugin(grpc.AuthMetadataPlugin):
    """Sends a token that is known from the beginning."""

    def __init__(self, access_token):
        self._access_token = access_token

    @property
    def _metadata(self):
        """What it sends with every call."""
        return _authorization(self._access_token)

    def __call__(self, context, callback):
        _send(callback, self._access_token, None)


class GoogleCallCredentials(grpc.AuthMetadataPlugin):
    """Asks credentials which have `get_access_token()`, in a thread of its own as that may
    block."""

    def __init__(self, credentials):
        import inspect

        self._credentials = credentials
        self._pool = None
        # oauth2client has credentials whose tokens are made for the service that is called.
        parameters = inspect.signature(credentials.get_access_token).parameters
        self._is_jwt = "additional_claims" in parameters

    def __call__(self, context, callback):
        from concurrent import futures

        if self._pool is None:
            self._pool = futures.ThreadPoolExecutor(max_workers=1)
        arguments = {"additional_claims": {"aud": context.service_url}} if self._is_jwt else {}
        future = self._pool.submit(self._credentials.get_access_token, **arguments)
        future.add_done_callback(lambda future: _answer(future, callback))


def _answer(future, callback):
    try:
        token = future.result().access_token
    except Exception as error:
        _send(callback, None, error)
    else:
        _send(callback, token, None)


def _send(callback, token, error):
    callback(_authorization(token), error)


def _authorization(token):
    return (("authorization", f"Bearer {token}"),)
