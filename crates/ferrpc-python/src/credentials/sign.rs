//! Signatures that TLS handshakes ask a function of the user's for.
//!
//! ```text
//!   a handshake's thread --> Table --tag, number--> completions --> Python: Signatures.take(number)
//!        waits for a future <------------------ Question.answer | fail
//!        given up: the number once more --------------------------> take gives None
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use ferrpc::credentials::{Signature, SignatureAlgorithm, Signer};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::sync::oneshot;

use crate::completions::{Completions, completions};
use crate::contract::{SignatureEvent, SignatureNumber};
use crate::fork::Owned;

/// The questions of one object of credentials, for its handler among the completions.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct Signatures {
    asker: Arc<Asker>,
}

/// One question, which may be answered once.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct Question {
    asked: Mutex<Option<Asked>>,
}

/// Where the engine asks, in each process of its own.
pub(super) struct Asker {
    tag: u64,
    /// Locked by threads that are attached, for a moment: at a fork it is free.
    table: Mutex<Option<Owned<Arc<Table>>>>,
}

/// What tells the handler, once nobody asks any more, that it is not needed.
pub(super) struct Owner(Arc<Asker>);

struct Table {
    tag: u64,
    completions: Arc<Completions>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    last: u32,
    questions: HashMap<u32, Asked>,
}

struct Asked {
    message: Vec<u8>,
    algorithm: u32,
    answer: oneshot::Sender<Result<Vec<u8>, String>>,
}

/// What a handshake waits for. Dropped before, it takes the question back.
struct Answer {
    table: Arc<Table>,
    number: u32,
    waiting: Option<oneshot::Receiver<Result<Vec<u8>, String>>>,
}

#[pymethods]
impl Signatures {
    /// For the handler with this tag.
    #[new]
    fn new(tag: u64) -> Self {
        Self { asker: Arc::new(Asker { tag, table: Mutex::new(None) }) }
    }

    /// The question of this number; None if it was taken already, or taken back.
    fn take(&self, number: u32) -> Option<Question> {
        let asked = self.asker.table().lock().questions.remove(&number)?;
        Some(Question { asked: Mutex::new(Some(asked)) })
    }
}

#[pymethods]
impl Question {
    /// What is to be signed, and a `grpc.experimental.PrivateKeySignatureAlgorithm`.
    fn arguments<'py>(&self, py: Python<'py>) -> (Bound<'py, PyBytes>, u32) {
        match &*self.lock() {
            Some(asked) => (PyBytes::new(py, &asked.message), asked.algorithm),
            None => (PyBytes::new(py, &[]), 0),
        }
    }

    /// The signature. After the first answer this does nothing.
    fn answer(&self, signature: Vec<u8>) {
        self.end(Ok(signature));
    }

    /// In words why there is none.
    fn fail(&self, why: String) {
        self.end(Err(why));
    }
}

impl Question {
    fn lock(&self) -> MutexGuard<'_, Option<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, answer: Result<Vec<u8>, String>) {
        if let Some(asked) = self.lock().take() {
            // The handshake may be over.
            let _ = asked.answer.send(answer);
        }
    }
}

impl Signatures {
    pub(super) fn owner(&self) -> Owner {
        Owner(Arc::clone(&self.asker))
    }
}

impl Asker {
    /// The questions of this process. To be called by threads that are attached.
    fn table(&self) -> Arc<Table> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = table.as_ref().and_then(Owned::get) {
            return Arc::clone(table);
        }
        let new = Table { tag: self.tag, completions: completions(), open: Mutex::default() };
        let new = Arc::new(new);
        *table = Some(Owned::new(Arc::clone(&new)));
        new
    }
}

impl Owner {
    /// Asks in this process. To be called by threads that are attached.
    pub(super) fn signer(&self) -> impl Signer + use<> {
        let table = self.0.table();
        move |message, algorithm| {
            let asked: Signature =
                match number_of(algorithm) {
                    Some(algorithm) => Box::pin(table.ask(message, algorithm)),
                    None => Box::pin(async move {
                        Err(format!("Python has no name for {algorithm:?}").into())
                    }),
                };
            asked
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let table = self.0.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = table.as_ref().and_then(Owned::get) {
            table.completions.push(table.tag, SignatureEvent::NOBODY_ASKS);
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(self: &Arc<Self>, message: Vec<u8>, algorithm: u32) -> Answer {
        let (answer, waiting) = oneshot::channel();
        let mut open = self.lock();
        open.last = (open.last + 1) % SignatureEvent::NOBODY_ASKS;
        let number = open.last;
        open.questions.insert(number, Asked { message, algorithm, answer });
        drop(open);
        self.completions.push(self.tag, number);
        Answer { table: Arc::clone(self), number, waiting: Some(waiting) }
    }
}

impl Future for Answer {
    type Output = Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(waiting) = &mut self.waiting else { return Poll::Pending };
        let answer = std::task::ready!(Pin::new(waiting).poll(cx));
        self.waiting = None;
        Poll::Ready(match answer {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err("nobody will answer".into()),
        })
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.waiting.is_some() {
            self.table.lock().questions.remove(&self.number);
            self.table.completions.push(self.table.tag, self.number);
        }
    }
}

/// An algorithm's number, if it has one.
const fn number_of(algorithm: SignatureAlgorithm) -> Option<u32> {
    Some(match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256 => SignatureNumber::RSA_PKCS1_SHA256,
        SignatureAlgorithm::RsaPkcs1Sha384 => SignatureNumber::RSA_PKCS1_SHA384,
        SignatureAlgorithm::RsaPkcs1Sha512 => SignatureNumber::RSA_PKCS1_SHA512,
        SignatureAlgorithm::EcdsaSecp256r1Sha256 => SignatureNumber::ECDSA_SECP256R1_SHA256,
        SignatureAlgorithm::EcdsaSecp384r1Sha384 => SignatureNumber::ECDSA_SECP384R1_SHA384,
        SignatureAlgorithm::EcdsaSecp521r1Sha512 => SignatureNumber::ECDSA_SECP521R1_SHA512,
        SignatureAlgorithm::RsaPssRsaeSha256 => SignatureNumber::RSA_PSS_RSAE_SHA256,
        SignatureAlgorithm::RsaPssRsaeSha384 => SignatureNumber::RSA_PSS_RSAE_SHA384,
        SignatureAlgorithm::RsaPssRsaeSha512 => SignatureNumber::RSA_PSS_RSAE_SHA512,
        _ => return None,
    })
}
