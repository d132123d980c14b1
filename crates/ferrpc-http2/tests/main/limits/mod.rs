//! Every limit is exceeded once, and kept once: what a hostile peer brings about, and that an
//! honest one is not hurt. The numbers of rows are those of the table of limits.

mod floods;
mod growth;
mod header_blocks;
mod honest;
mod pings;
mod room;
mod settings;
mod timers;

use ferrpc_http2::Reason;
use ferrpc_testing::wire::{self, Subject};

const CALM: Reason = Reason::ENHANCE_YOUR_CALM;

/// The connection ended with this GOAWAY, and says so on the wire as to its user.
fn assert_ended(subject: &mut Subject, reason: Reason, debug: &'static str) {
    assert_eq!(subject.error(), Some((reason, debug)));
    let frames = subject.frames();
    assert_eq!(wire::last_go_away(&frames), Some((reason.0, debug.to_owned())));
}
