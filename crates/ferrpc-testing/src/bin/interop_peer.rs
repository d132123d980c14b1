//! The interop peer on ferrpc; see `interop/README.md`.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Parser};
use ferrpc::Channel;
use ferrpc::client::{ConnectivityState, Keepalive};
use ferrpc::credentials::{ChannelCredentials, CredentialsError, ServerCredentials, TlsFiles};
use ferrpc::server::{PingPolicy, Server};
use ferrpc_testing::certificates;
use ferrpc_testing::interop::client::{CASES, Peer};
use ferrpc_testing::interop::server::{Example, Test};
use ferrpc_testing::interop::{MESSAGE_LIMIT, testing, tutorial};

/// Both ends of the interop cases.
#[derive(Parser)]
enum Command {
    /// Serves grpc.testing.TestService and example.TestService until standard input ends.
    Server {
        /// HOST:PORT (port 0: any free one) or unix:PATH.
        #[arg(long, value_name = "ADDR")]
        listen: String,
        #[command(flatten)]
        tls: Tls,
        #[command(flatten)]
        lifetime: Lifetime,
    },
    /// Runs cases, or asks example.TestService once.
    #[command(group(ArgGroup::new("what").required(true)))]
    Client {
        /// HOST:PORT or any other target.
        #[arg(long, value_name = "TARGET")]
        connect: String,
        /// The cases to run, or "all".
        #[arg(long = "case", value_name = "CASE", value_delimiter = ',', group = "what")]
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(CASES.iter().chain(["all"].iter())))]
        cases: Vec<String>,
        /// The caller in whose name to ask.
        #[arg(long = "as", value_name = "CALLER", group = "what")]
        caller: Option<String>,
        /// Holds a connection so long: with --keepalive by a silent stream and by silence, else by
        /// calls in a row.
        #[arg(long, value_name = "SECONDS", group = "what")]
        hold: Option<u64>,
        #[command(flatten)]
        tls: Tls,
        #[command(flatten)]
        lifetime: Lifetime,
    },
    /// Makes certificates for TLS: ca.pem, server.pem, server.key, client.pem, client.key.
    Certificates {
        /// Where to write them.
        folder: PathBuf,
    },
}

/// How connections live.
#[derive(Clone, Copy, clap::Args)]
struct Lifetime {
    /// Ping so often; a server also takes pings so often.
    #[arg(long, value_name = "SECONDS")]
    keepalive: Option<u64>,
    /// Server: the age at which a connection ends.
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<u64>,
}

impl Lifetime {
    fn keepalive(self) -> Option<Keepalive> {
        self.keepalive.map(|seconds| Keepalive {
            interval: Some(Duration::from_secs(seconds)),
            timeout: Duration::from_secs(2),
            without_streams: true,
            max_pings_without_data: 0,
        })
    }
}

/// Files for TLS, all PEM.
#[derive(clap::Args)]
struct Tls {
    /// The roots that the other side's certificate must come from; a server with them requires
    /// certificates of its clients, a client with them uses TLS.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// This side's certificate; a server with one uses TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Server: clients may come without a certificate.
    #[arg(long, requires = "tls_ca", requires = "tls_cert")]
    tls_optional: bool,
}

impl Tls {
    fn files(self) -> TlsFiles {
        let mut files = TlsFiles::new();
        if let (Some(cert), Some(key)) = (self.tls_cert, self.tls_key) {
            files = files.identity(cert, key);
        }
        match self.tls_ca {
            Some(roots) => files.roots(roots),
            None => files,
        }
    }

    fn server(self) -> Result<ServerCredentials, CredentialsError> {
        match (&self.tls_cert, self.tls_optional) {
            (Some(_), true) => self.files().optional_client_auth().into_server(),
            (Some(_), false) => self.files().into_server(),
            (None, _) => Ok(ServerCredentials::insecure()),
        }
    }

    fn channel(self) -> Result<ChannelCredentials, CredentialsError> {
        match self.tls_ca {
            Some(_) => self.files().into_channel(),
            None => Ok(ChannelCredentials::insecure()),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Server { listen, tls, lifetime } => serve(&listen, tls, lifetime).await,
        Command::Client { connect, cases, caller, hold: held, tls, lifetime } => {
            match (caller, held) {
                (Some(caller), _) => ask(&connect, tls, &caller).await,
                (None, Some(seconds)) => hold(&connect, tls, lifetime, seconds).await,
                (None, None) => run_cases(&connect, tls, &cases).await,
            }
        }
        Command::Certificates { folder } => {
            certificates::write(&folder).map(|()| true).map_err(Into::into)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("interop_peer: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: &str, tls: Tls, lifetime: Lifetime) -> Result<bool, Box<dyn Error>> {
    let mut builder = Server::builder();
    if let Some(keepalive) = lifetime.keepalive() {
        builder = builder.keepalive(keepalive).ping_policy(PingPolicy {
            min_interval: keepalive.interval.unwrap_or_default(),
            without_streams: true,
            max_strikes: 2,
        });
    }
    if let Some(seconds) = lifetime.max_age {
        builder = builder.max_connection_age(Duration::from_secs(seconds), None);
    }
    let server = builder
        .credentials(tls.server()?)
        .max_receive_message(MESSAGE_LIMIT)
        .add_service(testing::TestServiceServer::new(Test))
        .add_service(tutorial::TestServiceServer::new(Example))
        .bind(listen)
        .await?;
    for address in server.addresses() {
        writeln!(io::stdout(), "listening on {address}")?;
    }
    io::stdout().flush()?;
    // A thread, because tokio's own standard input would keep the runtime from ending.
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    server.wait().await;
    Ok(true)
}

async fn run_cases(target: &str, tls: Tls, cases: &[String]) -> Result<bool, Box<dyn Error>> {
    let peer = Peer::new(channel(target, tls)?);
    let all = cases.iter().any(|case| case == "all");
    let named: Vec<_> = cases.iter().map(String::as_str).collect();
    let mut done = true;
    for case in if all { &CASES[..] } else { &named } {
        match peer.run(case).await {
            Ok(()) => writeln!(io::stdout(), "ok {case}")?,
            Err(reason) => {
                writeln!(io::stdout(), "FAIL {case}: {reason}")?;
                done = false;
            }
        }
    }
    Ok(done)
}

/// Holds a connection; whether nothing was noticed of what keeps it, or ends it.
async fn hold(
    target: &str,
    tls: Tls,
    lifetime: Lifetime,
    seconds: u64,
) -> Result<bool, Box<dyn Error>> {
    let time = Duration::from_secs(seconds);
    let mut builder = Channel::builder(target).credentials(tls.channel()?);
    let Some(keepalive) = lifetime.keepalive() else {
        let client = testing::TestServiceClient::new(builder.connect_lazy()?);
        let end = Instant::now() + time;
        let mut calls = 0;
        while Instant::now() < end {
            client.empty_call(testing::Empty::default()).await?;
            calls += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        writeln!(io::stdout(), "ok hold: {calls} calls")?;
        return Ok(true);
    };
    builder = builder.keepalive(keepalive);
    let channel = builder.connect().await?;
    let watched = channel.clone();
    let lost = tokio::spawn(async move { watched.state_changed(ConnectivityState::Ready).await });
    let client = testing::TestServiceClient::new(channel);
    let requests = futures_util::stream::once(async move {
        tokio::time::sleep(time).await;
        testing::StreamingOutputCallRequest {
            response_parameters: vec![testing::ResponseParameters {
                size: 1,
                ..Default::default()
            }],
            ..Default::default()
        }
    });
    let mut responses = client.full_duplex_call(ferrpc::Request::new(Box::pin(requests))).await?;
    let mut got = 0;
    while responses.message().await?.is_some() {
        got += 1;
    }
    tokio::time::sleep(time).await;
    client.empty_call(testing::Empty::default()).await?;
    if got != 1 || lost.is_finished() {
        writeln!(io::stdout(), "FAIL hold: {got} responses, the connection was lost")?;
        return Ok(false);
    }
    writeln!(io::stdout(), "ok hold: one connection")?;
    Ok(true)
}

async fn ask(target: &str, tls: Tls, caller: &str) -> Result<bool, Box<dyn Error>> {
    let client = tutorial::TestServiceClient::new(channel(target, tls)?);
    let mut request = ferrpc::Request::new(tutorial::Request {
        request1: format!("{caller}-request1"),
        request2: format!("{caller}-request2"),
        ..Default::default()
    });
    request.set_timeout(LIMIT);
    let result = client.method(request).await?.into_inner();
    writeln!(io::stdout(), "{}\n{}", result.result1, result.result2)?;
    Ok(true)
}

fn channel(target: &str, tls: Tls) -> Result<Channel, Box<dyn Error>> {
    let channel = Channel::builder(target).credentials(tls.channel()?);
    Ok(channel.max_receive_message(MESSAGE_LIMIT).connect_lazy()?)
}

/// For a call that is not a case.
const LIMIT: Duration = Duration::from_secs(30);
