//! What holds for the messages of a method.

use ferrpc_core::transport::CallLimits;

use crate::{Encoding, EncodingSet};

/// What holds for the messages of a method.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: CallLimits,
    /// Of responses that do not say otherwise, where the caller takes it.
    pub(crate) compression: Encoding,
    /// Those that responses may have.
    pub(crate) sends: EncodingSet,
}
