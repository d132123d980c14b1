//! What the load clients share: flags, who calls when, what is measured, the line of JSON.
//!
//! A client implements [`Client`] on its library's stubs; [`main`] does the rest. The calls are
//! made by as many tasks as calls are to be in flight, each the next one as soon as its last is
//! answered. Of a library whose calls block, [`blocking_main`] has threads in place of tasks.

mod blocking;
mod flags;
mod measure;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub use self::blocking::blocking_main;
pub use self::flags::{Mode, Options, Shape};
use self::measure::{Measured, cpu_time};

/// Why a call counts as failed.
pub type Failure = Box<dyn Error + Send + Sync>;

/// One connection of a gRPC library under test. Every method checks what it receives.
pub trait Client: Clone + Send + Sync + 'static {
    /// Asks `example.TestService/method` with `rust-request1` and `rust-request2`; the results.
    fn small(&self) -> impl Future<Output = Result<(String, String), Failure>> + Send;

    /// `UnaryCall` with so many bytes up, asking for as many down; the size that came.
    fn echo(&self, payload: usize) -> impl Future<Output = Result<usize, Failure>> + Send;

    /// `StreamingOutputCall` asking for so many messages; each is given to `check` by its size.
    fn server_stream(
        &self,
        messages: usize,
        payload: usize,
        check: impl FnMut(usize) + Send,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// `FullDuplexCall` with so many messages, each asking for one of the same size; all are sent
    /// without waiting for answers.
    fn bidi(
        &self,
        messages: usize,
        payload: usize,
        check: impl FnMut(usize) + Send,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Parses the command line, makes the calls, prints the line of JSON.
pub fn main<C: Client, F>(program: &'static str, connect: impl Fn(Arc<Options>) -> F) -> ExitCode
where
    F: Future<Output = Result<C, Failure>>,
{
    let options = match options(program) {
        Ok(options) => options,
        Err(status) => return status,
    };
    let mut runtime = if options.current_thread {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let done = runtime.enable_all().build().map_err(Failure::from).and_then(|runtime| {
        runtime.block_on(async {
            let mut clients = Vec::new();
            for _ in 0..options.shape.connections {
                clients.push(connect(Arc::clone(&options)).await?);
            }
            // What the first calls set up once is not the calls' own.
            load(&options, &clients, options.warm_up).await?;
            load(&options, &clients, options.calls).await
        })
    });
    report(program, &options, done)
}

/// The command line; what is wrong with it is said.
fn options(program: &str) -> Result<Arc<Options>, ExitCode> {
    Options::parse(std::env::args().skip(1)).map(Arc::new).map_err(|wrong| {
        eprintln!("{program}: {wrong}\n{}", flags::USAGE);
        ExitCode::from(2)
    })
}

/// Prints the line of JSON, or what went wrong.
fn report(program: &str, options: &Options, done: Result<Measured, Failure>) -> ExitCode {
    match done {
        Ok(measured) => {
            println!("{}", measured.json(options));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the calls on all connections, and measures them.
async fn load<C: Client>(
    options: &Arc<Options>,
    clients: &[C],
    calls: usize,
) -> Result<Measured, Failure> {
    let left = Arc::new(AtomicUsize::new(calls));
    let cpu = cpu_time();
    let start = Instant::now();
    let mut callers = Vec::new();
    for client in clients {
        for _ in 0..options.shape.streams {
            let caller = caller(client.clone(), Arc::clone(options), Arc::clone(&left));
            callers.push(tokio::spawn(caller));
        }
    }
    let mut times = Vec::with_capacity(calls);
    for caller in callers {
        times.extend(caller.await??);
    }
    Ok(Measured { seconds: start.elapsed(), cpu: cpu_time().saturating_sub(cpu), times })
}

/// One call after the other while some are left; what each took, in nanoseconds.
async fn caller<C: Client>(
    client: C,
    options: Arc<Options>,
    left: Arc<AtomicUsize>,
) -> Result<Vec<u64>, Failure> {
    let mut times = Vec::new();
    while left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    {
        let start = Instant::now();
        call(&client, &options).await?;
        times.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(times)
}

async fn call<C: Client>(client: &C, options: &Options) -> Result<(), Failure> {
    let Options { payload, messages, .. } = *options;
    let mut came = 0;
    let mut wrong = None;
    let check = |size| {
        came += 1;
        if size != payload {
            wrong = Some(size);
        }
    };
    match options.mode {
        Mode::Unary if payload == 0 => {
            let (result1, result2) = client.small().await?;
            if result1 != result2 || !result1.starts_with("res1-rust-client->") {
                return Err(format!("answered {result1:?} and {result2:?}").into());
            }
            return Ok(());
        }
        Mode::Unary => {
            let size = client.echo(payload).await?;
            return if size == payload { Ok(()) } else { Err(wrong_size(size, payload)) };
        }
        Mode::ServerStream => client.server_stream(messages, payload, check).await?,
        Mode::Bidi => client.bidi(messages, payload, check).await?,
    }
    if let Some(size) = wrong {
        return Err(wrong_size(size, payload));
    }
    if came != messages {
        return Err(format!("{came} messages came, {messages} were asked for").into());
    }
    Ok(())
}

fn wrong_size(size: usize, payload: usize) -> Failure {
    format!("a message of {size} bytes came, {payload} were asked for").into()
}
