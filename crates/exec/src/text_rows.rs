//! LOAD DATA's usual rows: from the text of their fields to the bytes of the row, with nothing between.
//!
//! Owns:     how each column of the table gets its value.
//! Promises: a row is as [`Engine::make_row`] would have made it, with the same warnings.
//! Never:    evaluates expressions: statements whose rows need some have no [`TextRows`].

use crate::engine::Engine;
use crate::insert::{Inserted, RowForm};
use weald_expr::plain::{self, Plain};
use weald_expr::store::{self, Target};
use weald_expr::{EvalContext, Expr};
use weald_plan::dml::{BoundInsert, Fill};
use weald_types::{Charset, Fault, SqlType, Value};

pub struct TextRows {
    columns: Vec<Source>,
}

enum Source {
    Field {
        /// Its position in the line.
        at: usize,
        plain: Plain,
        /// What NULL means is not to be decided.
        null: bool,
        auto_increment: bool,
    },
    Constant(Value),
    Number,
}

/// The fields of one line.
pub trait TextLine {
    /// `None`: NULL.
    fn field(&self, at: usize) -> Option<&[u8]>;
    /// A field as what is to be stored.
    fn value(&self, at: usize, ctx: &EvalContext<'_>) -> Result<Value, Fault>;
}

impl TextRows {
    /// `None`: more goes into a row than its fields and constants. The statement's values are the fields, in their order.
    pub fn new(bound: &BoundInsert, charset: Charset, ctx: &EvalContext<'_>) -> Result<Option<Self>, Fault> {
        if !bound.rules.generated.is_empty() || !bound.rules.checks.is_empty() {
            return Ok(None);
        }
        let mut columns = Vec::with_capacity(bound.table.columns.len());
        for (i, c) in bound.table.columns.iter().enumerate() {
            columns.push(match (bound.source_of[i], &bound.fill[i]) {
                (Some(at), _) => Source::Field {
                    at: at as usize,
                    plain: Plain::new(&c.ty, charset),
                    null: c.ty.nullable && !c.auto_increment,
                    auto_increment: c.auto_increment,
                },
                (None, Fill::Default(Expr::Literal { value, ty })) => {
                    Source::Constant(store::store(value.clone(), ty, Target { column: &c.name, ty: &c.ty, row: 1 }, ctx)?)
                }
                (None, Fill::AutoIncrement) => Source::Number,
                (None, Fill::Default(_) | Fill::Generated | Fill::Missing) => return Ok(None),
            });
        }
        Ok(Some(Self { columns }))
    }
}

impl Engine {
    /// Appends a row's bytes, and gives its partition's position; `None`: use [`Engine::make_row`]. Nothing was warned of then, unless AUTO_INCREMENT has come to
    /// its end. `types`: of the values that the line gives.
    #[allow(clippy::too_many_arguments)]
    pub fn make_text_row(
        &self,
        bound: &BoundInsert,
        form: &RowForm,
        rows: &TextRows,
        line: &impl TextLine,
        types: &[SqlType],
        number: u64,
        done: &mut Inserted,
        ctx: &EvalContext<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, Fault> {
        let mut explicit = None;
        for source in &rows.columns {
            let Source::Field { at, null, auto_increment, .. } = source else { continue };
            match line.field(*at) {
                None if !null => return Ok(None),
                Some(raw) if *auto_increment => match plain::whole(raw).filter(|n| *n > 0) {
                    Some(n) => explicit = Some(n as u64),
                    None => return Ok(None),
                },
                Some(_) | None => (),
            }
        }
        let table = &bound.table;
        let schema = form.schema();
        let start = out.len();
        let unfit = |e| Fault::Internal { incident: format!("row of {}: {e}", table.name) };
        let mut row = schema.layout().build(out);
        for (source, c) in rows.columns.iter().zip(&table.columns) {
            match source {
                Source::Field { at, plain, .. } => match line.field(*at) {
                    None => row.null().map_err(unfit)?,
                    Some(raw) if plain.put(raw, &ctx.statement.time_zone, &mut row) => (),
                    Some(_) => {
                        let value = line.value(*at, ctx)?;
                        let value = store::store(value, &types[*at], Target { column: &c.name, ty: &c.ty, row: number }, ctx)?;
                        row.value(&value).map_err(unfit)?;
                    }
                },
                Source::Constant(value) => row.value(value).map_err(unfit)?,
                Source::Number => {
                    let n = self.take_auto_increment(table, 1);
                    if row.uint(n).is_err() {
                        return Ok(None);
                    }
                    done.generated.get_or_insert(n);
                }
            }
        }
        row.finish().map_err(unfit)?;
        if let Some(n) = explicit {
            self.raise_auto_increment(table, n);
            done.explicit = Some(n);
        }
        done.records += 1;
        Ok(Some(self.partition_of_bytes(table, schema, &out[start..], form.partitions())))
    }
}
