"""A program with mistakes: mypy must find the one that each marked line names. It is not run."""

import grpc

channel = grpc.insecure_channel(5)  # arg-type
channel.unary_unary("/s/m")(b"", timeout="soon")  # arg-type
grpc.StatusCode.FOUND  # attr-defined
grpc.ssl_channel_credentials("pem")  # arg-type
grpc.secure_channel("localhost", None)  # arg-type
number: int = channel.unary_unary("/s/m", str.encode, bytes.decode)("request")  # assignment
grpc.intercept_channel(channel, object())  # arg-type
grpc.nothing  # attr-defined
