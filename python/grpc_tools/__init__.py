"""The protobuf compiler: ``python -m grpc_tools.protoc``."""
