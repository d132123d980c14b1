"""Signatures by private keys that are elsewhere: functions of users that TLS handshakes ask.

The engine tells of a question among the completions; the function runs on a thread of those that
may block, for it may be a hardware module's or a service's.
"""

import logging
import os
import threading

from grpc import _asking, _completions, _ferrpc

_LOGGER = logging.getLogger("grpc._channel")

_NOBODY_ASKS = _ferrpc.SignatureEvent.NOBODY_ASKS

# Those whose engine is there. In the child of a fork the handlers of its parent are gone.
_signers = set()


def engine(credentials, roots, sessions):
    """The engine's credentials for `_credentials.SSLCustomSignerChannelCredentials`; `roots` are
    PEM, or None for the system's."""
    signer = _Signer(credentials.private_key_sign_fn)
    return _ferrpc.ChannelCredentials.signed(
        roots,
        credentials._certificate_chain or b"",
        signer.signatures,
        sessions,
    )


class _Signer:
    """Kept until the engine's credentials are gone, of which the completions tell."""

    def __init__(self, sign):
        self._sign = sign
        self._open = {}
        self.tag = _completions.register(self.told)
        self.signatures = _ferrpc.Signatures(self.tag)
        _signers.add(self)

    def told(self, number):
        if number == _NOBODY_ASKS:
            _completions.forget(self.tag)
            _signers.discard(self)
            return
        question = self.signatures.take(number)
        if question is not None:
            asked = self._open[number] = _Asked(question, lambda: self._open.pop(number, None))
            _asking.run(lambda: asked.ask(self._sign))
        elif (asked := self._open.pop(number, None)) is not None:
            _asking.run(asked.give_up)

    def forked(self):
        self._open = {}
        _completions.restore(self.tag, self.told)


class _Asked:
    """One signature. Nothing of the user's is called under its lock."""

    def __init__(self, question, over):
        self._question = question
        self._over = over
        self._lock = threading.Lock()
        self._cancel = None
        self._given_up = False

    def ask(self, sign):
        from grpc.experimental import PrivateKeySignatureAlgorithm

        message, algorithm = self._question.arguments()
        try:
            result = sign(message, PrivateKeySignatureAlgorithm(algorithm), self._complete)
        except BaseException as error:
            self._fail(f"Exception in user function: {error}")
            return
        if not callable(result):
            self._complete(result)
            return
        with self._lock:
            self._cancel = result
            given_up = self._given_up
        if given_up:
            self._run_cancel()

    def give_up(self):
        with self._lock:
            self._given_up = True
            cancel = self._cancel
        # If there is none yet, the function has not returned.
        if cancel is not None:
            self._run_cancel()

    def _complete(self, result):
        """What the user calls with a signature that was made later, or with an exception."""
        if isinstance(result, bytes):
            self._over()
            if result:
                self._question.answer(result)
            else:
                self._question.fail("it is empty")
        elif isinstance(result, BaseException):
            self._fail(str(result) or repr(result))
        else:
            self._fail(f"Invalid result type: {type(result)}")

    def _fail(self, why):
        self._over()
        self._question.fail(why)

    def _run_cancel(self):
        try:
            self._cancel()
        except Exception:
            _LOGGER.warning("Exception where a signature is given up", exc_info=True)


def _forked():
    for signer in list(_signers):
        signer.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
