//! The well-known types' files, printed from their descriptors.

/// Virtual names and texts.
pub(crate) const FILES: &[(&str, &str)] = &[];

/// The text of a well-known file.
pub(super) fn source(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
