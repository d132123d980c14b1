//! Servers. (Being written.)
