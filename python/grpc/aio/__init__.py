"""The asyncio API. It is not there yet: importing it says so."""

raise ImportError(
    "this version of ferrpc has no grpc.aio; use the synchronous API, or grpcio where asyncio is "
    "needed",
    name="grpc.aio",
)
