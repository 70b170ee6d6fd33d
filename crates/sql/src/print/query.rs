//! Queries.
//!
//! Owns:     nothing.
//! Promises: as [`super`]; comma joins come out as `join`, every join in its own parentheses.
//! Never:    prints optimiser hints: the tree has none.

use super::{Home, Printer};
use crate::ast::{
    DataType, IndexHintKind, Into, JoinKind, JoinOn, JsonTableColumn, Limit, LoadFormat, LockWait, ObjectName, OrderItem, Query, Select, SelectItem,
    SetExpr, SetOp, TableRef,
};

impl Printer {
    pub(super) fn query(&mut self, q: &Query) {
        let around = self.ctes.len();
        if let Some(with) = &q.with {
            self.push(if with.recursive { "with recursive " } else { "with " });
            self.list(&with.ctes, |p, cte| {
                if with.recursive {
                    p.ctes.push(cte.name.clone());
                }
                p.name(&cte.name);
                p.push(" ");
                if !cte.columns.is_empty() {
                    p.push("(");
                    p.names(&cte.columns);
                    p.push(") ");
                }
                p.push("as (");
                p.query(&cte.query);
                p.push(")");
                if !with.recursive {
                    p.ctes.push(cte.name.clone());
                }
            });
            self.push(" ");
        }
        self.set_expr(&q.body);
        if !q.order_by.is_empty() {
            self.push(" order by ");
            self.order_items(&q.order_by);
        }
        if let Some(limit) = &q.limit {
            self.limit(limit);
        }
        if let Some(into) = &q.into {
            self.into(into);
        }
        for locking in &q.locking {
            self.push(if locking.exclusive { " for update" } else { " for share" });
            if !locking.of.is_empty() {
                self.push(" of ");
                self.names(&locking.of);
            }
            self.push(match locking.wait {
                LockWait::Default => "",
                LockWait::NoWait => " nowait",
                LockWait::SkipLocked => " skip locked",
            });
        }
        self.ctes.truncate(around);
    }

    fn limit(&mut self, limit: &Limit) {
        self.push(" limit ");
        if let Some(offset) = &limit.offset {
            self.expr(offset);
            self.push(",");
        }
        self.expr(&limit.count);
    }

    fn into(&mut self, into: &Into) {
        match into {
            Into::Variables(names) => {
                self.push(" into ");
                self.list(names, |p, name| {
                    p.push("@");
                    p.name(name);
                });
            }
            Into::Dumpfile(path) => {
                self.push(" into dumpfile ");
                self.quoted(path);
            }
            Into::Outfile { path, charset, format } => {
                self.push(" into outfile ");
                self.quoted(path);
                if let Some(charset) = charset {
                    self.push(" character set ");
                    self.charset(charset);
                }
                self.load_format(format);
            }
        }
    }

    fn load_format(&mut self, f: &LoadFormat) {
        let byte = |b: Option<u8>| b.map_or(vec![], |b| vec![b]);
        self.push(" fields terminated by ");
        self.bytes(&f.fields_terminated);
        self.push(if f.optionally_enclosed { " optionally enclosed by " } else { " enclosed by " });
        self.bytes(&byte(f.fields_enclosed));
        self.push(" escaped by ");
        self.bytes(&byte(f.escaped));
        self.push(" lines starting by ");
        self.bytes(&f.lines_starting);
        self.push(" terminated by ");
        self.bytes(&f.lines_terminated);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.quoted(text),
            Err(_) => self.hex(bytes),
        }
    }

    pub(super) fn order_items(&mut self, items: &[OrderItem]) {
        self.list(items, |p, item| {
            p.expr(&item.expr);
            if item.descending {
                p.push(" desc");
            }
        });
    }

    fn set_expr(&mut self, e: &SetExpr) {
        match e {
            SetExpr::Select(s) => self.select(s),
            SetExpr::Query(q) => {
                self.push("(");
                self.query(q);
                self.push(")");
            }
            SetExpr::Values(rows) => {
                self.push("values ");
                self.list(rows, |p, row| {
                    p.push("row(");
                    p.exprs(row);
                    p.push(")");
                });
            }
            SetExpr::Table(name) => {
                self.push("table ");
                self.object_name(name);
            }
            SetExpr::SetOp { op, all, left, right } => {
                self.set_operand(left, *op, *all, true);
                self.push(match op {
                    SetOp::Union => " union ",
                    SetOp::Intersect => " intersect ",
                    SetOp::Except => " except ",
                });
                if *all {
                    self.push("all ");
                }
                self.set_operand(right, *op, *all, false);
            }
        }
    }

    /// An operand that is itself a set operation needs parentheses, unless it would be read as it stands.
    fn set_operand(&mut self, e: &SetExpr, op: SetOp, all: bool, left: bool) {
        let bare = match e {
            SetExpr::SetOp { op: inner, all: inner_all, .. } => {
                let tighter = *inner == SetOp::Intersect && op != SetOp::Intersect;
                let same_level = (*inner == SetOp::Intersect) == (op == SetOp::Intersect);
                // A balanced chain of one operation reads the same in a row.
                tighter || (left && same_level) || (*inner == op && *inner_all == all && op != SetOp::Except)
            }
            _ => true,
        };
        if bare {
            return self.set_expr(e);
        }
        self.push("(");
        self.set_expr(e);
        self.push(")");
    }

    fn select(&mut self, s: &Select) {
        self.push("select ");
        for (set, text) in [(s.distinct, "distinct "), (s.straight_join, "straight_join "), (s.calc_found_rows, "sql_calc_found_rows ")] {
            if set {
                self.push(text);
            }
        }
        self.list(&s.items, Self::select_item);
        if !s.from.is_empty() {
            self.push(" from ");
            self.from(&s.from);
        }
        if let Some(filter) = &s.filter {
            self.push(" where ");
            self.expr(filter);
        }
        if !s.group_by.is_empty() {
            self.push(" group by ");
            self.list(&s.group_by, |p, item| p.expr(&item.expr));
            if s.rollup {
                self.push(" with rollup");
            }
        }
        if let Some(having) = &s.having {
            self.push(" having ");
            self.expr(having);
        }
        if !s.windows.is_empty() {
            self.push(" window ");
            self.list(&s.windows, |p, (name, spec)| {
                p.name(name);
                p.push(" AS ");
                p.window_spec(spec);
            });
        }
    }

    pub(super) fn select_item(&mut self, item: &SelectItem) {
        match item {
            SelectItem::Wildcard => self.push("*"),
            SelectItem::QualifiedWildcard(name) => {
                self.object_name(name);
                self.push(".*");
            }
            SelectItem::Expr { expr, alias, .. } => {
                self.expr(expr);
                if let Some(alias) = alias {
                    self.push(" AS ");
                    self.name(alias);
                }
            }
        }
    }

    pub(super) fn object_name(&mut self, name: &ObjectName) {
        let is_cte = self.ctes.contains(&name.name);
        let database = match (&name.database, &self.home) {
            (Some(d), Home::LeftOut(home)) if d == home => {
                self.ambiguous |= is_cte;
                None
            }
            (Some(d), Home::LeftOut(_)) => {
                self.ambiguous = true;
                Some(d.clone())
            }
            (None, Home::Said(home)) if !is_cte => Some(home.clone()),
            (d, Home::AsWritten | Home::Said(_) | Home::LeftOut(_)) => d.clone(),
        };
        if let Some(database) = database {
            self.name(&database);
            self.push(".");
        }
        self.name(&name.name);
    }

    fn from(&mut self, tables: &[TableRef]) {
        if tables.len() > 1 {
            self.out.push_str(&"(".repeat(tables.len() - 1));
        }
        for (i, table) in tables.iter().enumerate() {
            if i > 0 {
                self.push(" join ");
            }
            self.table_ref(table);
            if i > 0 {
                self.push(")");
            }
        }
    }

    fn table_ref(&mut self, t: &TableRef) {
        match t {
            TableRef::Table { name, alias, hints } => {
                self.object_name(name);
                self.alias(alias.as_deref());
                for hint in hints {
                    self.push(match hint.kind {
                        IndexHintKind::Use => " use index (",
                        IndexHintKind::Force => " force index (",
                        IndexHintKind::Ignore => " ignore index (",
                    });
                    self.list(&hint.indexes, |p, name| if name == "PRIMARY" { p.push("PRIMARY") } else { p.name(name) });
                    self.push(")");
                }
            }
            TableRef::Derived { query, alias, columns, lateral } => {
                self.push(if *lateral { "lateral (" } else { "(" });
                self.query(query);
                self.push(")");
                self.alias(alias.as_deref());
                if !columns.is_empty() {
                    self.push(" (");
                    self.names(columns);
                    self.push(")");
                }
            }
            TableRef::Join { kind, natural, left, right, on } => {
                self.push("(");
                self.table_ref(left);
                self.push(if *natural { " natural " } else { " " });
                self.push(match kind {
                    JoinKind::Inner | JoinKind::Cross => "join ",
                    JoinKind::Straight => "straight_join ",
                    JoinKind::Left => "left join ",
                    JoinKind::Right => "right join ",
                    JoinKind::Full => "full outer join ",
                });
                self.table_ref(right);
                match on {
                    JoinOn::None => (),
                    JoinOn::On(e) => {
                        self.push(" on(");
                        self.expr(e);
                        self.push(")");
                    }
                    JoinOn::Using(columns) => {
                        self.push(" using (");
                        self.names(columns);
                        self.push(")");
                    }
                }
                self.push(")");
            }
            TableRef::JsonTable { doc, path, columns, alias } => {
                self.push("json_table(");
                self.expr(doc);
                self.push(", ");
                self.quoted(path);
                self.json_columns(columns);
                self.push(")");
                self.alias(Some(alias));
            }
        }
    }

    fn alias(&mut self, alias: Option<&str>) {
        if let Some(alias) = alias {
            self.push(" ");
            self.name(alias);
        }
    }

    fn json_columns(&mut self, columns: &[JsonTableColumn]) {
        self.push(" columns (");
        for (i, column) in columns.iter().enumerate() {
            self.push(if i > 0 { ", " } else { "" });
            match column {
                JsonTableColumn::Ordinality(name) => {
                    self.name(name);
                    self.push(" for ordinality");
                }
                JsonTableColumn::Path { name, data_type, path, exists, on_empty, on_error } => {
                    self.name(name);
                    self.push(" ");
                    self.data_type(data_type);
                    self.push(if *exists { " exists path " } else { " path " });
                    self.quoted(path);
                    self.json_on(on_empty.as_ref(), "empty");
                    self.json_on(on_error.as_ref(), "error");
                }
                JsonTableColumn::Nested { path, columns } => {
                    self.push("nested path ");
                    self.quoted(path);
                    self.json_columns(columns);
                }
            }
        }
        self.push(")");
    }

    fn data_type(&mut self, t: &DataType) {
        self.push(&t.name.to_ascii_lowercase());
        if !t.members.is_empty() {
            self.push("(");
            self.list(&t.members, |p, m| p.quoted(m));
            self.push(")");
        }
        match (t.length, t.decimals) {
            (Some(length), Some(decimals)) => self.push(&format!("({length},{decimals})")),
            (Some(length), None) => self.push(&format!("({length})")),
            _ => (),
        }
        if t.unsigned && t.name != "SERIAL" {
            self.push(" unsigned");
        }
        if t.zerofill {
            self.push(" zerofill");
        }
        if let Some(charset) = &t.charset {
            self.push(" character set ");
            self.charset(charset);
        }
        if t.binary {
            self.push(" binary");
        }
        if let Some(collation) = &t.collation {
            self.push(" collate ");
            self.charset(collation);
        }
    }
}
