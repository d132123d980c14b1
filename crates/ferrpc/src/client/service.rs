//! What a channel's service config makes of its calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ferrpc_core::call::{Retry, RetryBudget};
use ferrpc_core::service_config::{MethodConfig, ServiceConfig};
use ferrpc_core::transport::CallLimits;
use ferrpc_net::seed::seed;

/// The service config of a channel, and what its calls share because of it.
#[derive(Clone)]
pub(crate) struct Service {
    config: Arc<ServiceConfig>,
    budget: Arc<RetryBudget>,
    retries: bool,
}

/// What the config says of one call.
#[derive(Default)]
pub(super) struct CallService<'a> {
    method: Option<&'a MethodConfig>,
    pub(super) retry: Option<Box<Retry>>,
}

impl Service {
    pub(super) fn new(config: ServiceConfig, retries: bool) -> Self {
        let budget = Arc::new(RetryBudget::new(config.throttling, seed()));
        Self { config: Arc::new(config), budget, retries }
    }

    /// What is said of a call to this path.
    pub(super) fn of(&self, path: &str) -> CallService<'_> {
        let method = self.config.method(path);
        let policy = method.and_then(|method| method.retry.as_ref()).filter(|_| self.retries);
        // Where failures are counted, those of other methods are, too.
        let retry = (policy.is_some() || self.retries && self.budget.is_throttled())
            .then(|| Box::new(Retry::new(policy.map(Arc::clone), Arc::clone(&self.budget))));
        CallService { method, retry }
    }
}

impl CallService<'_> {
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.method?.timeout
    }

    pub(super) fn wait_for_ready(&self) -> Option<bool> {
        self.method?.wait_for_ready
    }

    /// The smaller ones of both limits.
    pub(super) fn limit(&self, channel: CallLimits) -> CallLimits {
        let smaller =
            |limit: usize, most: Option<u32>| most.map_or(limit, |most| limit.min(most as usize));
        let Some(method) = self.method else { return channel };
        CallLimits {
            max_receive: smaller(channel.max_receive, method.max_response),
            max_send: smaller(channel.max_send, method.max_request),
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("config", &self.config).finish_non_exhaustive()
    }
}
