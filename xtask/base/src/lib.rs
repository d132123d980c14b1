//! What the project's commands share.
//!
//! `workspace` knows the folders, `process` runs programs with time limits, `peers` builds the real
//! peers of `interop/`, `python` makes environments, `debian` finds programs of Debian, `relay` counts
//! what two ends send, `usage` reads what a process uses, `stamp` remembers what is done, `report` counts
//! and prints.

pub mod debian;
pub mod peers;
pub mod process;
pub mod python;
pub mod relay;
pub mod report;
pub mod stamp;
pub mod usage;
pub mod workspace;
