//! A table's definition, made ready for reading rows and making keys.
//!
//! Owns:     the row layouts of every schema version that rows may be stored in, and the key encoders of the indexes.
//! Promises: a column is read the same way whichever version wrote the row; the key bytes of a row do not depend on the version it is stored in.
//! Never:    holds rows.
//!
//! In a row of the current version field i is column i, generated columns included. Older versions say in [`weald_catalog::Layout`] where each current
//! column is found. Key bytes depend on the columns' types: a change of definition that changes the type or nullability of an indexed column must come
//! with a new index id (and for the primary key, with a new table id).

use weald_catalog::{FieldSource, IndexDef, TableRef};
use weald_types::key::{KeyEncoder, KeyPart, encode_field};
use weald_types::row::{FieldRef, RowLayout};
use weald_types::{IndexId, SchemaVersion, SqlType, Value};

#[derive(Debug)]
pub struct TableSchema {
    def: TableRef,
    current: RowLayout,
    older: Vec<OlderLayout>,
    indexes: Vec<IndexSchema>,
}

#[derive(Debug)]
struct OlderLayout {
    version: SchemaVersion,
    layout: RowLayout,
    columns: Vec<Source>,
}

#[derive(Debug)]
enum Source {
    Field(usize),
    /// The row format with this one field, as the column's type is now.
    Constant(RowLayout, Vec<u8>),
}

#[derive(Debug)]
pub struct IndexSchema {
    pub id: IndexId,
    pub unique: bool,
    pub hash: bool,
    pub ready: bool,
    encoder: KeyEncoder,
    columns: Vec<usize>,
}

impl TableSchema {
    pub fn new(def: TableRef) -> Self {
        let types: Vec<SqlType> = def.columns.iter().map(|c| c.ty.clone()).collect();
        let older = def
            .layouts
            .iter()
            .filter(|l| l.version != def.version)
            .map(|l| OlderLayout {
                version: l.version,
                layout: RowLayout::new(&l.fields),
                columns: (l.columns.iter().zip(&types))
                    .map(|(source, ty)| match source {
                        FieldSource::Field(f) => Source::Field(*f as usize),
                        FieldSource::Constant(bytes) => Source::Constant(RowLayout::new(std::slice::from_ref(ty)), bytes.clone()),
                    })
                    .collect(),
            })
            .collect();
        let indexes = def.indexes.iter().map(|i| IndexSchema::new(i, &types)).collect();
        Self { current: RowLayout::new(&types), older, indexes, def }
    }
    pub fn def(&self) -> &TableRef {
        &self.def
    }
    pub fn version(&self) -> SchemaVersion {
        self.def.version
    }
    /// How rows of the current version are laid out: for encoding new ones.
    pub fn layout(&self) -> &RowLayout {
        &self.current
    }
    pub fn indexes(&self) -> &[IndexSchema] {
        &self.indexes
    }
    pub fn index(&self, id: IndexId) -> Option<&IndexSchema> {
        self.indexes.iter().find(|i| i.id == id)
    }
    pub fn primary(&self) -> Option<&IndexSchema> {
        if self.def.primary_key { self.indexes.first() } else { None }
    }
    /// Column `ordinal` of a row stored in `version`.
    pub fn field<'a>(&'a self, version: SchemaVersion, row: &'a [u8], ordinal: usize) -> FieldRef<'a> {
        if version == self.def.version {
            return self.current.field(row, ordinal);
        }
        // Newest last: recent layouts are the likely ones.
        match self.older.iter().rev().find(|l| l.version == version) {
            Some(older) => match older.columns.get(ordinal) {
                Some(Source::Field(f)) => older.layout.field(row, *f),
                Some(Source::Constant(layout, bytes)) => layout.field(bytes, 0),
                None => FieldRef::Null,
            },
            None => {
                // A version between two layouts changed no field: the next layout that is known describes it.
                match self.older.iter().find(|l| l.version > version) {
                    Some(next) => self.field(next.version, row, ordinal),
                    None => self.current.field(row, ordinal),
                }
            }
        }
    }
    pub fn value(&self, version: SchemaVersion, row: &[u8], ordinal: usize) -> Value {
        self.field(version, row, ordinal).to_value()
    }
    /// All columns, in order.
    pub fn values(&self, version: SchemaVersion, row: &[u8]) -> Vec<Value> {
        (0..self.def.columns.len()).map(|i| self.value(version, row, i)).collect()
    }
}

impl IndexSchema {
    fn new(index: &IndexDef, types: &[SqlType]) -> Self {
        let parts = index.parts.iter().map(|p| KeyPart { ty: types[p.column as usize].clone(), descending: p.descending, prefix: p.prefix });
        Self {
            id: index.id,
            unique: index.unique,
            hash: index.hash,
            ready: index.ready,
            encoder: KeyEncoder::new(parts.collect()),
            columns: index.parts.iter().map(|p| p.column as usize).collect(),
        }
    }
    /// For the bounds of a range.
    pub fn encoder(&self) -> &KeyEncoder {
        &self.encoder
    }
    /// Appends the key of a row; true if any part is NULL: such a key is equal to no other.
    pub fn encode(&self, schema: &TableSchema, version: SchemaVersion, row: &[u8], out: &mut Vec<u8>) -> bool {
        if version == schema.def.version {
            return self.encoder.encode_row(&schema.current, row, &self.columns, out);
        }
        let mut null = false;
        for (part, column) in self.encoder.parts().iter().zip(&self.columns) {
            let field = schema.field(version, row, *column);
            null |= field.is_null();
            encode_field(&field, &part.ty, part.descending, part.prefix, out);
        }
        null
    }
}
