//! `google.protobuf.FeatureSetDefaults`: what each feature is in each edition. Implementations of
//! other languages are built with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::ast::{Edition, Field, Label, Message, Type};
use crate::compile::Compilation;
use crate::lexer::{Kind, Lexer, Mode};
use crate::literal;
use crate::options::notes::{self, numbers};
use crate::pool::{FieldId, FieldNode, MessageId, Pool, Support};
use crate::wire::{self, put_int32, put_message};

/// A feature with its values by edition.
struct Feature {
    number: u32,
    introduced: Edition,
    removed: Option<Edition>,
    /// In the order of editions.
    values: Vec<(Edition, u64)>,
}

/// The features of `FeatureSet` itself, or of an extension with its number.
struct Group {
    extension: Option<u32>,
    features: Vec<Feature>,
}

impl Compilation {
    /// The encoded `FeatureSetDefaults` of the features in the files that were compiled, for the
    /// editions from `oldest` to `newest`, which are numbers of `google.protobuf.Edition`; zero is
    /// the oldest or newest one that is supported.
    ///
    /// # Errors
    ///
    /// A sentence: the files define no features, or not as features have to be defined, or the
    /// editions are no range.
    pub fn edition_defaults(&self, oldest: i32, newest: i32) -> Result<Vec<u8>, String> {
        let or = |edition, other| if edition == 0 { other } else { Edition(edition) };
        let (oldest, newest) = (or(oldest, Edition::PROTO2), or(newest, Edition::NEWEST));
        if oldest > newest {
            return Err(format!(
                "Invalid edition range, edition {oldest} is newer than edition {newest}"
            ));
        }
        let groups = groups(&self.pool)?;
        let editions = editions(&groups, newest);
        match editions.first() {
            Some(&Edition::LEGACY) => {}
            first => {
                let first = first.copied().unwrap_or_default();
                return Err(format!("Minimum edition {first} is not EDITION_LEGACY"));
            }
        }
        if oldest < Edition::LEGACY {
            return Err(format!(
                "Minimum edition {oldest} is earlier than the oldest valid edition LEGACY"
            ));
        }
        let mut out = Vec::new();
        for edition in editions {
            put_message(&mut out, 1, |out| {
                put_int32(out, 3, edition.0);
                put_message(out, 4, |out| put_features(out, &groups, edition, true));
                put_message(out, 5, |out| put_features(out, &groups, edition, false));
            });
        }
        put_int32(&mut out, 4, oldest.0);
        put_int32(&mut out, 5, newest.0);
        Ok(out)
    }
}

fn editions(groups: &[Group], newest: Edition) -> BTreeSet<Edition> {
    let features = groups.iter().flat_map(|group| &group.features);
    let all = features.flat_map(|feature| {
        let values = feature.values.iter().map(|(edition, _)| *edition);
        values.chain([feature.introduced]).chain(feature.removed)
    });
    all.filter(|edition| *edition <= newest || *edition == Edition::UNSTABLE).collect()
}

/// Writes the features that files of the edition may set, or those that are fixed in it.
fn put_features(out: &mut Vec<u8>, groups: &[Group], edition: Edition, overridable: bool) {
    let put_all = |out: &mut Vec<u8>, group: &Group| {
        let by_number: BTreeMap<u32, &Feature> =
            group.features.iter().map(|feature| (feature.number, feature)).collect();
        for (number, feature) in by_number {
            if feature.is_overridable(edition) == overridable {
                wire::put_tag(out, number, 0);
                wire::put_varint(out, feature.value(edition));
            }
        }
    };
    for group in groups {
        match group.extension {
            Some(number) => put_message(out, number, |out| put_all(out, group)),
            None => put_all(out, group),
        }
    }
}

impl Feature {
    fn is_overridable(&self, edition: Edition) -> bool {
        self.introduced <= edition && self.removed.is_none_or(|removed| edition < removed)
    }

    fn value(&self, edition: Edition) -> u64 {
        let known = self.values.iter().take_while(|(since, _)| *since <= edition);
        known.last().map_or(0, |(_, value)| *value)
    }
}

/// The features of the language, and those of extensions in the order of their numbers.
fn groups(pool: &Pool) -> Result<Vec<Group>, String> {
    let Some(set) = pool.message_named("google.protobuf.FeatureSet") else {
        return Err("Could not find FeatureSet in descriptor pool.  Please make sure \
                    descriptor.proto is in your import path"
            .to_owned());
    };
    let mut groups = vec![Group { extension: None, features: features(pool, set)? }];
    let mut extensions: Vec<&FieldNode> =
        pool.fields.iter().filter(|it| it.is_extension && it.containing == Some(set)).collect();
    extensions.sort_by_key(|extension| extension.number);
    for extension in extensions {
        let name = &extension.name;
        let message = match extension.message {
            Some(message) if !extension.is_repeated() => message,
            Some(_) => {
                return Err(format!(
                    "Only singular features extensions are supported.  Found repeated extension \
                     {name}"
                ));
            }
            None => {
                return Err(format!(
                    "FeatureSet extension {name} is not of message type.  Feature extensions \
                     should always use messages to allow for evolution."
                ));
            }
        };
        let node = pool.message(message);
        if !node.extensions.is_empty() || !node.ranges.is_empty() {
            return Err(format!(
                "Nested extensions in feature extension {name} are not supported."
            ));
        }
        let features = features(pool, message)?;
        groups.push(Group { extension: Some(extension.number.cast_unsigned()), features });
    }
    Ok(groups)
}

fn features(pool: &Pool, id: MessageId) -> Result<Vec<Feature>, String> {
    let node = pool.message(id);
    if !node.oneofs.is_empty() {
        return Err(format!("Type {} contains unsupported oneof feature fields.", node.name));
    }
    let Some(message) = find(&pool.file(node.file).ast.messages, id) else { return Ok(Vec::new()) };
    message.fields.iter().map(|field| feature(pool, field)).collect()
}

fn find(messages: &[Message], id: MessageId) -> Option<&Message> {
    messages.iter().find_map(|message| match message.id == id {
        true => Some(message),
        false => find(&message.nested, id),
    })
}

fn feature(pool: &Pool, field: &Field) -> Result<Feature, String> {
    let node = pool.field(field.id);
    let name = &node.name;
    let wrong = |why: &str| Err(format!("Feature field {name} {why}"));
    let options = notes::records(&field.options);
    match node.label {
        Label::Required => return wrong("is an unsupported required field."),
        Label::Repeated => return wrong("is an unsupported repeated field."),
        Label::None | Label::Optional => {}
    }
    if !matches!(node.field_type, Some(Type::Bool | Type::Enum)) {
        return wrong("is not an enum or boolean.");
    }
    if node.targets == 0 {
        return wrong("has no target specified.");
    }
    let mut defaults = Vec::new();
    for default in wire::messages(options, numbers::FIELD_EDITION_DEFAULTS) {
        let edition = wire::varint(&default, 3).and_then(|edition| i32::try_from(edition).ok());
        let text = wire::bytes(&default, 2).unwrap_or_default().to_vec();
        defaults.push((Edition(edition.unwrap_or_default()), text));
    }
    defaults.sort_by_key(|(edition, _)| *edition);
    if !defaults.iter().any(|(edition, _)| *edition == Edition::LEGACY) {
        return wrong("has no default specified for EDITION_LEGACY, before it was introduced.");
    }
    let Some(Support { introduced, removed, .. }) = node.support.as_deref() else {
        return wrong("has no feature support specified.");
    };
    let Some(introduced) = *introduced else {
        return wrong("does not specify the edition it was introduced in.");
    };
    for (edition, _) in &defaults {
        if !edition.is_legacy() && *edition < introduced {
            return wrong(&format!(
                "has a default specified for edition {edition}, before it was introduced."
            ));
        }
        if removed.is_some_and(|removed| *edition > removed) {
            return wrong(&format!(
                "has a default specified for edition {edition}, after it was removed."
            ));
        }
    }
    let mut values = Vec::new();
    for (edition, text) in defaults {
        let Some(value) = value(pool, field.id, &text) else {
            return Err(format!(
                "Parsing error in edition_defaults for feature field {name}. Could not parse: {}",
                String::from_utf8_lossy(&text)
            ));
        };
        values.push((edition, value));
    }
    let number = node.number.cast_unsigned();
    Ok(Feature { number, introduced, removed: *removed, values })
}

/// The value in the text format: a boolean, or the name or number of an enum's value.
fn value(pool: &Pool, field: FieldId, text: &[u8]) -> Option<u64> {
    let mut lexer = Lexer::new(text, Mode::Aggregate);
    lexer.next();
    let token = lexer.current;
    let written = std::str::from_utf8(token.text).ok()?;
    let value = match (pool.field(field).enumeration, token.kind) {
        (None, Kind::Identifier) => match written {
            "true" | "True" | "t" => 1,
            "false" | "False" | "f" => 0,
            _ => return None,
        },
        (None, Kind::Integer) => literal::integer(token.text, 1)?,
        (Some(id), Kind::Identifier) => wire::sign_extended(pool.value_named(id, written)?.number),
        (Some(id), Kind::Integer) => {
            let number = literal::integer(token.text, 0x7fff_ffff)?;
            let node = pool.enumeration(id);
            let known = node.values.iter().any(|it| wire::sign_extended(it.number) == number);
            (known || !node.features.is_closed()).then_some(number)?
        }
        _ => return None,
    };
    lexer.next();
    (lexer.current.kind == Kind::End && lexer.faults.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::compile::compile;
    use crate::well_known::WELL_KNOWN_FILES;

    fn defaults(text: &str, oldest: i32, newest: i32) -> Result<String, String> {
        let mut tree: HashMap<&str, &str> = WELL_KNOWN_FILES.iter().copied().collect();
        tree.insert("a.proto", text);
        let (compilation, _) =
            compile(&tree, &["a.proto"]).map_err(|found| found[0].to_string())?;
        let bytes = compilation.edition_defaults(oldest, newest)?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Digits recorded from protoc 35.1.
    #[test]
    fn the_languages_own_features() {
        let text = "import \"google/protobuf/descriptor.proto\";";
        let all = "0a171884072200\
                   2a1008011002180220032801300238024001\
                   0a1718e7072200\
                   2a1008021001180120022801300138024001\
                   0a1718e807220c080110011801200228013001\
                   2a0438024001\
                   0a1718e907221008011001180120022801300138014002\
                   2a00\
                   0a17188f4e221008011001180120022801300138034002\
                   2a00\
                   20e60728e907";
        assert_eq!(defaults(text, 0, 0).as_deref(), Ok(all));
        let some = defaults(text, 0, 999).expect("is a range");
        assert_eq!(
            some,
            "0a1718840722002a10080110021802200328013002380240010a1718e70722002a1008021001180120022801300138024001\
                          0a17188f4e2210080110011801200228013001380340022a0020e60728e707"
        );
        assert_eq!(
            defaults(text, 1001, 1000).expect_err("runs backwards"),
            "Invalid edition range, edition 2024 is newer than edition 2023"
        );
        assert_eq!(
            defaults(text, 1, 900).expect_err("begins too early"),
            "Minimum edition 1_TEST_ONLY is earlier than the oldest valid edition LEGACY"
        );
        let none = defaults("message A {}", 0, 0).expect_err("has no features");
        assert!(none.starts_with("Could not find FeatureSet"), "{none}");
    }

    fn own(fields: &str) -> String {
        format!(
            "syntax = \"proto2\"; import \"google/protobuf/descriptor.proto\";\n\
             extend google.protobuf.FeatureSet {{ optional T t = 9990; }} message T {{ {fields} }}"
        )
    }

    fn feature(more: &str) -> String {
        own(&format!(
            "optional bool x = 1 [targets = TARGET_TYPE_FIELD, retention = RETENTION_RUNTIME, \
             edition_defaults = {{ edition: EDITION_LEGACY, value: 'true' }}, {more}];"
        ))
    }

    #[test]
    fn features_of_extensions() {
        let removed = feature(
            "feature_support = { edition_introduced: EDITION_2023 edition_removed: EDITION_2024 \
             removal_error: 'x' }, edition_defaults = { edition: EDITION_2024 value: 'true' }",
        );
        assert_eq!(
            defaults(&removed, 0, 0).as_deref(),
            Ok(
                "0a211884072204b2f004002a1608011002180220032801300238024001b2f0040208010a2118e7072204b2f004002a1608021001180120022801300138024001b2f0040208010a2118e8072212080110011801200228013001b2f0040208012a0838024001b2f004000a2118e907221408011001180120022801300138014002b2f004002a06b2f0040208010a21188f4e221408011001180120022801300138034002b2f004002a06b2f00402080120e60728e907"
            )
        );
        let later = feature("feature_support = { edition_introduced: EDITION_2026 }");
        assert_eq!(
            defaults(&later, 0, 1002).as_deref(),
            Ok(
                "0a211884072204b2f004002a1608011002180220032801300238024001b2f0040208010a2118e7072204b2f004002a1608021001180120022801300138024001b2f0040208010a2118e8072210080110011801200228013001b2f004002a0a38024001b2f0040208010a2118e907221408011001180120022801300138014002b2f004002a06b2f0040208010a2118ea07221608011001180120022801300138014002b2f0040208012a04b2f004000a21188f4e221608011001180120022801300138034002b2f0040208012a04b2f0040020e60728ea07"
            )
        );
    }

    #[test]
    fn features_that_are_defined_wrongly() {
        let support = "feature_support = { edition_introduced: EDITION_2024 }";
        for (text, expect) in [
            (own("optional string x = 1;"), "Feature field T.x is not an enum or boolean."),
            (own("repeated bool x = 1;"), "Feature field T.x is an unsupported repeated field."),
            (own("required bool x = 1;"), "Feature field T.x is an unsupported required field."),
            (own("optional bool x = 1;"), "Feature field T.x has no target specified."),
            (own("oneof o { bool x = 1; }"), "Type T contains unsupported oneof feature fields."),
            (own("extensions 5;"), "Nested extensions in feature extension t are not supported."),
            (
                own("optional bool x = 1 [targets = TARGET_TYPE_FIELD];"),
                "Feature field T.x has no default specified for EDITION_LEGACY, before it was \
                 introduced.",
            ),
            (feature("deprecated = false"), "Feature field T.x has no feature support specified."),
            (
                feature("feature_support = {}"),
                "Feature field T.x does not specify the edition it was introduced in.",
            ),
            (
                feature(&format!(
                    "{support}, edition_defaults = {{ edition: EDITION_2023 value: 'true' }}"
                )),
                "Feature field T.x has a default specified for edition 2023, before it was \
                 introduced.",
            ),
            (
                feature(&format!("{support}, edition_defaults = {{ value: 'true' }}")),
                "Minimum edition UNKNOWN is not EDITION_LEGACY",
            ),
            (
                feature(&format!(
                    "{support}, edition_defaults = {{ edition: EDITION_2024 value: 'tru' }}"
                )),
                "Parsing error in edition_defaults for feature field T.x. Could not parse: tru",
            ),
        ] {
            assert_eq!(defaults(&text, 0, 0).expect_err(expect), expect, "{text}");
        }
    }
}
