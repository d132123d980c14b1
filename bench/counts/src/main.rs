//! Fixed workloads of the sans-IO crates. `cargo xtask bench --check` runs each under callgrind and
//! counts the instructions of [`counted`], nothing else: they do not depend on what else the
//! machine does.
//!
//! ```text
//! ferrpc-bench-counts --list        the names, a line each
//! ferrpc-bench-counts WORKLOAD      does it: some batches before, then those that count
//! ```
//!
//! Each workload checks what it did, so that it cannot become fast by doing less.

mod calls;
mod headers;
mod streams;

use std::process::ExitCode;

/// A workload, by its name.
struct Workload {
    name: &'static str,
    run: fn(),
}

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_default();
    if argument == "--list" {
        for workload in WORKLOADS {
            println!("{}", workload.name);
        }
        return ExitCode::SUCCESS;
    }
    match WORKLOADS.iter().find(|workload| workload.name == argument) {
        Some(workload) => {
            (workload.run)();
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("usage: ferrpc-bench-counts --list | WORKLOAD");
            ExitCode::from(2)
        }
    }
}

/// What callgrind looks for: collecting begins where it is entered and stops where it is left.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

/// Runs batches; those after the first few count. A batch is told whether to count its work, and
/// passes what is to be counted to the function that it gets.
fn batches(mut batch: impl FnMut(&mut dyn FnMut(&mut dyn FnMut()))) {
    for _ in 0..WARM {
        batch(&mut |work| work());
    }
    for _ in 0..COUNTED {
        batch(&mut |work| counted(work));
    }
}

const WARM: usize = 20;
const COUNTED: usize = 20;

const WORKLOADS: &[Workload] = &[
    Workload { name: "hpack-encode", run: headers::encode },
    Workload { name: "hpack-decode", run: headers::decode },
    Workload { name: "hpack-decode-literals", run: headers::decode_literals },
    Workload { name: "http2-receive-100", run: streams::receive },
    Workload { name: "http2-send-100", run: streams::send },
    Workload { name: "server-unary-100", run: calls::server },
    Workload { name: "client-unary-100", run: calls::client },
    Workload { name: "server-stream-1000", run: calls::server_stream },
    Workload { name: "client-stream-1000", run: calls::client_stream },
    Workload { name: "pair-echo-1-mib", run: calls::echo },
];
