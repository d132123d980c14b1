# The engine. Its names are for this package alone, which checks them by using them.

from typing import Any

def __getattr__(name: str) -> Any: ...
