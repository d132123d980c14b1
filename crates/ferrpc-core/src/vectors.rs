//! Reads the files of `testdata/grpc`.

/// The lines of `file` that are no comments.
pub(crate) fn lines(file: &str) -> impl Iterator<Item = &str> {
    file.lines().filter(|line| !line.starts_with('#'))
}

/// The words of each line that is no comment; "-" stands for the empty string.
pub(crate) fn words<const N: usize>(file: &str) -> impl Iterator<Item = [&str; N]> {
    lines(file).map(|line| {
        let words: Vec<&str> =
            line.split(' ').map(|word| if word == "-" { "" } else { word }).collect();
        words.try_into().unwrap_or_else(|_| panic!("{line:?} has not {N} words"))
    })
}
