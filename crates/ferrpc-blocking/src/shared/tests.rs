//! A blocking channel's subchannel and its threads.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ferrpc::client::Keepalive;
use ferrpc_core::Code;
use ferrpc_core::channel::Event;
use ferrpc_core::transport::Cardinality;

use super::dial;
use super::*;
use crate::{Channel, RawMethod, RawOptions};

const INTERVAL: Duration = Duration::from_secs(3600);

/// SETTINGS, and a GOAWAY with ENHANCE_YOUR_CALM and its reason.
fn greeting(reason: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
    let length = u8::try_from(8 + reason.len()).expect("short");
    bytes.extend([0, 0, length, 7, 0, 0, 0, 0, 0]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 11]);
    bytes.extend(reason);
    bytes
}

/// The interval of a channel after it was sent away for each of these reasons.
fn interval_after(reasons: &'static [&'static str]) -> Option<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let target = listener.local_addr().expect("bound").to_string();
    let server = thread::spawn(move || {
        for reason in reasons {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(&greeting(reason.as_bytes())).expect("it takes it");
            // Until it has gone.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    let channel = Channel::new(
        Channel::builder(target)
            .keepalive(Keepalive { interval: Some(INTERVAL), ..Keepalive::default() }),
    )
    .expect("a target");
    let shared = channel.shared();
    let began = Instant::now();
    while !server.is_finished() {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not connect anew");
        shared.connectivity(true);
        thread::sleep(Duration::from_millis(1));
    }
    server.join().expect("it served");
    shared.lock().machine.keepalive()
}

/// What one of two threads has seen of a side's news is no news to the other, which looks at
/// events.
#[test]
fn an_end_from_this_side_is_an_event() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let target = listener.local_addr().expect("bound").to_string();
    let channel = Channel::new(Channel::builder(target)).expect("a target");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).expect("it takes it");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let shared = channel.shared();
    while shared.connectivity(true) != ConnectivityState::Ready {
        thread::sleep(Duration::from_millis(1));
    }
    let method = RawMethod::new("/t/m", Cardinality::ServerStreaming);
    let call = channel.start_raw(&method, RawOptions::default()).expect("it begins");
    let connection = shared.lock().current.handles().next().cloned().expect("it is ready");
    // Only what is done here happens.
    let before = connection.look().events;
    assert!(call.cancel(Status::new(Code::Cancelled, "")));
    assert!(connection.look().events > before);
    drop((call, connection));
    channel.close();
    server.join().expect("it served");
}

#[test]
fn each_complaint_of_pings_doubles_their_interval() {
    let interval = interval_after(&["too_many_pings", "too_many_pings"]);
    assert_eq!(interval, Some(INTERVAL * 4));
    assert_eq!(interval_after(&["too_many_calls"]), Some(INTERVAL));
}

#[test]
fn a_thread_that_panics_while_it_connects_has_failed() {
    let channel = Channel::new(Channel::builder("127.0.0.1:1")).expect("a target");
    let shared = channel.shared().me.upgrade().expect("it lives");
    let dial = {
        let mut state = shared.lock();
        let now = clock::now();
        state.machine.connect(now);
        state.machine.handle_timeout(now);
        state.machine.handle_resolved(now, Ok(vec![Place::Connector]));
        std::iter::from_fn(|| state.machine.poll_event()).find_map(|event| match event {
            Event::Dial(dial) => Some(dial),
            _ => None,
        })
    };
    let dial = dial.expect("it is asked for");
    let panics = Arc::clone(&shared);
    // There is no such place for threads.
    let panicked = thread::spawn(move || dial::run(panics, &dial, &AtomicBool::new(false)));
    panicked.join().expect_err("it panicked");
    assert_eq!(shared.connectivity(false), ConnectivityState::TransientFailure);
}
