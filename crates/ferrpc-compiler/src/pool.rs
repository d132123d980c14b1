//! All files that are linked, and what their names and numbers stand for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::ast::{Edition, File, Label, Message, Range, Type, Visibility};
use crate::check::Declared;
use crate::features::Features;

/// A full name, without a dot in front.
pub(crate) type Name = Arc<str>;

macro_rules! ids {
    ($($(#[$doc:meta])* $id:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) struct $id(pub(crate) u32);

        impl $id {
            pub(crate) fn next<T>(list: &[T]) -> Self {
                Self(u32::try_from(list.len()).unwrap_or(u32::MAX))
            }

            fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids!(
    /// A file that is linked, or being linked.
    FileId,
    MessageId,
    EnumId,
    FieldId
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbol {
    /// With the file that had it first.
    Package(FileId),
    Message(MessageId),
    Enum(EnumId),
    /// The index of a value in its enum.
    Value(EnumId, u32),
    Field(FieldId),
    /// A oneof or a method, in its file.
    Other(FileId),
    Service(FileId),
}

impl Symbol {
    /// Whether names can be looked up in it.
    pub(crate) fn is_aggregate(self) -> bool {
        matches!(self, Self::Package(_) | Self::Message(_) | Self::Enum(_) | Self::Service(_))
    }

    pub(crate) fn is_type(self) -> bool {
        matches!(self, Self::Message(_) | Self::Enum(_))
    }
}

#[derive(Debug)]
pub(crate) struct MessageNode {
    pub(crate) name: Name,
    /// Where the name itself begins in the full name.
    pub(crate) own: usize,
    pub(crate) file: FileId,
    pub(crate) parent: Option<MessageId>,
    pub(crate) fields: Vec<FieldId>,
    /// The extensions that are declared in it, of whatever message.
    pub(crate) extensions: Vec<FieldId>,
    pub(crate) oneofs: Vec<String>,
    pub(crate) ranges: Vec<ExtensionRangeNode>,
    pub(crate) reserved_names: Vec<Vec<u8>>,
    pub(crate) map_entry: bool,
    pub(crate) message_set: bool,
    pub(crate) visibility: Visibility,
    pub(crate) features: Features,
}

#[derive(Debug)]
pub(crate) struct ExtensionRangeNode {
    pub(crate) range: Range,
    /// Known once its options are interpreted.
    pub(crate) declared: Declared,
}

#[derive(Debug)]
pub(crate) struct EnumNode {
    pub(crate) name: Name,
    pub(crate) own: usize,
    pub(crate) file: FileId,
    pub(crate) parent: Option<MessageId>,
    pub(crate) values: Vec<ValueNode>,
    /// Whether a value has the option `debug_redact`.
    pub(crate) redacted: bool,
    pub(crate) visibility: Visibility,
    pub(crate) features: Features,
}

#[derive(Debug)]
pub(crate) struct ValueNode {
    pub(crate) name: String,
    pub(crate) number: i32,
    pub(crate) support: Option<Box<Support>>,
}

#[derive(Debug)]
pub(crate) struct FieldNode {
    pub(crate) name: Name,
    pub(crate) own: usize,
    pub(crate) file: FileId,
    /// The message that has the field or is extended; none before an extension is resolved.
    pub(crate) containing: Option<MessageId>,
    pub(crate) is_extension: bool,
    /// The message that an extension is declared in.
    pub(crate) scope: Option<MessageId>,
    pub(crate) number: i32,
    pub(crate) label: Label,
    pub(crate) field_type: Option<Type>,
    pub(crate) message: Option<MessageId>,
    pub(crate) enumeration: Option<EnumId>,
    pub(crate) oneof: Option<usize>,
    /// The option says it; what holds follows from the features.
    pub(crate) weak: bool,
    pub(crate) deprecated: bool,
    /// `retention = RETENTION_SOURCE`.
    pub(crate) source_only: bool,
    /// `targets`: a bit for each number; none if all are allowed.
    pub(crate) targets: u16,
    pub(crate) support: Option<Box<Support>>,
    /// `features.(pb.cpp).legacy_closed_enum`: protoc is a program in C++, and its options are too.
    pub(crate) closed_in_cpp: bool,
    pub(crate) features: Features,
}

/// The editions in which an option may be used: `FieldOptions.FeatureSupport`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Support {
    pub(crate) introduced: Option<Edition>,
    pub(crate) deprecated: Option<Edition>,
    pub(crate) warning: Option<String>,
    pub(crate) removed: Option<Edition>,
    pub(crate) removal_error: Option<String>,
}

impl FieldNode {
    pub(crate) fn own_name(&self) -> &str {
        &self.name[self.own..]
    }

    pub(crate) fn is_repeated(&self) -> bool {
        self.label == Label::Repeated
    }

    pub(crate) fn is_required(&self) -> bool {
        self.features.is_required()
    }

    pub(crate) fn is_message(&self) -> bool {
        matches!(self.field_type, Some(Type::Message | Type::Group))
    }

    pub(crate) fn is_packable(&self) -> bool {
        self.is_repeated()
            && !self.is_message()
            && !matches!(self.field_type, Some(Type::String | Type::Bytes))
    }

    pub(crate) fn is_packed(&self) -> bool {
        self.is_packable() && self.features.is_packed()
    }

    pub(crate) fn has_presence(&self) -> bool {
        !self.is_repeated()
            && (self.is_message()
                || self.is_extension
                || self.oneof.is_some()
                || !self.features.is_implicit())
    }
}

/// A file and what it makes visible to its importers.
#[derive(Debug)]
pub(crate) struct FileNode {
    pub(crate) ast: File,
    pub(crate) dependencies: Vec<Option<FileId>>,
    pub(crate) option_dependencies: Vec<Option<FileId>>,
    pub(crate) public: Vec<FileId>,
    pub(crate) features: Features,
    pub(crate) is_lite: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) files: Vec<FileNode>,
    pub(crate) messages: Vec<MessageNode>,
    pub(crate) enums: Vec<EnumNode>,
    pub(crate) fields: Vec<FieldNode>,
    symbols: HashMap<Name, Symbol, FixedState>,
    /// Fields and extensions by message and number.
    numbers: HashMap<(MessageId, i32), FieldId, FixedState>,
}

impl Pool {
    pub(crate) fn file(&self, id: FileId) -> &FileNode {
        &self.files[id.index()]
    }

    pub(crate) fn message(&self, id: MessageId) -> &MessageNode {
        &self.messages[id.index()]
    }

    pub(crate) fn enumeration(&self, id: EnumId) -> &EnumNode {
        &self.enums[id.index()]
    }

    pub(crate) fn field(&self, id: FieldId) -> &FieldNode {
        &self.fields[id.index()]
    }

    pub(crate) fn message_mut(&mut self, id: MessageId) -> &mut MessageNode {
        &mut self.messages[id.index()]
    }

    pub(crate) fn enumeration_mut(&mut self, id: EnumId) -> &mut EnumNode {
        &mut self.enums[id.index()]
    }

    pub(crate) fn field_mut(&mut self, id: FieldId) -> &mut FieldNode {
        &mut self.fields[id.index()]
    }

    pub(crate) fn symbol(&self, name: &str) -> Option<Symbol> {
        self.symbols.get(name).copied()
    }

    pub(crate) fn symbol_names(&self) -> impl Iterator<Item = (&Name, Symbol)> {
        self.symbols.iter().map(|(name, symbol)| (name, *symbol))
    }

    /// Adds a symbol unless there is one of the name.
    pub(crate) fn add_symbol(&mut self, name: Name, symbol: Symbol) -> bool {
        match self.symbols.entry(name) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(symbol);
                true
            }
        }
    }

    pub(crate) fn remove_symbol(&mut self, name: &str) {
        self.symbols.remove(name);
    }

    pub(crate) fn message_named(&self, name: &str) -> Option<MessageId> {
        match self.symbol(name) {
            Some(Symbol::Message(id)) => Some(id),
            _ => None,
        }
    }

    /// A field of the message, no extension, by its name.
    pub(crate) fn field_named(&self, message: MessageId, name: &str) -> Option<FieldId> {
        match self.symbol(&join(&self.message(message).name, name)) {
            Some(Symbol::Field(id)) if !self.field(id).is_extension => Some(id),
            _ => None,
        }
    }

    pub(crate) fn field_numbered(&self, message: MessageId, number: i32) -> Option<FieldId> {
        self.numbers.get(&(message, number)).copied()
    }

    /// Adds a field to its message's numbers; the field that has the number already, if there is
    /// one.
    pub(crate) fn add_number(&mut self, message: MessageId, field: FieldId) -> Option<FieldId> {
        let number = self.field(field).number;
        match self.numbers.entry((message, number)) {
            std::collections::hash_map::Entry::Occupied(entry) => Some(*entry.get()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(field);
                None
            }
        }
    }

    pub(crate) fn remove_number(&mut self, message: MessageId, number: i32) {
        self.numbers.remove(&(message, number));
    }

    /// A value of the enum by its name, which is in the scope around the enum.
    pub(crate) fn value_named(&self, id: EnumId, name: &str) -> Option<&ValueNode> {
        let node = self.enumeration(id);
        let full = format!("{}{name}", &node.name[..node.own]);
        match self.symbol(&full) {
            Some(Symbol::Value(owner, at)) if owner == id => node.values.get(at as usize),
            _ => None,
        }
    }

    pub(crate) fn file_of(&self, symbol: Symbol) -> FileId {
        match symbol {
            Symbol::Package(file) | Symbol::Other(file) | Symbol::Service(file) => file,
            Symbol::Message(id) => self.message(id).file,
            Symbol::Enum(id) | Symbol::Value(id, _) => self.enumeration(id).file,
            Symbol::Field(id) => self.field(id).file,
        }
    }

    /// The range of extension numbers that has the number.
    pub(crate) fn extension_range(
        &self,
        message: MessageId,
        number: i32,
    ) -> Option<&ExtensionRangeNode> {
        let ranges = &self.message(message).ranges;
        ranges.iter().find(|it| it.range.start <= number && number < it.range.end)
    }

    /// A file and all that its importers see with it.
    pub(crate) fn public_closure(&self, file: FileId, into: &mut HashSet<FileId>) {
        let mut open = vec![file];
        while let Some(file) = open.pop() {
            if into.insert(file) {
                open.extend(&self.file(file).public);
            }
        }
    }

    /// Whether the field is a map.
    pub(crate) fn is_map(&self, field: &FieldNode) -> bool {
        field.message.is_some_and(|message| self.message(message).map_entry)
    }
}

/// A name in a scope, which may be empty.
pub(crate) fn join(scope: &str, name: &str) -> String {
    match scope {
        "" => name.to_owned(),
        scope => format!("{scope}.{name}"),
    }
}

/// Whether the message came to be for a map.
pub(crate) fn is_map_entry(message: &Message) -> bool {
    message
        .options
        .as_ref()
        .is_some_and(|options| crate::wire::boolean(&options.records, crate::parser::MAP_ENTRY))
}
