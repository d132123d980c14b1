//! Where things stand in a file, and their comments: `SourceCodeInfo`.

use std::collections::HashMap;

/// The locations of a file in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct Locations {
    /// The paths of all locations, one behind the other.
    paths: Vec<i32>,
    pub(crate) list: Vec<Location>,
}

#[derive(Clone, Debug)]
pub(crate) struct Location {
    path_start: u32,
    path_length: u32,
    /// Line and column of the start, then of the end, from zero.
    pub(crate) start: (u32, u32),
    pub(crate) end: Option<(u32, u32)>,
    pub(crate) comments: Option<Box<Comments>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Comments {
    pub(crate) leading: Vec<u8>,
    pub(crate) trailing: Vec<u8>,
    pub(crate) detached: Vec<Vec<u8>>,
}

/// The index of a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At(usize);

impl Locations {
    /// Begins a location below another one.
    pub(crate) fn open(&mut self, parent: Option<At>, below: &[i32], start: (u32, u32)) -> At {
        let path_start = self.paths.len();
        if let Some(At(parent)) = parent {
            let Location { path_start, path_length, .. } = self.list[parent];
            let from = path_start as usize;
            self.paths.extend_from_within(from..from + path_length as usize);
        }
        self.paths.extend_from_slice(below);
        self.list.push(Location {
            path_start: path_start as u32,
            path_length: (self.paths.len() - path_start) as u32,
            start,
            end: None,
            comments: None,
        });
        At(self.list.len() - 1)
    }

    /// Lengthens the path of the location that was begun last.
    pub(crate) fn extend(&mut self, at: At, below: i32) {
        debug_assert_eq!(at.0, self.list.len() - 1, "only the last path can grow");
        self.paths.push(below);
        self.list[at.0].path_length += 1;
    }

    pub(crate) fn get_mut(&mut self, at: At) -> &mut Location {
        &mut self.list[at.0]
    }

    pub(crate) fn path(&self, location: &Location) -> &[i32] {
        let from = location.path_start as usize;
        &self.paths[from..from + location.path_length as usize]
    }

    pub(crate) fn path_of(&self, At(at): At) -> &[i32] {
        self.path(&self.list[at])
    }

    /// Adds a location as it is.
    pub(crate) fn push(&mut self, path: &[i32], location: &Location) {
        let path_start = self.paths.len() as u32;
        self.paths.extend_from_slice(path);
        self.list.push(Location { path_start, path_length: path.len() as u32, ..location.clone() });
    }

    /// The starts of all locations by path; of equal paths the first counts.
    pub(crate) fn starts(&self) -> HashMap<Vec<i32>, (u32, u32)> {
        let mut starts = HashMap::with_capacity(self.list.len());
        for location in &self.list {
            starts.entry(self.path(location).to_vec()).or_insert(location.start);
        }
        starts
    }
}
