//! Threads in place of tasks, for a library whose calls block. Its [`Client`] blocks inside of its
//! async functions, which are therefore ready when they are polled once.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use crate::measure::{Measured, cpu_time};
use crate::{Client, Failure, Options, caller, options, report};

/// As [`main`](crate::main), with a thread for each call in flight.
pub fn blocking_main<C: Client>(
    program: &'static str,
    connect: impl Fn(&Options) -> Result<C, Failure>,
) -> ExitCode {
    let options = match options(program) {
        Ok(options) => options,
        Err(status) => return status,
    };
    let clients: Result<Vec<C>, _> =
        (0..options.shape.connections).map(|_| connect(&options)).collect();
    let done = clients.and_then(|clients| {
        load(&options, &clients, options.warm_up)?;
        load(&options, &clients, options.calls)
    });
    report(program, &options, done)
}

fn load<C: Client>(
    options: &Arc<Options>,
    clients: &[C],
    calls: usize,
) -> Result<Measured, Failure> {
    let left = Arc::new(AtomicUsize::new(calls));
    let cpu = cpu_time();
    let start = Instant::now();
    let mut times = Vec::with_capacity(calls);
    let callers = clients.len() * options.shape.streams;
    if callers == 1 {
        times = ready(caller(clients[0].clone(), Arc::clone(options), left))?;
    } else {
        let clients = clients.iter().flat_map(|client| vec![client; options.shape.streams]);
        let threads: Vec<_> = clients
            .map(|client| caller(client.clone(), Arc::clone(options), Arc::clone(&left)))
            .map(|caller| thread::spawn(|| ready(caller)))
            .collect();
        for thread in threads {
            times.extend(thread.join().map_err(|_| "a calling thread panicked")??);
        }
    }
    Ok(Measured { seconds: start.elapsed(), cpu: cpu_time().saturating_sub(cpu), times })
}

fn ready<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err("the client waits in place of blocking".into()),
    }
}
