//! Puts into small stores and large ones: what is there already must not make the next one dearer.

use std::sync::Arc;

use camino::Utf8Path;
use larder_storage::Key;
use larder_system::SystemDisk;

use super::store::{Cupboard, body, key};
use crate::pairs::{pairs, total};
use crate::raw::{Flush, Writer};
use crate::report::Row;
use crate::run::{Context, Error};

const SMALL: usize = 1_000;
const RATIO_MAX: f64 = 1.5;
const LENGTH: usize = 1 << 10;

/// How keys are spread over prefixes.
#[derive(Clone, Copy, Debug)]
struct Shape {
    name: &'static str,
    prefixes: usize,
}

const SHAPES: [Shape; 2] = [Shape { name: "one prefix", prefixes: 1 }, Shape { name: "100 prefixes", prefixes: 100 }];

impl Shape {
    fn folder(self, index: usize) -> String {
        format!("prefix-{}", index % self.prefixes)
    }

    fn key(self, index: usize) -> Result<Key, Error> {
        key(&format!("{}/document-{index}", self.folder(index)))
    }
}

pub(crate) fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let large = if context.quick { 10_000 } else { 100_000 };
    SHAPES.into_iter().map(|shape| row(context, shape, large)).collect()
}

fn row(context: &Context, shape: Shape, large: usize) -> Result<Row, Error> {
    let path = context.scratch.folder(&format!("growth {}", shape.prefixes))?;
    let text = body(LENGTH);
    let small_store = filled(&path.join("small"), shape, SMALL, &text)?;
    let large_store = filled(&path.join("large"), shape, large, &text)?;
    let samples = context.samples();
    let keys = (0..total(samples)).map(|index| shape.key(large + index)).collect::<Result<Vec<_>, _>>()?;
    let put = |cupboard: &Cupboard, index: usize| match keys.get(index) {
        Some(key) => cupboard.put_relaxed(key, &text),
        None => Ok(()),
    };
    context.settle()?;
    let taken = pairs(samples, |index| put(&small_store, index), |index| put(&large_store, index))?;
    let bare = bare(context, shape, large, &text)?;
    let name = format!("put at {large} entries, {}", shape.name);
    let note = format!("the file system alone, create+write+rename: {bare:.2}");
    Ok(Row::ratio(name, "the same at 1000 entries", taken, RATIO_MAX).with_note(note))
}

fn filled(path: &Utf8Path, shape: Shape, entries: usize, text: &[u8]) -> Result<Cupboard, Error> {
    let cupboard = Cupboard::open(path, Arc::new(SystemDisk::new()))?;
    for index in 0..entries {
        cupboard.put_relaxed(&shape.key(index)?, text)?;
    }
    Ok(cupboard)
}

/// The growth of the bare system calls on the same shape.
fn bare(context: &Context, shape: Shape, large: usize, text: &[u8]) -> Result<f64, Error> {
    let name = format!("growth {} bare", shape.prefixes);
    let path = context.scratch.folder(&name)?;
    let mut sides = Vec::new();
    for (side, entries) in [("small", SMALL), ("large", large)] {
        let temporary = context.scratch.folder(&format!("{name}/{side}/tmp"))?;
        let mut writers = Vec::new();
        for index in 0..shape.prefixes {
            let folder = context.scratch.folder(&format!("{name}/{side}/entries/{}", shape.folder(index)))?;
            let writer = Writer::new(temporary.as_str(), folder.as_str());
            writers.push(writer.map_err(|source| Error::io("open", &folder, source))?);
        }
        let put = move |index: usize| match writers.get(index % writers.len()) {
            Some(writer) => writer.put("new", &format!("document-{index}.entry"), text, Flush::None),
            None => Ok(()),
        };
        for index in 0..entries {
            put(index).map_err(|source| Error::io("write in", &path, source))?;
        }
        sides.push(put);
    }
    context.settle()?;
    let run = |side: usize, index: usize| match sides.get(side) {
        Some(put) => put(large + index).map_err(|source| Error::io("write in", &path, source)),
        None => Ok(()),
    };
    Ok(pairs(context.samples(), |index| run(0, index), |index| run(1, index))?.ratio)
}
