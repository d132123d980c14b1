"""One key and value of metadata, as everything received is given out."""

import collections

_Metadatum = collections.namedtuple("_Metadatum", ("key", "value"))
