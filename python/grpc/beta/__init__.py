"""The API from before `grpc` had its present one; kept for programs and generated code of that
time. It is made of today's channels and servers."""
