//! The interop peer on ferrpc; see `interop/README.md`.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Parser};
use ferrpc::Channel;
use ferrpc::credentials::{ChannelCredentials, CredentialsError, ServerCredentials, TlsFiles};
use ferrpc::server::Server;
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
        #[command(flatten)]
        tls: Tls,
    },
    /// Makes certificates for TLS: ca.pem, server.pem, server.key, client.pem, client.key.
    Certificates {
        /// Where to write them.
        folder: PathBuf,
    },
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
        match self.tls_cert {
            Some(_) => self.files().into_server(),
            None => Ok(ServerCredentials::insecure()),
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
        Command::Server { listen, tls } => serve(&listen, tls).await,
        Command::Client { connect, cases, caller, tls } => match caller {
            Some(caller) => ask(&connect, tls, &caller).await,
            None => run_cases(&connect, tls, &cases).await,
        },
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

async fn serve(listen: &str, tls: Tls) -> Result<bool, Box<dyn Error>> {
    let server = Server::builder()
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
