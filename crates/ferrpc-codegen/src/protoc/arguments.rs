//! What the command line says, with protoc's rules: `--flag=value` and `--flag value`, `-Ipath`,
//! `-ofile`, `@file` with an argument a line, and `--X_out` and `--X_opt` for any X.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// A command line that makes sense.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// Where files are looked for: a virtual prefix and a directory or file, in order.
    pub(super) proto_path: Vec<(String, PathBuf)>,
    /// As they were given.
    pub(super) inputs: Vec<String>,
    pub(super) mode: Mode,
    /// `--deterministic_output`.
    pub(super) deterministic: bool,
    pub(super) descriptor_set_in: Vec<PathBuf>,
    pub(super) descriptor_set_out: Option<PathBuf>,
    pub(super) include_imports: bool,
    pub(super) include_source_info: bool,
    pub(super) retain_options: bool,
    pub(super) dependency_out: Option<PathBuf>,
    pub(super) error_format: ErrorFormat,
    pub(super) fatal_warnings: bool,
    pub(super) allow_escape: bool,
    /// The imports that inputs may have, if there is a list.
    pub(super) direct_dependencies: Option<Vec<String>>,
    /// What is said of other imports; `%s` is the import.
    pub(super) direct_dependencies_message: Option<String>,
    /// The files that inputs may import for their options, if there is a list.
    pub(super) option_dependencies: Option<Vec<String>>,
    pub(super) option_dependencies_message: Option<String>,
    /// Where to write what features are in each edition.
    pub(super) edition_defaults_out: Option<PathBuf>,
    /// The oldest and the newest of these editions; zero for what is supported.
    pub(super) edition_defaults_range: (i32, i32),
    /// Whether inputs with services are errors.
    pub(super) disallow_services: bool,
    pub(super) experimental_editions: bool,
    /// Programs by plugin name: `protoc-gen-X`.
    pub(super) plugins: BTreeMap<String, PathBuf>,
    /// What to generate, in order.
    pub(super) outputs: Vec<Output>,
    /// What makes no sense and does no harm; no error, however strict one is.
    pub(super) warnings: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Compile,
    Encode(String),
    Decode(String),
    DecodeRaw,
    FreeNumbers,
}

/// `--X_out=PARAMETER:PLACE`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Output {
    /// `X`.
    pub(super) generator: String,
    pub(super) parameter: String,
    /// A directory, or an archive.
    pub(super) place: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ErrorFormat {
    #[default]
    Gcc,
    Msvs,
}

/// What parsing came to.
#[derive(Debug)]
pub(super) enum Parsed {
    Run(Box<Arguments>),
    /// The user asked for text and nothing else.
    Help,
    Version,
    Notices,
}

/// Reads arguments, without the program's name.
pub(super) fn parse(arguments: &[String]) -> Result<Parsed, String> {
    let mut reader = Reader::default();
    let expanded = expand(arguments)?;
    if expanded.is_empty() {
        return Ok(Parsed::Help);
    }
    let mut rest = expanded.into_iter();
    while let Some(argument) = rest.next() {
        let (name, value) = split(&argument);
        if argument.is_empty() {
            return Err("One of the arguments is empty.".to_owned());
        }
        if name.is_empty() {
            reader.arguments.inputs.push(argument);
            continue;
        }
        match name.as_str() {
            "-h" | "--help" => return Ok(Parsed::Help),
            "--version" => return Ok(Parsed::Version),
            "--notices" => return Ok(Parsed::Notices),
            _ => {}
        }
        if TOGGLES.contains(&name.as_str()) {
            // protoc ignores a value here, but for one flag.
            reader.toggle(&name)?;
            if name == "--decode_raw" && value.is_some_and(|value| !value.is_empty()) {
                return Err(format!("{name} does not take a parameter."));
            }
            continue;
        }
        let value = match value {
            Some(value) => value,
            None => rest
                .next()
                .filter(|next| !next.starts_with('-'))
                .ok_or_else(|| with_raw(&name, format!("Missing value for flag: {name}")))?,
        };
        reader.flag(&name, value)?;
    }
    reader.finish().map(|arguments| Parsed::Run(Box::new(arguments)))
}

/// Puts the lines of `@file` into its place. A file's lines are not expanded further.
fn expand(arguments: &[String]) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    for argument in arguments {
        match argument.strip_prefix('@') {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|_| format!("Failed to open argument file: {path}"))?;
                out.extend(text.lines().map(str::to_owned).filter(|line| !line.is_empty()));
            }
            None => out.push(argument.clone()),
        }
    }
    Ok(out)
}

/// An error of `--decode`, with what may have been meant.
fn with_raw(name: &str, error: String) -> String {
    match name {
        "--decode" => format!("{error}\nTo decode an unknown message, use --decode_raw."),
        _ => error,
    }
}

/// The flag's name, empty for an input file; and its value if it is part of the argument.
fn split(argument: &str) -> (String, Option<String>) {
    if argument.starts_with("--") {
        return match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument.to_owned(), None),
        };
    }
    match argument.strip_prefix('-') {
        None => (String::new(), None),
        Some(rest) => {
            let mut characters = rest.chars();
            let Some(letter) = characters.next() else {
                return (String::new(), None);
            };
            let value = characters.as_str();
            let value = (!value.is_empty()).then(|| value.to_owned());
            (format!("-{letter}"), value)
        }
    }
}

#[derive(Default)]
struct Reader {
    arguments: Arguments,
    /// `--X_opt` by X.
    options: BTreeMap<String, Vec<String>>,
}

impl Reader {
    fn toggle(&mut self, name: &str) -> Result<(), String> {
        let arguments = &mut self.arguments;
        match name {
            "--include_imports" => once(&mut arguments.include_imports, name)?,
            "--include_source_info" => once(&mut arguments.include_source_info, name)?,
            "--retain_options" => once(&mut arguments.retain_options, name)?,
            "--fatal_warnings" => once(&mut arguments.fatal_warnings, name)?,
            "--deterministic_output" => arguments.deterministic = true,
            "--unsafe_allow_out_dir_escape" => arguments.allow_escape = true,
            "--disallow_services" => arguments.disallow_services = true,
            "--experimental_editions" => arguments.experimental_editions = true,
            "--decode_raw" => self.mode(name, Mode::DecodeRaw)?,
            "--print_free_field_numbers" => self.mode(name, Mode::FreeNumbers)?,
            // --enable_codegen_trace: our generators have nothing to trace. The others switched on
            // what every release of protoc does today.
            _ => {}
        }
        Ok(())
    }

    fn mode(&mut self, name: &str, mode: Mode) -> Result<(), String> {
        let arguments = &mut self.arguments;
        if arguments.mode != Mode::Compile {
            return Err(match mode {
                Mode::FreeNumbers => format!(
                    "Cannot use {name} and use --encode, --decode or print other info at the same \
                     time."
                ),
                _ => "Only one of --encode and --decode can be specified.".to_owned(),
            });
        }
        if !arguments.outputs.is_empty() || arguments.descriptor_set_out.is_some() {
            return Err(format!(
                "Cannot use {name} and generate code or descriptors at the same time."
            ));
        }
        arguments.mode = mode;
        Ok(())
    }

    fn flag(&mut self, name: &str, value: String) -> Result<(), String> {
        let arguments = &mut self.arguments;
        match name {
            "-I" | "--proto_path" => {
                for part in split_paths(&value) {
                    let (prefix, disk) = part.split_once('=').unwrap_or(("", part));
                    if disk.is_empty() {
                        return Err("--proto_path passed empty directory name.  (Use \".\" for \
                                    current directory.)"
                            .to_owned());
                    }
                    arguments.proto_path.push((prefix.to_owned(), PathBuf::from(disk)));
                }
            }
            "-o" | "--descriptor_set_out" => {
                if arguments.descriptor_set_out.is_some() {
                    return Err(format!("{name} may only be passed once."));
                }
                if value.is_empty() {
                    return Err(format!("{name} requires a non-empty value."));
                }
                if arguments.mode != Mode::Compile {
                    return Err("Cannot use --encode or --decode and generate descriptors at the \
                                same time."
                        .to_owned());
                }
                arguments.descriptor_set_out = Some(value.into());
            }
            "--descriptor_set_in" => {
                if !arguments.descriptor_set_in.is_empty() {
                    return Err(format!(
                        "{name} may only be passed once. To specify multiple descriptor sets, \
                         pass them all as a single parameter separated by '{PATHS}'."
                    ));
                }
                if value.is_empty() {
                    return Err(format!("{name} requires a non-empty value."));
                }
                if arguments.dependency_out.is_some() {
                    return Err(format!("{name} cannot be used with --dependency_out."));
                }
                arguments.descriptor_set_in.extend(split_paths(&value).map(PathBuf::from));
            }
            "--dependency_out" => {
                if arguments.dependency_out.is_some() {
                    return Err(format!("{name} may only be passed once."));
                }
                if value.is_empty() {
                    return Err(format!("{name} requires a non-empty value."));
                }
                if !arguments.descriptor_set_in.is_empty() {
                    return Err(format!("{name} cannot be used with --descriptor_set_in."));
                }
                arguments.dependency_out = Some(value.into());
            }
            "--encode" | "--decode" => {
                let blank = value.is_empty();
                let mode =
                    if name == "--encode" { Mode::Encode(value) } else { Mode::Decode(value) };
                self.mode(name, mode)?;
                if blank {
                    let error = format!("Type name for {name} cannot be blank.");
                    return Err(with_raw(name, error));
                }
            }
            "--error_format" => {
                arguments.error_format = match value.as_str() {
                    "gcc" => ErrorFormat::Gcc,
                    "msvs" => ErrorFormat::Msvs,
                    other => return Err(format!("Unknown error format: {other}")),
                };
            }
            "--direct_dependencies" => {
                if arguments.direct_dependencies.is_some() {
                    return Err(format!(
                        "{name} may only be passed once. To specify multiple direct \
                         dependencies, pass them all as a single parameter separated by ':'."
                    ));
                }
                let list = value.split(':').filter(|part| !part.is_empty());
                arguments.direct_dependencies = Some(list.map(str::to_owned).collect());
            }
            "--direct_dependencies_violation_msg" => {
                arguments.direct_dependencies_message = Some(value);
            }
            "--option_dependencies" => {
                if arguments.option_dependencies.is_some() {
                    return Err(format!(
                        "{name} may only be passed once. To specify multiple option \
                         dependencies, pass them all as a single parameter separated by ':'."
                    ));
                }
                let list = value.split(':').filter(|part| !part.is_empty());
                arguments.option_dependencies = Some(list.map(str::to_owned).collect());
            }
            "--option_dependencies_violation_msg" => {
                arguments.option_dependencies_message = Some(value);
            }
            "--edition_defaults_out" => {
                if arguments.edition_defaults_out.is_some() {
                    return Err(format!("{name} may only be passed once."));
                }
                if value.is_empty() {
                    return Err(format!("{name} requires a non-empty value."));
                }
                arguments.edition_defaults_out = Some(value.into());
            }
            "--edition_defaults_minimum" => {
                edition(&mut arguments.edition_defaults_range.0, name, &value)?;
            }
            "--edition_defaults_maximum" => {
                edition(&mut arguments.edition_defaults_range.1, name, &value)?;
            }
            "--plugin" => {
                let (plugin, path) = match value.split_once('=') {
                    Some((plugin, path)) => (plugin.to_owned(), path.to_owned()),
                    None => {
                        let base = value.rsplit('/').next().unwrap_or_default();
                        (base.trim_end_matches(".exe").to_owned(), value.clone())
                    }
                };
                arguments.plugins.insert(plugin, path.into());
            }
            _ => self.generator(name, &value)?,
        }
        Ok(())
    }

    /// `--X_out` and `--X_opt`.
    fn generator(&mut self, name: &str, value: &str) -> Result<(), String> {
        let unknown = || format!("Unknown flag: {name}");
        let plain = name.strip_prefix("--").ok_or_else(unknown)?;
        if let Some(generator) = plain.strip_suffix("_out").filter(|it| !it.is_empty()) {
            if self.arguments.mode != Mode::Compile {
                return Err(
                    "Cannot use --encode, --decode or print .proto info and generate code \
                            at the same time."
                        .to_owned(),
                );
            }
            let (parameter, place) = value.split_once(':').unwrap_or(("", value));
            self.arguments.outputs.push(Output {
                generator: generator.to_owned(),
                parameter: parameter.to_owned(),
                place: place.to_owned(),
            });
            return Ok(());
        }
        if let Some(generator) = plain.strip_suffix("_opt").filter(|it| !it.is_empty()) {
            self.options.entry(generator.to_owned()).or_default().push(value.to_owned());
            return Ok(());
        }
        Err(unknown())
    }

    /// Parameters of generators that are not run are as wrong as unknown flags. Those of plugins
    /// that are named are not.
    fn unknown_options(
        arguments: &Arguments,
        options: &BTreeMap<String, Vec<String>>,
    ) -> Result<(), String> {
        let known = |generator: &String| {
            OWN.contains(&generator.as_str())
                || arguments.plugins.contains_key(&format!("protoc-gen-{generator}"))
                || arguments.outputs.iter().any(|output| output.generator == *generator)
        };
        let unknown = options.keys().filter(|generator| !known(generator));
        let lines: Vec<String> = unknown.map(|it| format!("Unknown flag: --{it}_opt")).collect();
        if lines.is_empty() { Ok(()) } else { Err(lines.join("\n")) }
    }

    fn finish(self) -> Result<Arguments, String> {
        let Self { mut arguments, options, .. } = self;
        for output in &mut arguments.outputs {
            for option in options.get(&output.generator).into_iter().flatten() {
                if !output.parameter.is_empty() {
                    output.parameter.push(',');
                }
                output.parameter.push_str(option);
            }
        }
        Self::unknown_options(&arguments, &options)?;
        let writes = !arguments.outputs.is_empty() || arguments.descriptor_set_out.is_some();
        let defaults = arguments.edition_defaults_out.is_some();
        let given = !arguments.inputs.is_empty() || !arguments.descriptor_set_in.is_empty();
        match arguments.mode {
            Mode::DecodeRaw if given => {
                return Err("When using --decode_raw, no input files should be given.".to_owned());
            }
            Mode::DecodeRaw if defaults => {
                return Err("Missing input file.".to_owned());
            }
            Mode::DecodeRaw => return Ok(arguments),
            Mode::Compile if !arguments.inputs.is_empty() => {}
            Mode::Encode(_) | Mode::Decode(_) | Mode::FreeNumbers if given => {}
            _ => return Err("Missing input file.".to_owned()),
        }
        let writes = writes || defaults;
        if arguments.mode == Mode::Compile && !writes {
            return Err("Missing output directives.".to_owned());
        }
        if arguments.dependency_out.is_some() {
            if arguments.mode != Mode::Compile {
                return Err("Can only use --dependency_out=FILE when generating code.".to_owned());
            }
            if arguments.inputs.len() > 1 {
                return Err(
                    "Can only process one input file when using --dependency_out=FILE.".to_owned()
                );
            }
        }
        for (set, name) in [
            (arguments.include_imports, "--include_imports"),
            (arguments.include_source_info, "--include_source_info"),
            (arguments.retain_options, "--retain_options"),
        ] {
            if set && arguments.descriptor_set_out.is_none() {
                arguments.warnings.push(format!(
                    "{name} only makes sense when combined with --descriptor_set_out."
                ));
            }
        }
        if arguments.deterministic && !matches!(arguments.mode, Mode::Encode(_)) {
            return Err("Can only use --deterministic_output with --encode.".to_owned());
        }
        if arguments.proto_path.is_empty() && arguments.descriptor_set_in.is_empty() {
            arguments.proto_path.push((String::new(), PathBuf::from(".")));
        }
        Ok(arguments)
    }
}

fn once(flag: &mut bool, name: &str) -> Result<(), String> {
    if *flag {
        return Err(format!("{name} may only be passed once."));
    }
    *flag = true;
    Ok(())
}

fn edition(into: &mut i32, name: &str, value: &str) -> Result<(), String> {
    if *into != 0 {
        return Err(format!("{name} may only be passed once."));
    }
    *into = ferrpc_compiler::edition_number(value)
        .ok_or_else(|| format!("{name} unknown edition \"{value}\"."))?;
    Ok(())
}

fn split_paths(value: &str) -> impl Iterator<Item = &str> {
    value.split(PATHS).filter(|part| !part.is_empty())
}

/// Between the paths of a list, as in `PATH`.
const PATHS: char = if cfg!(windows) { ';' } else { ':' };

/// The generators that are not programs of others.
pub(super) const OWN: &[&str] = &["python", "pyi", "grpc_python"];

/// Flags without a value.
const TOGGLES: &[&str] = &[
    "--include_imports",
    "--include_source_info",
    "--retain_options",
    "--fatal_warnings",
    "--deterministic_output",
    "--unsafe_allow_out_dir_escape",
    "--decode_raw",
    "--print_free_field_numbers",
    "--enable_codegen_trace",
    "--disallow_services",
    "--experimental_allow_proto3_optional",
    "--experimental_editions",
];

#[cfg(test)]
mod tests;
