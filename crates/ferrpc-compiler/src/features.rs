//! What editions call features: how fields and enums behave, with a default per edition.

use crate::ast::Edition;
use crate::wire::{self, Record};

/// The resolved features of something, by the numbers of `FeatureSet`'s fields, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    values: [u8; COUNT],
}

pub(crate) const FIELD_PRESENCE: usize = 1;
const ENUM_TYPE: usize = 2;
pub(crate) const REPEATED_FIELD_ENCODING: usize = 3;
pub(crate) const UTF8_VALIDATION: usize = 4;
pub(crate) const MESSAGE_ENCODING: usize = 5;
const JSON_FORMAT: usize = 6;
const ENFORCE_NAMING_STYLE: usize = 7;
const DEFAULT_SYMBOL_VISIBILITY: usize = 8;

pub(crate) const IMPLICIT: u8 = 2;
pub(crate) const LEGACY_REQUIRED: u8 = 3;
const CLOSED: u8 = 2;
pub(crate) const PACKED: u8 = 1;
const EXPANDED: u8 = 2;
const DELIMITED: u8 = 2;
const VERIFY: u8 = 2;
const LEGACY_BEST_EFFORT: u8 = 2;
const STYLE2024: u8 = 1;
const STYLE2026: u8 = 3;

impl Features {
    /// The defaults of an edition.
    pub(crate) fn of(edition: Edition) -> Self {
        // Presence, enums, repeated fields, UTF-8, messages, JSON, style, visibility.
        let values = match edition {
            edition if edition < Edition::PROTO3 => [1, 2, 2, 3, 1, 2, 2, 1],
            Edition::PROTO3 => [2, 1, 1, 2, 1, 1, 2, 1],
            edition if edition < Edition::E2024 => [1, 1, 1, 2, 1, 1, 2, 1],
            Edition::E2024 => [1, 1, 1, 2, 1, 1, 1, 2],
            _ => [1, 1, 1, 2, 1, 1, 3, 2],
        };
        Self { values }
    }

    fn get(self, feature: usize) -> u8 {
        self.values[feature - 1]
    }

    fn set(&mut self, feature: usize, value: u8) {
        self.values[feature - 1] = value;
    }

    /// These features with those of a `FeatureSet` on top; the name of one whose value is unknown
    /// is the error.
    pub(crate) fn merged(mut self, explicit: &[Record]) -> Result<Self, &'static str> {
        for feature in 1..=COUNT {
            if let Some(value) = explicit_value(explicit, feature) {
                let known = (1..=u64::from(LARGEST[feature - 1])).contains(&value);
                self.set(feature, if known { value.to_le_bytes()[0] } else { 0 });
            }
        }
        match self.values.iter().position(|value| *value == 0) {
            Some(unknown) => Err(NAMES[unknown]),
            None => Ok(self),
        }
    }

    /// What proto2 and proto3 say by other means.
    pub(crate) fn with_legacy(
        mut self,
        edition: Edition,
        required: bool,
        group: bool,
        packed: Option<bool>,
    ) -> Self {
        if required {
            self.set(FIELD_PRESENCE, LEGACY_REQUIRED);
        }
        if group {
            self.set(MESSAGE_ENCODING, DELIMITED);
        }
        match packed {
            Some(true) => self.set(REPEATED_FIELD_ENCODING, PACKED),
            Some(false) if edition == Edition::PROTO3 => {
                self.set(REPEATED_FIELD_ENCODING, EXPANDED);
            }
            _ => {}
        }
        self
    }

    pub(crate) fn is_required(self) -> bool {
        self.get(FIELD_PRESENCE) == LEGACY_REQUIRED
    }

    pub(crate) fn is_implicit(self) -> bool {
        self.get(FIELD_PRESENCE) == IMPLICIT
    }

    pub(crate) fn is_closed(self) -> bool {
        self.get(ENUM_TYPE) == CLOSED
    }

    pub(crate) fn is_packed(self) -> bool {
        self.get(REPEATED_FIELD_ENCODING) == PACKED
    }

    pub(crate) fn is_delimited(self) -> bool {
        self.get(MESSAGE_ENCODING) == DELIMITED
    }

    /// Whether strings have to be UTF-8.
    pub(crate) fn verifies_utf8(self) -> bool {
        self.get(UTF8_VALIDATION) == VERIFY
    }

    /// Whether clashes of JSON names are warnings.
    pub(crate) fn is_best_effort_json(self) -> bool {
        self.get(JSON_FORMAT) == LEGACY_BEST_EFFORT
    }

    /// Whether names have to follow the style guide.
    pub(crate) fn enforces_style(self) -> bool {
        matches!(self.get(ENFORCE_NAMING_STYLE), STYLE2024 | STYLE2026)
    }

    pub(crate) fn enforces_style_2026(self) -> bool {
        self.get(ENFORCE_NAMING_STYLE) == STYLE2026
    }

    pub(crate) fn default_visibility(self) -> DefaultVisibility {
        match self.get(DEFAULT_SYMBOL_VISIBILITY) {
            2 => DefaultVisibility::ExportTopLevel,
            3 => DefaultVisibility::LocalAll,
            4 => DefaultVisibility::Strict,
            _ => DefaultVisibility::ExportAll,
        }
    }
}

/// Which messages and enums other files see, if they do not say so themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultVisibility {
    ExportAll,
    ExportTopLevel,
    LocalAll,
    Strict,
}

impl DefaultVisibility {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ExportAll => "EXPORT_ALL",
            Self::ExportTopLevel => "EXPORT_TOP_LEVEL",
            Self::LocalAll => "LOCAL_ALL",
            Self::Strict => "STRICT",
        }
    }
}

/// The value of a feature in a `FeatureSet`.
pub(crate) fn explicit_value(features: &[Record], feature: usize) -> Option<u64> {
    wire::varint(features, u32::try_from(feature).unwrap_or_default())
}

const COUNT: usize = 8;
const NAMES: [&str; COUNT] = [
    "field_presence",
    "enum_type",
    "repeated_field_encoding",
    "utf8_validation",
    "message_encoding",
    "json_format",
    "enforce_naming_style",
    "default_symbol_visibility",
];
/// The largest value of each one's enum.
const LARGEST: [u8; COUNT] = [3, 2, 2, 3, 2, 2, 3, 4];
