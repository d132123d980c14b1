//! Programs that are run, each with a time limit; servers end when their handle is dropped.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// For what answers at once, with room for a machine that is busy.
pub const MINUTE: Duration = Duration::from_secs(60);
/// For a build with its downloads.
pub const BUILD: Duration = Duration::from_secs(30 * 60);

/// What a program said, and how it ended.
pub struct Finished {
    /// `None`: it was killed because its time was up.
    pub status: Option<ExitStatus>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// How it ended and its last words, for a message.
    pub fn account(&self) -> String {
        let ended = match self.status {
            Some(status) => status.to_string(),
            None => "stopped, its time was up".to_owned(),
        };
        let said = format!("{}{}", self.stdout, self.stderr);
        if said.trim().is_empty() { ended } else { format!("{ended}:\n{}", said.trim_end()) }
    }
}

/// Runs a program to its end, or for `limit`.
pub fn finish(command: &mut Command, what: &str, limit: Duration) -> Result<Finished> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{what}: cannot start {:?}", command.get_program()))?;
    let stdout = gather(child.stdout.take().context("stdout is a pipe")?);
    let stderr = gather(child.stderr.take().context("stderr is a pipe")?);
    let status = wait(&mut child, limit).with_context(|| what.to_owned())?;
    // A grandchild may hold the pipes: they are not waited for without end.
    let stdout = stdout.recv_timeout(GRACE).unwrap_or_default();
    let stderr = stderr.recv_timeout(GRACE).unwrap_or_default();
    Ok(Finished { status, stdout, stderr })
}

/// Runs a program that must succeed and returns its standard output.
pub fn output(command: &mut Command, what: &str, limit: Duration) -> Result<String> {
    let finished = finish(command, what, limit)?;
    if !finished.status.is_some_and(|status| status.success()) {
        bail!("{what}: {}", finished.account());
    }
    Ok(finished.stdout)
}

/// Runs a program whose output goes where ours does; whether it succeeded.
pub fn shown(command: &mut Command, what: &str, limit: Duration) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("{what}: cannot start {:?}", command.get_program()))?;
    let status = wait(&mut child, limit).with_context(|| what.to_owned())?;
    Ok(status.is_some_and(|status| status.success()))
}

/// Waits for the end; kills when the time is up.
pub fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let until = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Reads all of a pipe in a thread of its own.
fn gather(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is still worth showing.
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// A server that is running. Dropping it kills the process and waits for its end.
pub struct Server {
    child: Child,
    /// The peers' servers run until their standard input ends: should we be killed, so are they.
    _stdin: Option<ChildStdin>,
    name: String,
    address: String,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts a server and waits for its first line, `listening on HOST:PORT`.
    pub fn start(command: &mut Command, name: &str) -> Result<Self> {
        let (mut server, first) = Self::spawn(command, name)?;
        let line = first.recv_timeout(MINUTE).ok();
        match line.as_deref().and_then(|line| line.strip_prefix("listening on ")) {
            Some(address) => address.trim().clone_into(&mut server.address),
            None => {
                // What it says on its way out belongs to the message.
                wait(&mut server.child, GRACE)?;
                thread::sleep(Duration::from_millis(50));
                bail!("{name}: the server did not say where it listens; {}", server.last_words());
            }
        }
        Ok(server)
    }

    /// Starts a server that was told where to listen and does not say when it does.
    pub fn start_at(command: &mut Command, name: &str, address: &str) -> Result<Self> {
        let (mut server, _) = Self::spawn(command, name)?;
        address.clone_into(&mut server.address);
        Ok(server)
    }

    /// The process, and where its first line will be.
    fn spawn(command: &mut Command, name: &str) -> Result<(Self, Receiver<String>)> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name}: cannot start {:?}", command.get_program()))?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let stderr = child.stderr.take().context("stderr is a pipe")?;
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let server = Self {
            _stdin: child.stdin.take(),
            child,
            name: name.to_owned(),
            address: String::new(),
            said: Arc::clone(&said),
        };
        let (sender, first) = mpsc::channel();
        remember(stdout, Arc::clone(&said), Some(sender));
        remember(stderr, said, None);
        Ok((server, first))
    }

    /// HOST:PORT.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error if the process has ended, with its last words.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{}: the server ended, {status}; {}", self.name, self.last_words());
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_empty() {
            return "it said nothing".to_owned();
        }
        let lines: Vec<_> = said.iter().map(String::as_str).collect();
        format!("it said:\n{}", lines.join("\n"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the last lines of a pipe, and tells the first one.
fn remember(
    pipe: impl Read + Send + 'static,
    said: Arc<Mutex<VecDeque<String>>>,
    mut first: Option<mpsc::Sender<String>>,
) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if let Some(first) = first.take() {
                let _ = first.send(line.clone());
            }
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() == LINES {
                said.pop_front();
            }
            said.push_back(line);
        }
    });
}

/// How long a dying program has for its last words.
const GRACE: Duration = Duration::from_secs(2);
/// As many as explain a failure and still fit on a screen.
const LINES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_without_end_is_stopped() {
        let mut command = shell("echo begun; exec sleep 600");
        let finished = finish(&mut command, "sleep", Duration::from_millis(300));
        let finished = finished.expect("sh can be started");
        assert!(finished.status.is_none());
        assert_eq!(finished.stdout, "begun\n");
    }

    #[test]
    fn a_failure_shows_what_was_said() {
        let error = output(&mut shell("echo why >&2; exit 3"), "the thing", MINUTE);
        let error = error.expect_err("its status is 3").to_string();
        assert_eq!(error, "the thing: exit status: 3:\nwhy");
    }

    #[test]
    fn a_server_says_where_it_listens() {
        let mut server = Server::start(&mut shell("echo listening on [::1]:7; cat"), "cat")
            .expect("it says where");
        assert_eq!(server.address(), "[::1]:7");
        server.check().expect("it runs");
    }

    #[test]
    fn a_server_that_cannot_listen_says_why() {
        let error = Server::start(&mut shell("echo port taken >&2; exit 1"), "cat").err();
        let error = error.expect("it does not listen").to_string();
        assert!(error.contains("port taken"), "{error}");
    }
}
