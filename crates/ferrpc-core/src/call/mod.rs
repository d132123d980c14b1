//! A call as its application sees it, above the streams that carry it.

mod client;

pub use client::{CallConfig, ClientCall, Next, PickRequest, Step};
