//! What is logged as a warning.
#![allow(unreachable_pub, missing_docs, reason = "it is a test's")]

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span;

/// Keeps warnings, a text each.
#[derive(Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

thread_local! {
    static HERE: RefCell<Option<Warnings>> = const { RefCell::new(None) };
}

/// Until it is dropped, this thread's warnings are kept.
pub struct Listening;

impl Drop for Listening {
    fn drop(&mut self) {
        HERE.take();
    }
}

/// The subscriber of the process. One for each test would come while another test reaches a place that
/// warns for the first time, and `tracing` may then take it for one that nobody listens to.
struct Router;

impl Warnings {
    /// Keeps this thread's warnings from now on.
    pub fn listen(&self) -> Listening {
        static ROUTER: Once = Once::new();
        ROUTER.call_once(|| {
            tracing::subscriber::set_global_default(Router).expect("there is no other");
            // Places that were reached meanwhile are known by now.
            thread::sleep(Duration::from_millis(50));
            tracing::callsite::rebuild_interest_cache();
        });
        HERE.set(Some(self.clone()));
        Listening
    }

    pub fn said(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

impl tracing::Subscriber for Router {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        HERE.with_borrow(|here| {
            if let Some(here) = here {
                here.0.lock().expect("no panic").push(text.0);
            }
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
