//! Calls over their attempts against a server with moods, under virtual time, each run from one seed.
//!
//! What has to hold, checked against a second account of the rules of gRFC A6: a call ends once; what
//! the server may have seen is sent again by a policy alone, and as often as that says; tokens bound
//! attempts over all calls; each attempt has all the messages; nothing begins behind the deadline.

use std::sync::Arc;
use std::time::Duration;

use ferrpc_core::call::{CallConfig, ClientCall, Retry, RetryBudget, Step};
use ferrpc_core::channel::{
    AttemptEnd, BackoffConfig, ConnectionId, Pick, Subchannel, SubchannelConfig, SubchannelId,
};
use ferrpc_core::service_config::{CodeSet, RetryPolicy, RetryThrottling};
use ferrpc_core::transport::{Message, TransparentRetry};
use ferrpc_core::{Code, Metadata, Status, Time};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Thousandths, counted a second time.
struct Tokens {
    max: i64,
    more: i64,
    left: i64,
}

/// A call, and what is known of it from outside.
struct Subject {
    call: ClientCall,
    policy: Option<RetryPolicy>,
    deadline: Option<Time>,
    messages: Vec<usize>,
    max_kept: usize,
    /// Attempts that the server may have seen.
    seen: u32,
    since_pushback: i32,
    refused: bool,
    not_before: Time,
    over: bool,
}

fn connection() -> ConnectionId {
    let config = SubchannelConfig {
        id: SubchannelId::default(),
        backoff: BackoffConfig::default(),
        connect_timeout: None,
        keepalive: None,
        seed: 1,
    };
    let mut subchannel: Subchannel<()> = Subchannel::new(&config);
    subchannel.connect(Time::ZERO);
    let attempt = subchannel.poll_attempt(Time::ZERO).expect("one is due");
    subchannel.handle_dialled(attempt.id).expect("it runs").id
}

fn policy(random: &mut Random) -> RetryPolicy {
    RetryPolicy {
        max_attempts: 2 + random.below(4) as u32,
        initial_backoff: Duration::from_millis(1 + random.below(200)),
        max_backoff: Duration::from_millis(1 + random.below(1000)),
        multiplier: 1.0 + random.below(30) as f64 / 10.0,
        codes: CodeSet::default().with(Code::Unavailable).with(Code::Aborted),
    }
}

impl Subject {
    fn new(random: &mut Random, budget: &Arc<RetryBudget>) -> Self {
        let policy = random.chance(70).then(|| policy(random));
        let deadline =
            random.chance(60).then(|| Time::ZERO + Duration::from_millis(random.below(2000)));
        let max_kept = random.below(40) as usize;
        let messages: Vec<usize> =
            (0..random.below(4)).map(|_| 1 + random.below(15) as usize).collect();
        let retry = Retry::new(policy.clone().map(Arc::new), Arc::clone(budget));
        let wait_for_ready = random.chance(30);
        let retry = Some(Box::new(retry));
        let mut call = ClientCall::new(CallConfig { deadline, wait_for_ready, max_kept, retry });
        messages.iter().for_each(|size| call.push(Message::plain(vec![0; *size])));
        call.half_close();
        let (seen, since_pushback) = (0, 0);
        let (refused, over, not_before) = (false, false, Time::ZERO);
        Self {
            call,
            policy,
            deadline,
            messages,
            max_kept,
            seen,
            since_pushback,
            refused,
            not_before,
            over,
        }
    }

    /// Takes the call as far as it gets at `now`; when to look again, unless it is over.
    fn step(
        &mut self,
        now: Time,
        random: &mut Random,
        tokens: &mut Option<Tokens>,
        connection: ConnectionId,
    ) -> Option<Time> {
        let picked = match random.below(10) {
            0..=6 => Pick::Ready(connection),
            7 => Pick::Fail("nobody listens"),
            _ => Pick::Wait,
        };
        match self.call.request().step(now, |_| picked) {
            Step::Late => {
                assert!(self.deadline.is_some_and(|deadline| deadline <= now));
                self.end();
            }
            Step::Closed => unreachable!("nobody closes"),
            Step::Wait(until) => {
                let soon = now + Duration::from_millis(1 + random.below(50));
                assert!(until.is_none_or(|until| until > now));
                return Some(until.map_or(soon, |until| until.min(soon)));
            }
            Step::Fail(why) => {
                assert!(self.not_before <= now);
                self.seen += 1;
                let end = AttemptEnd::unreachable(Status::unavailable(why));
                self.judge(now, end, false, None, tokens);
            }
            Step::Begin(_) => {
                assert!(self.not_before <= now, "too early");
                assert!(self.deadline.is_none_or(|deadline| now < deadline), "too late");
                self.attempt(now, random, tokens);
            }
        }
        (!self.over).then_some(now)
    }

    /// One attempt, which takes no time.
    fn attempt(&mut self, now: Time, random: &mut Random, tokens: &mut Option<Tokens>) {
        assert_eq!(self.call.previous_attempts(), self.seen);
        self.call.start_attempt();
        let wanted = random.below(5) as usize;
        let sent: Vec<usize> = std::iter::from_fn(|| self.call.next_messages())
            .take(wanted)
            .map(|messages| messages.payload_bytes())
            .collect();
        assert_eq!(sent, self.messages[..sent.len()], "it begins with the first");
        let kept: usize = sent.iter().sum();
        let mut committed = kept > self.max_kept;
        assert_eq!(self.call.is_committed(), committed);
        if random.chance(10) {
            self.call.handle_headers();
            committed = true;
        }
        let mut pushback = None;
        let (code, retry) = match random.below(10) {
            0 => (Code::Ok, TransparentRetry::No),
            1 => (Code::Internal, TransparentRetry::No),
            2 => (Code::Unavailable, TransparentRetry::NeverSent),
            3 => (Code::Unavailable, TransparentRetry::Refused),
            4 => (Code::Aborted, TransparentRetry::No),
            _ => (Code::Unavailable, TransparentRetry::No),
        };
        let from_peer = retry == TransparentRetry::No;
        let mut metadata = Metadata::new();
        if from_peer && code != Code::Ok && random.chance(20) {
            let said = *["5", "300", "-1", "soon"].get(random.below(4) as usize).expect("four");
            metadata.append("grpc-retry-pushback-ms", said).expect("legal");
            pushback = Some(said.parse::<u64>().ok());
        }
        let status = Status::new(code, "").with_metadata(metadata);
        let end = AttemptEnd::finished(status, retry, from_peer);
        if committed {
            self.judge(now, end, true, pushback, tokens);
            return;
        }
        match retry {
            TransparentRetry::NeverSent => self.again_unseen(now, end),
            TransparentRetry::Refused if !self.refused => {
                self.refused = true;
                self.again_unseen(now, end);
            }
            _ => {
                self.seen += 1;
                self.judge(now, end, false, pushback, tokens);
            }
        }
    }

    /// It goes again although no policy says so.
    fn again_unseen(&mut self, now: Time, mut end: AttemptEnd) {
        self.call.handle_end(now, &mut end);
        self.not_before = end.next.expect("the server surely did not process it");
        assert!(self.not_before.since(now) <= Duration::from_secs(1));
    }

    /// Compares what follows with what A6 says.
    fn judge(
        &mut self,
        now: Time,
        mut end: AttemptEnd,
        committed: bool,
        pushback: Option<Option<u64>>,
        tokens: &mut Option<Tokens>,
    ) {
        let code = end.status.code();
        let retryable = self.policy.as_ref().is_some_and(|policy| policy.codes.contains(code));
        let mut allowed = true;
        if let Some(tokens) = tokens {
            if code == Code::Ok {
                tokens.left = (tokens.left + tokens.more).min(tokens.max);
            } else if retryable || pushback == Some(None) {
                tokens.left = (tokens.left - 1000).max(0);
                allowed = tokens.left > tokens.max / 2;
            }
        }
        self.call.handle_end(now, &mut end);
        let due = retryable && allowed && !committed && pushback != Some(None);
        let policy = match &self.policy {
            Some(policy) if due && self.seen < policy.max_attempts => policy,
            _ => {
                assert_eq!(end.next, None, "an attempt that nothing allows");
                self.end();
                return;
            }
        };
        let next = end.next.expect("the policy has another attempt");
        let wait = next.since(now).as_secs_f64();
        if let Some(Some(millis)) = pushback {
            assert_eq!(next.since(now), Duration::from_millis(millis));
            self.since_pushback = 0;
        } else {
            let grown =
                policy.initial_backoff.as_secs_f64() * policy.multiplier.powi(self.since_pushback);
            let most = grown.min(policy.max_backoff.as_secs_f64());
            assert!((most * 0.799..=most * 1.201).contains(&wait), "{wait} of {most}");
            self.since_pushback += 1;
        }
        self.not_before = next;
    }

    fn end(&mut self) {
        assert!(!self.over, "a call ends once");
        self.over = true;
    }
}

/// All calls of a channel; how many attempts there were, for who compares runs.
fn run(seed: u64) -> Vec<u32> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut tokens = random.chance(60).then(|| {
        let max = 1000 * (1 + random.below(30) as i64);
        Tokens { max, more: 1 + random.below(1500) as i64, left: max }
    });
    let throttling = tokens.as_ref().map(|tokens| RetryThrottling {
        max_milli_tokens: tokens.max as u32,
        milli_tokens_per_success: tokens.more as u32,
    });
    let budget = Arc::new(RetryBudget::new(throttling, seed));
    let mut calls: Vec<(Time, Subject)> = (0..30)
        .map(|_| {
            let begins = Time::ZERO + Duration::from_millis(random.below(500));
            (begins, Subject::new(&mut random, &budget))
        })
        .collect();
    let connection = connection();
    let mut steps = 0;
    while let Some((due, subject)) =
        calls.iter_mut().filter(|(_, subject)| !subject.over).min_by_key(|(due, _)| *due)
    {
        if let Some(next) = subject.step(*due, &mut random, &mut tokens, connection) {
            *due = next;
        }
        steps += 1;
        assert!(steps < 100_000, "calls do not end");
    }
    for (_, subject) in &calls {
        let most = subject.policy.as_ref().map_or(1, |policy| policy.max_attempts);
        assert!(subject.seen <= most, "more attempts than the policy has");
    }
    calls.iter().map(|(_, subject)| subject.seen).collect()
}

#[test]
fn every_call_keeps_to_the_rules() {
    for seed in 0..2000 {
        if std::panic::catch_unwind(|| run(seed)).is_err() {
            panic!("failed: run({seed})");
        }
    }
}

#[test]
fn a_seed_says_everything() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}
