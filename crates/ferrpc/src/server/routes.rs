//! Which handler answers which method.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use ferrpc_core::transport::{CallLimits, Cardinality};
use foldhash::fast::RandomState;

use super::ResponseStream;
use super::dispatch::{Dispatch, DispatchCounters, MethodDispatch};
use super::external::ExternalQueue;
use super::handler::{Bidirectional, ClientStreaming, Handler, ServerStreaming, Typed, Unary};
use super::interceptor::{Chain, Interceptor};
use super::settings::Settings;
use crate::{Code, Encoding, Method, Request, Response, Status, Streaming, codec};

/// The methods of one service and their handlers.
///
/// Generated code makes it from an implementation of the service's trait; by hand:
///
/// ```
/// use ferrpc::server::Routes;
/// use ferrpc::{Method, Request, Response, codec};
/// use bytes::Bytes;
///
/// const ECHO: Method<Bytes, Bytes> =
///     Method::unary("/example.Echo/Echo", codec::raw(), codec::raw());
///
/// let mut routes = Routes::new("example.Echo");
/// routes.unary(ECHO, |request: Request<Bytes>| async move {
///     Ok(Response::new(request.into_inner()))
/// });
/// ```
///
/// A handler's future is dropped when its call is cancelled or its deadline passes.
#[derive(Debug)]
pub struct Routes {
    service: String,
    routes: Vec<Route>,
}

struct Route {
    path: Box<str>,
    cardinality: Cardinality,
    target: RouteTarget,
    dispatch: Dispatch,
    overrides: Overrides,
}

enum RouteTarget {
    Handler(Box<dyn Handler>),
    External(Arc<ExternalQueue>),
}

/// What a method has otherwise than its server.
#[derive(Clone, Copy, Debug, Default)]
struct Overrides {
    max_receive: Option<usize>,
    max_send: Option<usize>,
    compression: Option<Encoding>,
}

impl Routes {
    /// No methods yet. `service` is the full name, for instance "example.TestService".
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into(), routes: Vec::new() }
    }

    /// The service's full name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// One request, one response.
    pub fn unary<Q, S, F, Fut>(&mut self, method: Method<Q, S>, handler: F) -> &mut Self
    where
        F: Fn(Request<Q>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<S>, Status>> + Send + 'static,
        Q: Send + 'static,
        S: Send + 'static,
    {
        let handler = Typed::<_, _, _, Unary>::new(handler, method.request(), method.response());
        self.add(method.path(), Cardinality::Unary, RouteTarget::Handler(Box::new(handler)))
    }

    /// A stream of requests, one response.
    pub fn client_streaming<Q, S, F, Fut>(&mut self, method: Method<Q, S>, handler: F) -> &mut Self
    where
        F: Fn(Request<Streaming<Q>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<S>, Status>> + Send + 'static,
        Q: Send + 'static,
        S: Send + 'static,
    {
        let handler =
            Typed::<_, _, _, ClientStreaming>::new(handler, method.request(), method.response());
        let target = RouteTarget::Handler(Box::new(handler));
        self.add(method.path(), Cardinality::ClientStreaming, target)
    }

    /// One request, a stream of responses.
    pub fn server_streaming<Q, S, F, Fut>(&mut self, method: Method<Q, S>, handler: F) -> &mut Self
    where
        F: Fn(Request<Q>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<ResponseStream<S>>, Status>> + Send + 'static,
        Q: Send + 'static,
        S: Send + 'static,
    {
        let handler =
            Typed::<_, _, _, ServerStreaming>::new(handler, method.request(), method.response());
        let target = RouteTarget::Handler(Box::new(handler));
        self.add(method.path(), Cardinality::ServerStreaming, target)
    }

    /// Streams both ways. Initial metadata goes out when the handler returns its stream.
    pub fn bidirectional<Q, S, F, Fut>(&mut self, method: Method<Q, S>, handler: F) -> &mut Self
    where
        F: Fn(Request<Streaming<Q>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<ResponseStream<S>>, Status>> + Send + 'static,
        Q: Send + 'static,
        S: Send + 'static,
    {
        let handler =
            Typed::<_, _, _, Bidirectional>::new(handler, method.request(), method.response());
        let target = RouteTarget::Handler(Box::new(handler));
        self.add(method.path(), Cardinality::Bidirectional, target)
    }

    /// Calls of this method go into `queue`, from which threads outside the runtime take them.
    pub fn external(
        &mut self,
        path: &str,
        cardinality: Cardinality,
        queue: Arc<ExternalQueue>,
    ) -> &mut Self {
        self.add(path, cardinality, RouteTarget::External(queue))
    }

    /// How the handlers of the method with this name ("Method") or path ("/service/Method") run.
    ///
    /// # Panics
    /// If no such method was added before.
    pub fn dispatch(&mut self, method: &str, dispatch: Dispatch) -> &mut Self {
        self.route(method).dispatch = dispatch;
        self
    }

    /// The largest request message of the method, in bytes, before and after decompression.
    ///
    /// # Panics
    /// If no such method was added before.
    pub fn max_receive_message(&mut self, method: &str, bytes: usize) -> &mut Self {
        self.route(method).overrides.max_receive = Some(bytes);
        self
    }

    /// The largest response message of the method, in bytes, as it travels.
    ///
    /// # Panics
    /// If no such method was added before.
    pub fn max_send_message(&mut self, method: &str, bytes: usize) -> &mut Self {
        self.route(method).overrides.max_send = Some(bytes);
        self
    }

    /// How responses of the method are compressed, where the caller takes it and the response
    /// does not say otherwise.
    ///
    /// # Panics
    /// If no such method was added before.
    pub fn compression(&mut self, method: &str, encoding: Encoding) -> &mut Self {
        self.route(method).overrides.compression = Some(encoding);
        self
    }

    fn add(&mut self, path: &str, cardinality: Cardinality, target: RouteTarget) -> &mut Self {
        self.routes.push(Route {
            path: path.into(),
            cardinality,
            target,
            dispatch: Dispatch::Auto,
            overrides: Overrides::default(),
        });
        self
    }

    fn route(&mut self, method: &str) -> &mut Route {
        let service = &self.service;
        self.routes
            .iter_mut()
            .find(|route| {
                *route.path == *method
                    || route.path.rsplit_once('/').is_some_and(|(_, name)| name == method)
            })
            .unwrap_or_else(|| panic!("service {service:?} has no method {method:?}"))
    }
}

/// Where the calls go whose method no service has.
pub(crate) enum Unknown {
    Handler(Box<dyn Handler>),
    External(Arc<ExternalQueue>),
}

/// All methods of a server, and what is known of each.
#[derive(Debug)]
pub(crate) struct Router {
    paths: HashMap<Box<str>, u32, RandomState>,
    services: HashSet<Box<str>, RandomState>,
    methods: Vec<MethodEntry>,
    /// Handles what no other method does.
    unknown: Option<u32>,
}

/// One method of a server.
pub(crate) struct MethodEntry {
    pub(crate) path: Box<str>,
    pub(crate) cardinality: Cardinality,
    pub(crate) settings: Settings,
    pub(crate) target: Target,
    pub(crate) dispatch: MethodDispatch,
}

/// Where the calls of a method go.
pub(crate) enum Target {
    Handler(Arc<Chain>),
    External(Arc<ExternalQueue>),
}

impl MethodEntry {
    /// Whether threads outside the runtime handle its calls.
    pub(crate) const fn is_external(&self) -> bool {
        matches!(self.target, Target::External(_))
    }
}

impl Router {
    /// The methods of `all`, behind `interceptors`. A path that appears twice belongs to the one
    /// that came last.
    pub(crate) fn new(
        all: Vec<Routes>,
        unknown: Option<Unknown>,
        interceptors: &Arc<[Arc<dyn Interceptor>]>,
        defaults: Settings,
    ) -> Self {
        let mut router = Self {
            paths: HashMap::default(),
            services: HashSet::default(),
            methods: Vec::new(),
            unknown: None,
        };
        for routes in all {
            router.services.insert(routes.service.into());
            for route in routes.routes {
                let index = router.push(route, interceptors, defaults);
                let entry = &router.methods[index as usize];
                router.paths.insert(entry.path.clone(), index);
            }
        }
        if let Some(unknown) = unknown {
            let route = Route {
                path: "(unknown)".into(),
                cardinality: Cardinality::Bidirectional,
                target: match unknown {
                    Unknown::Handler(handler) => RouteTarget::Handler(handler),
                    Unknown::External(queue) => RouteTarget::External(queue),
                },
                dispatch: Dispatch::Auto,
                overrides: Overrides::default(),
            };
            router.unknown = Some(router.push(route, interceptors, defaults));
        }
        router
    }

    fn push(
        &mut self,
        route: Route,
        interceptors: &Arc<[Arc<dyn Interceptor>]>,
        defaults: Settings,
    ) -> u32 {
        let Overrides { max_receive, max_send, compression } = route.overrides;
        self.methods.push(MethodEntry {
            path: route.path,
            cardinality: route.cardinality,
            settings: Settings {
                limits: CallLimits {
                    max_receive: max_receive.unwrap_or(defaults.limits.max_receive),
                    max_send: max_send.unwrap_or(defaults.limits.max_send),
                },
                compression: compression.unwrap_or(defaults.compression),
                sends: defaults.sends,
            },
            target: match route.target {
                RouteTarget::Handler(handler) => {
                    let interceptors = Arc::clone(interceptors);
                    Target::Handler(Arc::new(Chain { interceptors, handler }))
                }
                RouteTarget::External(queue) => Target::External(queue),
            },
            dispatch: MethodDispatch::new(route.dispatch),
        });
        (self.methods.len() - 1) as u32
    }

    /// The method of a path.
    pub(crate) fn find(&self, path: &str) -> Option<u32> {
        self.paths.get(path).copied().or(self.unknown)
    }

    /// A method found before.
    pub(crate) fn entry(&self, method: u32) -> &MethodEntry {
        &self.methods[method as usize]
    }

    /// What a caller of an unknown path is told.
    pub(crate) fn unimplemented(&self, path: &str) -> Status {
        let (service, method) = crate::method::split_path(path);
        let message = if self.services.contains(service) {
            format!("unknown method {method} for service {service}")
        } else {
            format!("unknown service {service}")
        };
        Status::new(Code::Unimplemented, message)
    }

    /// How a method's calls were run.
    pub(crate) fn dispatch_counters(&self, path: &str) -> Option<DispatchCounters> {
        let method = *self.paths.get(path)?;
        Some(self.entry(method).dispatch.counters())
    }

    /// The queues that methods send their calls to.
    pub(crate) fn external_queues(&self) -> impl Iterator<Item = &Arc<ExternalQueue>> {
        self.methods.iter().filter_map(|method| match &method.target {
            Target::External(queue) => Some(queue),
            Target::Handler(_) => None,
        })
    }
}

/// The handler of methods that a server does not know, as it stands behind the router.
pub(crate) fn unknown_handler<F, Fut>(handler: F) -> Box<dyn Handler>
where
    F: Fn(Request<Streaming<Bytes>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<ResponseStream<Bytes>>, Status>> + Send + 'static,
{
    Box::new(Typed::<_, _, _, Bidirectional>::new(handler, codec::raw(), codec::raw()))
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("path", &self.path)
            .field("cardinality", &self.cardinality)
            .field("dispatch", &self.dispatch)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MethodEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MethodEntry")
            .field("path", &self.path)
            .field("cardinality", &self.cardinality)
            .field("dispatch", &self.dispatch)
            .finish_non_exhaustive()
    }
}
