//! From JSON to a service config.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::object::{Errors, Object};
use super::{
    LoadBalancing, MethodConfig, RetryPolicy, RetryThrottling, ServiceConfig, ServiceConfigError,
    duration,
};

pub(super) fn parse(json: &str) -> Result<ServiceConfig, ServiceConfigError> {
    let value: Value =
        serde_json::from_str(json).map_err(|error| ServiceConfigError::Json(error.to_string()))?;
    let mut errors = Errors::default();
    let config = Object::new(&value, String::new(), &mut errors)
        .map(|object| config(&object, &mut errors))
        .unwrap_or_default();
    if errors.0.is_empty() {
        return Ok(config);
    }
    errors.0.sort();
    Err(ServiceConfigError::Invalid(errors.0))
}

fn config(object: &Object<'_>, errors: &mut Errors) -> ServiceConfig {
    let mut ignored = Vec::new();
    let methods = methods(object, errors, &mut ignored);
    let throttling = object
        .object("retryThrottling", errors)
        .and_then(|object| RetryThrottling::read(&object, errors));
    let load_balancing = load_balancing(object, errors, &mut ignored);
    let health_check_service = object.object("healthCheckConfig", errors).and_then(|object| {
        ignored.push(object.path().to_owned());
        object.text("serviceName", errors).map(str::to_owned)
    });
    ServiceConfig { methods, throttling, load_balancing, health_check_service, ignored }
}

fn methods(
    object: &Object<'_>,
    errors: &mut Errors,
    ignored: &mut Vec<String>,
) -> HashMap<String, Arc<MethodConfig>> {
    let mut methods = HashMap::new();
    for (value, path) in object.array("methodConfig", errors) {
        let Some(object) = Object::new(value, path, errors) else { continue };
        let config = Arc::new(method(&object, errors, ignored));
        for (value, path) in object.array("name", errors) {
            let Some(object) = Object::new(value, path, errors) else { continue };
            let Some(name) = name(&object, errors) else { continue };
            let path = if name.is_empty() { "<default>" } else { &name };
            if methods.contains_key(&name) {
                errors.add(object.path(), format!("multiple method configs for path {path}"));
            }
            methods.insert(name, Arc::clone(&config));
        }
    }
    methods
}

/// What a name stands for: "/service/method", "/service/", or nothing for all.
fn name(object: &Object<'_>, errors: &mut Errors) -> Option<String> {
    let known = errors.0.len();
    let service = object.text("service", errors).unwrap_or_default();
    let method = object.text("method", errors).unwrap_or_default();
    match (service, method) {
        _ if errors.0.len() > known => None,
        ("", "") => Some(String::new()),
        ("", _) => {
            errors.add(object.path(), "method name populated without service name");
            None
        }
        _ => Some(format!("/{service}/{method}")),
    }
}

fn method(object: &Object<'_>, errors: &mut Errors, ignored: &mut Vec<String>) -> MethodConfig {
    let timeout = object
        .text("timeout", errors)
        .and_then(|text| object.read("timeout", errors, duration::parse(text)));
    let retry = object
        .object("retryPolicy", errors)
        .and_then(|object| RetryPolicy::read(&object, errors))
        .map(Arc::new);
    if let Some(hedging) = object.object("hedgingPolicy", errors) {
        ignored.push(hedging.path().to_owned());
    }
    MethodConfig {
        timeout,
        wait_for_ready: object.boolean("waitForReady", errors),
        max_request: object.count("maxRequestMessageBytes", errors),
        max_response: object.count("maxResponseMessageBytes", errors),
        retry,
    }
}

/// The first policy of the list that is known, or else the one policy of older configs.
fn load_balancing(
    object: &Object<'_>,
    errors: &mut Errors,
    ignored: &mut Vec<String>,
) -> Option<LoadBalancing> {
    let older = older(object, errors, ignored);
    let path = object.path_of("loadBalancingConfig");
    let list = match object.get("loadBalancingConfig") {
        None => return older,
        Some(Value::Array(list)) => list,
        Some(_) => {
            errors.add(&path, "type should be array");
            return None;
        }
    };
    let (mut elsewhere, mut names) = (None, Vec::new());
    for value in list {
        let entry = match value.as_object() {
            None => Err("child entry should be of type object"),
            Some(entry) if entry.len() > 1 => Err("oneOf violation"),
            Some(entry) => entry.iter().next().ok_or("no policy found in child entry"),
        };
        let (name, settings) = match entry {
            Ok(entry) => entry,
            Err(problem) => {
                errors.add(&path, problem);
                return None;
            }
        };
        if !settings.is_object() {
            errors.add(&path, "child entry should be of type object");
            return None;
        }
        let settings = Object::new(settings, format!("{path}.{name}"), errors)?;
        match name.as_str() {
            "pick_first" => {
                let shuffle = settings.boolean("shuffleAddressList", errors).unwrap_or(false);
                return Some(LoadBalancing::PickFirst { shuffle });
            }
            "round_robin" => return Some(LoadBalancing::RoundRobin),
            name if ELSEWHERE.contains(&name) => {
                elsewhere.get_or_insert_with(|| settings.path().to_owned());
            }
            _ => {}
        }
        names.push(name.as_str());
    }
    match elsewhere {
        Some(policy) => ignored.push(policy),
        None => errors.add(&path, format!("No known policies in list: {}", names.join(" "))),
    }
    None
}

/// `loadBalancingPolicy`: a name in letters of either case.
fn older(
    object: &Object<'_>,
    errors: &mut Errors,
    ignored: &mut Vec<String>,
) -> Option<LoadBalancing> {
    let name = object.text("loadBalancingPolicy", errors)?;
    let path = object.path_of("loadBalancingPolicy");
    match name.to_ascii_lowercase().as_str() {
        "pick_first" => return Some(LoadBalancing::PickFirst { shuffle: false }),
        "round_robin" => return Some(LoadBalancing::RoundRobin),
        lower if ELSEWHERE.contains(&lower) => ignored.push(path),
        lower => errors.add(&path, format!("unknown LB policy \"{lower}\"")),
    }
    None
}

/// Policies of gRPC's that are not here: a list with one of them is taken, and the policy has no
/// effect.
const ELSEWHERE: [&str; 9] = [
    "grpclb",
    "least_request_experimental",
    "outlier_detection_experimental",
    "priority_experimental",
    "random_subsetting_experimental",
    "ring_hash_experimental",
    "rls_experimental",
    "weighted_round_robin",
    "weighted_target_experimental",
];
