//! gRPC's service config: what a service says about the calls of its clients, as JSON
//! (service_config.md, gRFC A6).
//!
//! ```text
//!   text --parse--> ServiceConfig --method(path)--> MethodConfig: timeout, sizes, RetryPolicy
//!                        |
//!                        +--> throttling, load balancing, and what has no effect here
//! ```
//!
//! A config is right as a whole or refused as a whole; the error names every field that is wrong by
//! its path, in the words that gRPC's C core has for it.

mod duration;
mod error;
mod object;
mod parse;
mod retry;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use error::{FieldError, ServiceConfigError};
pub use retry::{CodeSet, RetryPolicy, RetryThrottling};

/// A service config that was read.
#[derive(Clone, Debug, Default)]
pub struct ServiceConfig {
    /// By "/service/method", "/service/", or the empty string for all others.
    methods: HashMap<String, Arc<MethodConfig>>,
    /// When configured retries stop because too many calls fail.
    pub throttling: Option<RetryThrottling>,
    /// How a connection is chosen for a call. `None`: as the channel has it by default.
    pub load_balancing: Option<LoadBalancing>,
    /// The service that health checks ask for.
    pub health_check_service: Option<String>,
    ignored: Vec<String>,
}

/// What a service config says of calls of some methods. What is `None` is left to the channel and
/// the call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MethodConfig {
    /// Calls end with DEADLINE_EXCEEDED after this time, or after their own if that is shorter.
    pub timeout: Option<Duration>,
    /// Whether calls that do not say themselves wait while the server cannot be reached.
    pub wait_for_ready: Option<bool>,
    /// The largest request message, in bytes; the channel's own limit holds as well.
    pub max_request: Option<u32>,
    /// The largest response message, in bytes; the channel's own limit holds as well.
    pub max_response: Option<u32>,
    /// When a failed call is attempted again.
    pub retry: Option<Arc<RetryPolicy>>,
}

/// A policy of load balancing, with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadBalancing {
    /// The first address that takes a connection has all calls.
    PickFirst {
        /// Whether the addresses are tried in random order.
        shuffle: bool,
    },
    /// Connections to all addresses have calls in turn.
    RoundRobin,
}

impl Default for LoadBalancing {
    fn default() -> Self {
        Self::PickFirst { shuffle: false }
    }
}

impl ServiceConfig {
    /// Reads a service config from JSON.
    pub fn parse(json: &str) -> Result<Self, ServiceConfigError> {
        parse::parse(json)
    }

    /// What is said of calls to this path ("/service/method"): the entry with the method's name, or
    /// else the one of its service, or else the one for all.
    pub fn method(&self, path: &str) -> Option<&MethodConfig> {
        if self.methods.is_empty() {
            return None;
        }
        let service = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
        [path, service, ""]
            .into_iter()
            .find_map(|name| self.methods.get(name))
            .map(|found| &**found)
    }

    /// Fields that are accepted and have no effect here, by their paths.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }
}
