//! Metadata between Python's tuples and the engine's list.

use ferrpc::{Metadata, MetadataError, MetadataValue};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString, PyTuple, PyType};

/// Why a metadata argument was refused; the edges turn it into what grpcio raises there.
pub(crate) enum Refused {
    /// An exception to raise as it is: a wrong type.
    Raise(PyErr),
    /// A key or value that metadata cannot hold: which, and what is wrong with it.
    Invalid(String),
}

impl Refused {
    /// What programs are told, in grpcio's words and then in more.
    pub(crate) fn text(what: &str) -> String {
        format!("Invalid metadata: {what}")
    }
}

/// Reads any iterable of pairs (`None` is no metadata). Names that are HTTP/2's, or the engine's
/// own, are left out: programs pass on what they received.
pub(crate) fn from_python(pairs: Option<&Bound<'_, PyAny>>) -> Result<Metadata, Refused> {
    let mut metadata = Metadata::new();
    let Some(pairs) = pairs.filter(|pairs| !pairs.is_none()) else { return Ok(metadata) };
    for pair in pairs.try_iter()? {
        let (key, value) = parts(&pair?)?;
        let key = if let Ok(text) = key.cast::<PyString>() {
            text.to_str()?
        } else if let Ok(bytes) = key.cast::<PyBytes>() {
            std::str::from_utf8(bytes.as_bytes())
                .map_err(|_| illegal_key(&String::from_utf8_lossy(bytes.as_bytes())))?
        } else if key.is_none() {
            return Err(Refused::Invalid("a key is None".to_owned()));
        } else {
            return Err(no_text(&key).into());
        };
        push(&mut metadata, key, &value)?;
    }
    Ok(metadata)
}

/// Whether these pairs can be sent. Raises TypeError or ValueError for what are none.
#[pyfunction]
pub(crate) fn is_legal_metadata(pairs: &Bound<'_, PyAny>) -> PyResult<bool> {
    match from_python(Some(pairs)) {
        Ok(_) => Ok(true),
        Err(Refused::Invalid(_)) => Ok(false),
        Err(Refused::Raise(error)) => Err(error),
    }
}

fn parts<'py>(pair: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    if let Ok(tuple) = pair.cast::<PyTuple>()
        && tuple.len() == 2
    {
        return Ok((tuple.get_item(0)?, tuple.get_item(1)?));
    }
    let mut items = pair.try_iter()?;
    let (key, value) = (items.next().transpose()?, items.next().transpose()?);
    match (key, value, items.next()) {
        (Some(key), Some(value), None) => Ok((key, value)),
        // The words of grpcio, for want of two items and for more of them.
        (_, None, _) => Err(PyValueError::new_err("need more than 1 value to unpack")),
        _ => Err(PyValueError::new_err("too many values to unpack (expected 2)")),
    }
}

fn push(metadata: &mut Metadata, key: &str, value: &Bound<'_, PyAny>) -> Result<(), Refused> {
    // Names of HTTP/2's own, but no program can have received them.
    if key.starts_with(':') {
        return Err(Refused::Invalid(format!("keys with a colon are HTTP/2's own, as {key:?} is")));
    }
    if key.ends_with("-bin") {
        let value = value.cast::<PyBytes>().map_err(|_| {
            let kind = value.get_type();
            PyTypeError::new_err(format!(
                "Binary metadata key=\"{key}\" expected bytes, got {kind}"
            ))
        })?;
        return unless_reserved(metadata.append_bin(key, value.as_bytes()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return append(metadata, key, text.to_str()?);
    }
    if value.is_none() {
        return append(metadata, key, "");
    }
    let bytes = value.cast::<PyBytes>().map_err(|_| no_text(value))?;
    let text = std::str::from_utf8(bytes.as_bytes()).map_err(|_| illegal_value(key))?;
    append(metadata, key, text)
}

fn no_text(what: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!("Expected str, not {}", what.get_type()))
}

/// The engine trims what surrounds a value; a line's end is refused there as anywhere else in it.
fn append(metadata: &mut Metadata, key: &str, text: &str) -> Result<(), Refused> {
    if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        return Err(illegal_value(key));
    }
    unless_reserved(metadata.append(key, text))
}

fn unless_reserved(appended: Result<(), MetadataError>) -> Result<(), Refused> {
    match appended {
        Ok(()) | Err(MetadataError::ReservedKey(_)) => Ok(()),
        Err(MetadataError::IllegalKey(key)) => Err(illegal_key(&key)),
        Err(MetadataError::IllegalValue(key)) => Err(illegal_value(&key)),
        Err(error) => Err(Refused::Invalid(error.to_string())),
    }
}

fn illegal_key(key: &str) -> Refused {
    if key.is_empty() {
        return Refused::Invalid("a key is empty".to_owned());
    }
    let allowed = "keys are made of a-z, 0-9, '-', '_' and '.'";
    let lower = key.to_ascii_lowercase();
    Refused::Invalid(if lower != key && Metadata::new().append(&lower, "").is_ok() {
        format!("{allowed}: {lower:?}, not {key:?}")
    } else {
        format!("{allowed}, which {key:?} is not")
    })
}

/// Values may be secrets: they are not shown.
fn illegal_value(key: &str) -> Refused {
    Refused::Invalid(format!(
        "the value of {key:?} is not printable ASCII; bytes go under a key that ends in \"-bin\""
    ))
}

/// A tuple of `grpc._metadatum._Metadatum(key, value)`; values of `-bin` keys are bytes.
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    metadata: &Metadata,
) -> PyResult<Bound<'py, PyTuple>> {
    static METADATUM: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    if metadata.is_empty() {
        return Ok(PyTuple::empty(py));
    }
    let metadatum = METADATUM.import(py, "grpc._metadatum", "_Metadatum")?;
    let items = metadata
        .iter()
        .map(|(key, value)| match value {
            MetadataValue::Text(value) => metadatum.call1((key, value)),
            MetadataValue::Binary(value) => metadatum.call1((key, PyBytes::new(py, &value))),
        })
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, items)
}

impl From<PyErr> for Refused {
    fn from(error: PyErr) -> Self {
        Self::Raise(error)
    }
}
