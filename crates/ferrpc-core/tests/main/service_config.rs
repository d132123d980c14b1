//! Service configs: which are taken, what they say, and what errors say.

use std::time::Duration;

use ferrpc_core::Code;
use ferrpc_core::service_config::{LoadBalancing, ServiceConfig, ServiceConfigError};

const CONFIGS: &str = include_str!("../../../../testdata/service_config/configs.txt");

#[test]
fn the_verdicts_of_other_implementations() {
    let mut wrong = Vec::new();
    for line in CONFIGS.lines().filter(|line| !line.starts_with('#')) {
        let [go, grpcio, ours, json] =
            line.splitn(4, ' ').collect::<Vec<_>>().try_into().expect("four columns");
        assert!(ours == go || ours == grpcio, "nobody else does this: {line}");
        let taken = ServiceConfig::parse(json);
        if taken.is_ok() != (ours == "+") {
            wrong.push(format!("{json}: {taken:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn problems(json: &str) -> Vec<String> {
    match ServiceConfig::parse(json) {
        Err(ServiceConfigError::Invalid(fields)) => {
            fields.iter().map(ToString::to_string).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_error_names_each_field_by_its_path() {
    let json = r#"{
        "methodConfig": [
            {"name": [{"service": "a.A"}], "timeout": "3", "waitForReady": 1},
            {"name": [{"service": "a.A"}, {"method": "B"}], "retryPolicy": {
                "maxAttempts": 1, "initialBackoff": "0s", "backoffMultiplier": 0,
                "retryableStatusCodes": ["NOPE"]
            }}
        ],
        "retryThrottling": {"maxTokens": 0},
        "loadBalancingConfig": [{"of_nobody": {}}],
        "healthCheckConfig": {"serviceName": 3}
    }"#;
    assert_eq!(
        problems(json),
        [
            "field:healthCheckConfig.serviceName error:is not a string",
            "field:loadBalancingConfig error:No known policies in list: of_nobody",
            "field:methodConfig[0].timeout error:Not a duration (no s suffix)",
            "field:methodConfig[0].waitForReady error:is not a boolean",
            "field:methodConfig[1].name[0] error:multiple method configs for path /a.A/",
            "field:methodConfig[1].name[1] error:method name populated without service name",
            "field:methodConfig[1].retryPolicy.backoffMultiplier error:must be greater than 0",
            "field:methodConfig[1].retryPolicy.initialBackoff error:must be greater than 0",
            "field:methodConfig[1].retryPolicy.maxAttempts error:must be at least 2",
            "field:methodConfig[1].retryPolicy.maxBackoff error:field not present",
            "field:methodConfig[1].retryPolicy.retryableStatusCodes error:must be non-empty",
            "field:methodConfig[1].retryPolicy.retryableStatusCodes[0] error:failed to parse status code",
            "field:retryThrottling.maxTokens error:must be greater than 0",
            "field:retryThrottling.tokenRatio error:field not present",
        ]
    );
    assert_eq!(problems("[]"), ["field: error:is not an object"]);
    let broken = ServiceConfig::parse("{").expect_err("no JSON");
    assert!(broken.to_string().starts_with("JSON parsing failed: ["), "{broken}");
}

#[test]
fn the_entry_of_a_method_goes_before_that_of_its_service_and_of_all() {
    let json = r#"{"methodConfig": [
        {"name": [{}], "timeout": "3s"},
        {"name": [{"service": "a.A"}], "timeout": "2s", "waitForReady": true},
        {"name": [{"service": "a.A", "method": "B"}, {"service": "b.B"}], "timeout": "1s"}
    ]}"#;
    let config = ServiceConfig::parse(json).expect("one");
    let timeout = |path| config.method(path).and_then(|method| method.timeout);
    assert_eq!(timeout("/a.A/B"), Some(Duration::from_secs(1)));
    assert_eq!(timeout("/a.A/C"), Some(Duration::from_secs(2)));
    assert_eq!(timeout("/b.B/C"), Some(Duration::from_secs(1)));
    assert_eq!(timeout("/c.C/B"), Some(Duration::from_secs(3)));
    assert_eq!(timeout("no path"), Some(Duration::from_secs(3)));
    // Entries are not merged.
    assert_eq!(config.method("/a.A/B").and_then(|method| method.wait_for_ready), None);
    assert_eq!(ServiceConfig::default().method("/a.A/B"), None);
}

#[test]
fn what_a_config_says() {
    let json = r#"{
        "methodConfig": [{
            "name": [{}], "maxRequestMessageBytes": "10", "maxResponseMessageBytes": 20,
            "retryPolicy": {
                "maxAttempts": 9, "initialBackoff": "0.05s", "maxBackoff": "1.5s",
                "backoffMultiplier": 1.5, "retryableStatusCodes": ["ABORTED", 14]
            }
        }],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.5467}
    }"#;
    let config = ServiceConfig::parse(json).expect("one");
    let method = config.method("/a.A/B").expect("an entry for all");
    assert_eq!((method.max_request, method.max_response), (Some(10), Some(20)));
    let retry = method.retry.as_ref().expect("a policy");
    assert_eq!(retry.max_attempts, 5);
    assert_eq!(retry.initial_backoff, Duration::from_millis(50));
    assert_eq!(retry.max_backoff, Duration::from_millis(1500));
    assert_eq!(retry.multiplier, 1.5);
    let codes: Vec<Code> = (0..17)
        .filter_map(|code| Code::try_from(code).ok())
        .filter(|code| retry.codes.contains(*code))
        .collect();
    assert_eq!(codes, [Code::Aborted, Code::Unavailable]);
    let throttling = config.throttling.expect("there is one");
    assert_eq!(throttling.max_milli_tokens, 10_000);
    // Three decimal places count.
    assert_eq!(throttling.milli_tokens_per_success, 546);
    assert!(config.ignored().is_empty());
}

#[test]
fn the_first_known_policy_of_load_balancing_counts() {
    let of = |json| ServiceConfig::parse(json).expect("one").load_balancing;
    assert_eq!(of("{}"), None);
    assert_eq!(of(r#"{"loadBalancingPolicy": "ROUND_ROBIN"}"#), Some(LoadBalancing::RoundRobin));
    let json = r#"{"loadBalancingPolicy": "round_robin", "loadBalancingConfig": [
        {"of_nobody": {}}, {"grpclb": {}}, {"pick_first": {"shuffleAddressList": true}}, {"round_robin": {}}
    ]}"#;
    assert_eq!(of(json), Some(LoadBalancing::PickFirst { shuffle: true }));
}

#[test]
fn what_has_no_effect_is_named() {
    let json = r#"{
        "methodConfig": [{"name": [{}], "hedgingPolicy": {"maxAttempts": 2}}],
        "loadBalancingConfig": [{"ring_hash_experimental": {}}],
        "healthCheckConfig": {"serviceName": "a"}
    }"#;
    let config = ServiceConfig::parse(json).expect("one");
    assert_eq!(
        config.ignored(),
        [
            "methodConfig[0].hedgingPolicy",
            "loadBalancingConfig.ring_hash_experimental",
            "healthCheckConfig"
        ]
    );
    assert_eq!(config.load_balancing, None);
}
