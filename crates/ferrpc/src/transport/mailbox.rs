//! How other tasks reach the task that owns a connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use ferrpc_core::transport::CallId;

/// The queue into one connection's task.
///
/// Everybody may push; only the driver takes, all at once. The task is woken when the first entry
/// arrives while it sleeps, and not again until it has taken what there is.
#[derive(Debug)]
pub(crate) struct Mailbox<C> {
    state: Mutex<State<C>>,
}

#[derive(Debug)]
struct State<C> {
    mail: Mail<C>,
    owner: Owner,
    waker: Option<Waker>,
}

/// What the connection's task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// It waits: the next entry must wake it.
    Asleep,
    /// It runs, or will run: it looks at the mailbox before it sleeps.
    Awake,
    /// It is gone.
    Closed,
}

/// What was in the mailbox.
#[derive(Debug)]
pub(crate) struct Mail<C> {
    /// Commands, in order.
    pub(crate) commands: Vec<C>,
    /// Calls whose cell was used by their handler or caller.
    pub(crate) touched: Vec<CallId>,
    /// Slots of futures that were woken.
    pub(crate) woken: Vec<usize>,
}

impl<C> Mailbox<C> {
    /// An empty one. The driver counts as awake until it has run once.
    pub(crate) fn new() -> Arc<Self> {
        let state = State { mail: Mail::new(), owner: Owner::Awake, waker: None };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Hands a command to the connection; gives it back if the connection is gone.
    pub(crate) fn send(&self, command: C) -> Result<(), C> {
        let mut state = self.lock();
        if state.owner == Owner::Closed {
            return Err(command);
        }
        state.mail.commands.push(command);
        Self::wake(state);
        Ok(())
    }

    /// Hands over all of `commands`, with one lock; leaves them there if the connection is gone.
    pub(crate) fn send_all(&self, commands: &mut Vec<C>) -> bool {
        let mut state = self.lock();
        if state.owner == Owner::Closed {
            return false;
        }
        if !commands.is_empty() {
            state.mail.commands.append(commands);
            Self::wake(state);
        }
        true
    }

    /// Makes the connection look at the cell of `call`.
    pub(crate) fn touch(&self, call: CallId) {
        let mut state = self.lock();
        if state.owner != Owner::Closed {
            state.mail.touched.push(call);
            Self::wake(state);
        }
    }

    /// Makes the connection poll the future in `slot`.
    pub(crate) fn wake_slot(&self, slot: usize) {
        let mut state = self.lock();
        if state.owner != Owner::Closed {
            state.mail.woken.push(slot);
            Self::wake(state);
        }
    }

    /// Whether the connection is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().owner == Owner::Closed
    }

    /// The driver runs: takes everything into `mail` (which must be empty) and keeps `waker` for
    /// when it sleeps. Whether the waker is another one than before.
    pub(crate) fn begin(&self, waker: &Waker, mail: &mut Mail<C>) -> bool {
        let mut state = self.lock();
        std::mem::swap(&mut state.mail, mail);
        if state.owner != Owner::Closed {
            state.owner = Owner::Awake;
        }
        if state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return false;
        }
        state.waker = Some(waker.clone());
        true
    }

    /// Takes what came while the driver ran; whether there was anything.
    pub(crate) fn refill(&self, mail: &mut Mail<C>) -> bool {
        std::mem::swap(&mut self.lock().mail, mail);
        !mail.is_empty()
    }

    /// Gives back the memory of a busy time.
    pub(crate) fn trim(&self) {
        let mut state = self.lock();
        if state.mail.is_empty() {
            state.mail.trim();
        }
    }

    /// The driver is about to sleep. False, with nothing changed, if there is something to take.
    #[must_use]
    pub(crate) fn end(&self) -> bool {
        let mut state = self.lock();
        if !state.mail.is_empty() {
            return false;
        }
        if state.owner == Owner::Awake {
            state.owner = Owner::Asleep;
        }
        true
    }

    /// The connection is gone: refuses and drops everything from now on.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.owner = Owner::Closed;
        let mail = std::mem::replace(&mut state.mail, Mail::new());
        state.waker = None;
        drop(state);
        // Commands may own things whose drop comes back here: not under the lock.
        drop(mail);
    }

    fn wake(mut state: MutexGuard<'_, State<C>>) {
        if state.owner == Owner::Asleep {
            state.owner = Owner::Awake;
            let waker = state.waker.clone();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Mail<C> {
    /// Nothing; allocates nothing.
    pub(crate) const fn new() -> Self {
        Self { commands: Vec::new(), touched: Vec::new(), woken: Vec::new() }
    }

    /// Gives the memory of an empty one back if it is much.
    pub(crate) fn trim(&mut self) {
        if self.commands.capacity() + self.touched.capacity() + self.woken.capacity() > KEPT {
            *self = Self::new();
        }
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.touched.is_empty() && self.woken.is_empty()
    }
}

/// Entries that an idle connection keeps memory for.
const KEPT: usize = 32;
