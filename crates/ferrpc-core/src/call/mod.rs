//! A call as its application sees it, above the streams that carry it.

mod client;
mod retry;

pub use client::{CallConfig, ClientCall, PickRequest, Step};
pub use retry::{Retry, RetryBudget};
