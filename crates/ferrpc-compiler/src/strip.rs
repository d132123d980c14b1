//! Options as programs carry them along: without those that are for sources only, and with custom
//! options in the canonical form of their types.

use std::collections::{HashMap, HashSet};

use crate::ast::Options;
use crate::options::canonical::{Types, canonical};
use crate::options::visit::Owner;
use crate::pool::{FileId, Pool};
use crate::wire::{Record, Records};

/// What differs from a file's own options.
#[derive(Debug, Default)]
pub(crate) struct Stripped {
    /// Options by their path; none where nothing is left of them.
    pub(crate) options: HashMap<Vec<i32>, Option<Records>>,
    /// The paths of what was left out.
    pub(crate) paths: HashSet<Vec<i32>>,
}

/// Strips a file's options; `known` has the options that are part of the language.
pub(crate) fn strip(pool: &Pool, known: &Pool, file: FileId) -> Stripped {
    let mut stripped = Stripped::default();
    crate::options::visit::read(&pool.file(file).ast, &mut |owner, options, path| {
        stripped.element(pool, known, owner, options, path);
    });
    stripped
}

impl Stripped {
    fn element(
        &mut self,
        pool: &Pool,
        known: &Pool,
        owner: Owner,
        options: &Options,
        path: &[i32],
    ) {
        if options.records.is_empty() {
            return;
        }
        let type_name = owner.type_name();
        // Options are seen through the files' own descriptors, if these are whole.
        let whole = pool.message_named("google.protobuf.FileDescriptorProto").is_some();
        let own = pool.message_named(type_name).filter(|_| whole).map(|message| (pool, message));
        let builtin = known.message_named(type_name);
        let Some((types, message)) = own.or(builtin.map(|message| (known, message))) else {
            return;
        };
        let mut records = canonical(types, message, options.records.clone(), Types::STRIP);
        if let Some(builtin) = builtin.filter(|_| own.is_some()) {
            records = canonical(known, builtin, records, Types::KEEP);
        }
        if records == options.records {
            return;
        }
        self.note_paths(&options.records, &records, types, message, path);
        let empty = records.is_empty();
        if empty {
            self.paths.insert(path.to_vec());
        }
        self.options.insert(path.to_vec(), (!empty).then_some(records));
    }

    /// The paths of fields that were left out. Fields of messages that are options keep theirs
    /// unless they were left out themselves.
    fn note_paths(
        &mut self,
        before: &[Record],
        after: &[Record],
        types: &Pool,
        message: crate::pool::MessageId,
        path: &[i32],
    ) {
        let _ = after;
        for record in before {
            let number = i32::try_from(record.number).unwrap_or_default();
            let Some(field) = types.field_numbered(message, number) else { continue };
            let node = types.field(field);
            let own = [path, &[number]].concat();
            if node.source_only {
                self.paths.insert(own);
                continue;
            }
            let Some(inner) = node.message.filter(|_| !node.is_repeated()) else { continue };
            if let Some(records) = crate::wire::message(before, record.number) {
                self.note_paths(&records, &[], types, inner, &own);
            }
        }
    }
}
