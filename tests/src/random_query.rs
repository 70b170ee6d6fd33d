//! Random tables, rows and queries, for comparing executors with each other and with another server.
//!
//! Owns:     its random numbers, all drawn from one seed.
//! Promises: the same seed gives the same statements on every machine; queries have one right answer, as a multiset of rows, and as a sequence where
//!           [`RandomQuery::sorted_by`] says so. What collation leaves open (which of 'a' and 'A' stands for a group) is only ever shown, never computed with.
//! Never:    makes what MySQL leaves undefined: LIMIT without a total order, values of ungrouped columns, sums of inexact doubles.

use std::fmt::Write;

/// SplitMix64: small, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// What a column may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers and decimals.
    Number,
    /// Quarters: their sums are exact.
    Double,
    /// Under a collation that does not tell case apart.
    Text,
    /// Under a binary one.
    Exact,
    Date,
    DateTime,
    Time,
    Year,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    kind: Kind,
    /// Its value stands for several that are equal under its collation: it is compared and shown, nothing else.
    stands_for_many: bool,
}

#[derive(Clone, Debug)]
struct Table {
    name: String,
    columns: Vec<Column>,
}

/// The name, the type, and what it may be used for.
const COLUMNS: &[(&str, &str, Kind)] = &[
    ("i", "INT", Kind::Number),
    ("ti", "TINYINT", Kind::Number),
    ("bi", "BIGINT", Kind::Number),
    ("u", "INT UNSIGNED", Kind::Number),
    ("bu", "BIGINT UNSIGNED", Kind::Number),
    ("dc", "DECIMAL(10,2)", Kind::Number),
    ("dw", "DECIMAL(30,6)", Kind::Number),
    ("db", "DOUBLE", Kind::Double),
    ("y", "YEAR", Kind::Year),
    ("s", "VARCHAR(12)", Kind::Text),
    ("c", "CHAR(6)", Kind::Text),
    ("tx", "TEXT", Kind::Text),
    ("sb", "VARCHAR(12) COLLATE utf8mb4_bin", Kind::Exact),
    ("e", "ENUM('one','Two','three')", Kind::Text),
    ("d", "DATE", Kind::Date),
    ("dt", "DATETIME(3)", Kind::DateTime),
    ("ts", "TIMESTAMP NULL", Kind::DateTime),
    ("tm", "TIME", Kind::Time),
];

const WORDS: &[&str] = &["a", "A", "b", "B ", "ab", "AB", "aB", "", "abc", "z", "Zz", "b", "é", "E", "10", "x_y", "a%"];

fn value(r: &mut Random, name: &str) -> String {
    match name {
        "i" => (r.below(21) as i64 - 10).to_string(),
        "ti" => (r.below(7) as i64 - 3).to_string(),
        "bi" => r.pick(&["-9000000000", "0", "1", "2", "5", "9000000000", "7"]).to_string(),
        "u" => r.below(12).to_string(),
        "bu" => r.pick(&["0", "1", "2", "5", "18446744073709551615", "9223372036854775807"]).to_string(),
        "dc" => format!("{}.{:02}", r.below(9) as i64 - 4, r.below(4) * 25),
        "dw" => format!("{}.{:06}", r.below(2000) as i64 - 1000, r.below(1_000_000)),
        "db" => format!("{}", (r.below(41) as f64 - 20.0) / 4.0),
        "y" => (1999 + r.below(6)).to_string(),
        "s" | "c" | "tx" | "sb" => format!("'{}'", r.pick(WORDS)),
        "e" => format!("'{}'", r.pick(&["one", "Two", "three"])),
        "d" => format!("'2024-0{}-{:02}'", 1 + r.below(3), 1 + r.below(5)),
        "dt" => format!("'2024-01-{:02} 0{}:30:00.{}'", 1 + r.below(4), r.below(3), r.pick(&["000", "500", "123"])),
        "ts" => format!("'2024-01-{:02} 1{}:00:00'", 1 + r.below(4), r.below(3)),
        _ => format!("'{}{:02}:00:05'", if r.one_in(4) { "-" } else { "" }, r.below(30)),
    }
}

/// A few tables with rows.
pub struct Database {
    tables: Vec<Table>,
    /// CREATE TABLE and INSERT.
    pub statements: Vec<String>,
}

impl Database {
    pub fn new(r: &mut Random) -> Self {
        let mut tables = Vec::new();
        let mut statements = Vec::new();
        for n in 0..3 + r.below(2) {
            let name = format!("t{n}");
            let mut columns = vec![Column { name: "id".into(), kind: Kind::Number, stands_for_many: false }];
            let mut definition = "id INT NOT NULL".to_string();
            let wanted = 5 + r.below(6);
            let mut left: Vec<_> = COLUMNS.to_vec();
            let mut keys = Vec::new();
            for _ in 0..wanted {
                let (column, ty, kind) = left.remove(r.below(left.len()));
                let not_null = column != "ts" && r.one_in(4);
                let _ = write!(definition, ", {column} {ty}{}", if not_null { " NOT NULL" } else { "" });
                columns.push(Column { name: column.into(), kind, stands_for_many: false });
                if r.one_in(3) && column != "tx" {
                    keys.push(column);
                }
            }
            definition.push_str(", PRIMARY KEY (id)");
            for k in &keys {
                let second = if r.one_in(3) { ", id" } else { "" };
                let _ = write!(definition, ", KEY k_{k} ({k}{second})");
            }
            statements.push(format!("CREATE TABLE {name} ({definition})"));
            let rows = *r.pick(&[0, 3, 17, 40, 60]);
            let mut values = Vec::new();
            for id in 0..rows {
                let mut row = vec![id.to_string()];
                for c in &columns[1..] {
                    let nullable = !definition.contains(&format!(" {} {} NOT NULL", c.name, COLUMNS.iter().find(|x| x.0 == c.name).unwrap().1));
                    row.push(if nullable && r.one_in(6) { "NULL".into() } else { value(r, &c.name) });
                }
                values.push(format!("({})", row.join(", ")));
            }
            if !values.is_empty() {
                statements.push(format!("INSERT INTO {name} VALUES {}", values.join(", ")));
            }
            tables.push(Table { name, columns });
        }
        Self { tables, statements }
    }
}

/// A query, and how its answer is to be compared.
#[derive(Clone, Debug, Default)]
pub struct RandomQuery {
    pub sql: String,
    /// Output columns whose values come in the same sequence whoever runs it.
    pub sorted_by: Vec<usize>,
    /// MariaDB 10.11 has no such syntax, or means something else by it.
    pub mysql_only: bool,
}

/// A column in scope.
#[derive(Clone, Debug)]
struct Visible {
    text: String,
    kind: Kind,
    stands_for_many: bool,
}

pub struct Generator<'a> {
    r: &'a mut Random,
    db: &'a Database,
    next_alias: usize,
    mysql_only: bool,
}

/// What a query block gives.
struct Block {
    sql: String,
    columns: Vec<Out>,
}

#[derive(Clone, Debug)]
struct Out {
    name: String,
    kind: Kind,
    stands_for_many: bool,
}

fn out(name: impl Into<String>, kind: Kind, stands_for_many: bool) -> Out {
    Out { name: name.into(), kind, stands_for_many }
}

impl Out {
    fn under(&self, alias: &str, name: &str) -> Visible {
        Visible { text: format!("{alias}.{name}"), kind: self.kind, stands_for_many: self.stands_for_many }
    }
}

impl<'a> Generator<'a> {
    pub fn new(r: &'a mut Random, db: &'a Database) -> Self {
        Self { r, db, next_alias: 0, mysql_only: false }
    }

    fn alias(&mut self) -> String {
        self.next_alias += 1;
        format!("x{}", self.next_alias)
    }

    pub fn query(&mut self) -> RandomQuery {
        self.next_alias = 0;
        self.mysql_only = false;
        let mut with = String::new();
        let mut block = match self.r.below(12) {
            0 => self.set_operation(),
            1 => {
                let (w, b) = self.with();
                with = w;
                b
            }
            2 => {
                let (w, b) = self.recursive();
                with = w;
                b
            }
            3..=5 => self.grouped(2),
            6 => self.windowed(),
            _ => self.select(2),
        };
        let mut sorted_by = Vec::new();
        if self.r.one_in(2) {
            let n = block.columns.len();
            // With a limit every output column is a key, so that only equal rows may change places.
            let limit = self.r.one_in(2);
            let mut keys: Vec<usize> = (0..n).collect();
            for i in (1..n).rev() {
                keys.swap(i, self.r.below(i + 1));
            }
            if !limit {
                keys.truncate(1 + self.r.below(n));
            }
            let list: Vec<String> = keys.iter().map(|k| format!("{}{}", k + 1, if self.r.one_in(3) { " DESC" } else { "" })).collect();
            let _ = write!(block.sql, " ORDER BY {}", list.join(", "));
            if limit {
                let _ = write!(block.sql, " LIMIT {}", self.r.below(12));
                if self.r.one_in(3) {
                    let _ = write!(block.sql, " OFFSET {}", self.r.below(5));
                }
            }
            sorted_by = keys;
        }
        RandomQuery { sql: format!("{with}{}", block.sql), sorted_by, mysql_only: self.mysql_only }
    }

    // ------------------------------------------------------------------ FROM

    /// A FROM clause and what it brings into scope.
    fn from(&mut self, depth: usize) -> (String, Vec<Visible>) {
        let (mut sql, mut scope) = self.table_factor(depth);
        let joins = *self.r.pick(&[0, 0, 1, 1, 1, 2]);
        for _ in 0..joins {
            let (right, visible) = self.table_factor(depth);
            let mut both = scope.clone();
            both.extend(visible.iter().cloned());
            let on = match self.r.below(4) {
                0 => self.condition(1, &both),
                _ => self.equality(&scope, &visible).unwrap_or_else(|| self.condition(1, &both)),
            };
            let on = if self.r.one_in(4) { format!("{on} AND {}", self.condition(1, &both)) } else { on };
            match self.r.below(6) {
                0 => {
                    let _ = write!(sql, " LEFT JOIN {right} ON {on}");
                }
                1 => {
                    let _ = write!(sql, " RIGHT JOIN {right} ON {on}");
                }
                2 => {
                    let _ = write!(sql, " CROSS JOIN {right}");
                }
                3 => {
                    let _ = write!(sql, " STRAIGHT_JOIN {right} ON {on}");
                }
                _ => {
                    let _ = write!(sql, " JOIN {right} ON {on}");
                }
            }
            scope = both;
        }
        (sql, scope)
    }

    fn table_factor(&mut self, depth: usize) -> (String, Vec<Visible>) {
        let alias = self.alias();
        if depth > 0 && self.r.one_in(6) {
            let block = if self.r.one_in(2) { self.grouped(depth - 1) } else { self.select(depth - 1) };
            let visible = block.columns.iter().map(|c| c.under(&alias, &c.name)).collect();
            return (format!("({}) AS {alias}", block.sql), visible);
        }
        let t = self.r.pick(&self.db.tables).clone();
        let visible =
            t.columns.iter().map(|c| Visible { text: format!("{alias}.{}", c.name), kind: c.kind, stands_for_many: c.stands_for_many }).collect();
        (format!("{} AS {alias}", t.name), visible)
    }

    /// `left = right` of columns of one kind.
    fn equality(&mut self, left: &[Visible], right: &[Visible]) -> Option<String> {
        for _ in 0..8 {
            let l = self.r.pick(left);
            let same: Vec<&Visible> = right.iter().filter(|v| v.kind == l.kind).collect();
            if !same.is_empty() {
                let r = self.r.pick(&same);
                let op = if self.r.one_in(8) { "<=>" } else { "=" };
                return Some(format!("{} {op} {}", l.text, r.text));
            }
        }
        None
    }

    // ------------------------------------------------------------------ expressions

    fn of_kind(&mut self, kind: Kind, scope: &[Visible], computed: bool) -> Option<Visible> {
        let fit: Vec<&Visible> = scope.iter().filter(|v| v.kind == kind && !(computed && v.stands_for_many)).collect();
        if fit.is_empty() { None } else { Some((*self.r.pick(&fit)).clone()) }
    }

    fn literal(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Number => match self.r.below(4) {
                0 => format!("{}.{}", self.r.below(5), self.r.pick(&["5", "25", "0"])),
                _ => (self.r.below(13) as i64 - 4).to_string(),
            },
            Kind::Double => format!("{}e0", (self.r.below(17) as f64 - 8.0) / 4.0),
            Kind::Text | Kind::Exact => format!("'{}'", self.r.pick(WORDS)),
            Kind::Date => format!("DATE '2024-0{}-{:02}'", 1 + self.r.below(3), 1 + self.r.below(5)),
            Kind::DateTime => format!("TIMESTAMP '2024-01-{:02} 01:30:00'", 1 + self.r.below(4)),
            Kind::Time => format!("TIME '{:02}:00:05'", self.r.below(30)),
            // With all its digits: a shorter one is completed in a comparison.
            Kind::Year => (1999 + self.r.below(6)).to_string(),
        }
    }

    /// An expression of `kind`.
    fn expr(&mut self, kind: Kind, depth: usize, scope: &[Visible]) -> String {
        let column = self.of_kind(kind, scope, true);
        if depth == 0 || self.r.one_in(3) {
            return match column {
                Some(c) if !self.r.one_in(5) => c.text,
                _ => self.literal(kind),
            };
        }
        let d = depth - 1;
        match (kind, self.r.below(8)) {
            (Kind::Number, 0) => format!("({} + {})", self.small(scope), self.small(scope)),
            (Kind::Number, 1) => format!("({} - {})", self.small(scope), self.small(scope)),
            (Kind::Number, 2) => format!("({} * {})", self.small(scope), self.small(scope)),
            (Kind::Number, 3) => format!("({} % {})", self.small(scope), 1 + self.r.below(5)),
            (Kind::Number, 4) => {
                let s = self.expr(Kind::Exact, d, scope);
                format!("CHAR_LENGTH({s})")
            }
            (Kind::Number, 5) => {
                let k = *self.r.pick(&[Kind::Date, Kind::DateTime]);
                let part = *self.r.pick(&["YEAR", "MONTH", "DAY"]);
                format!("{part}({})", self.expr(k, d, scope))
            }
            (Kind::Double, 0) => format!("({} + {})", self.expr(Kind::Double, d, scope), self.expr(Kind::Double, d, scope)),
            (Kind::Double, 1) => format!("({} * 2e0)", self.expr(Kind::Double, d, scope)),
            (Kind::Exact, 0) => format!("CONCAT({}, 'x')", self.expr(Kind::Exact, d, scope)),
            (Kind::Exact, 1) => format!("UPPER({})", self.expr(Kind::Exact, d, scope)),
            (Kind::Text, 0) => format!("CONCAT({}, '-', {})", self.expr(Kind::Text, d, scope), self.expr(Kind::Text, d, scope)),
            (Kind::Text, 1) => format!("LOWER({})", self.expr(Kind::Text, d, scope)),
            (Kind::Text, 2) => format!("LEFT({}, 2)", self.expr(Kind::Text, d, scope)),
            (Kind::Date, 0) => format!("({} + INTERVAL {} DAY)", self.expr(Kind::Date, d, scope), self.r.below(40)),
            (Kind::DateTime, 0) => format!("({} - INTERVAL {} HOUR)", self.expr(Kind::DateTime, d, scope), self.r.below(40)),
            (k, 6) => format!("CASE WHEN {} THEN {} ELSE {} END", self.condition(d, scope), self.expr(k, d, scope), self.expr(k, d, scope)),
            (k, 7) => format!("COALESCE({}, {})", self.expr(k, d, scope), self.expr(k, d, scope)),
            (k, _) => match column {
                Some(c) => c.text,
                None => self.literal(k),
            },
        }
    }

    /// A number whose products stay far from every limit.
    fn small(&mut self, scope: &[Visible]) -> String {
        let fit: Vec<String> = scope
            .iter()
            .filter(|v| v.kind == Kind::Number && !v.stands_for_many)
            .filter(|v| [".i", ".ti", ".dc", ".id"].iter().any(|s| v.text.ends_with(s)))
            .map(|v| v.text.clone())
            .collect();
        if fit.is_empty() || self.r.one_in(4) {
            return self.literal(Kind::Number);
        }
        self.r.pick(&fit).clone()
    }

    fn any_kind(&mut self, scope: &[Visible]) -> Kind {
        if scope.is_empty() { Kind::Number } else { self.r.pick(scope).kind }
    }

    fn condition(&mut self, depth: usize, scope: &[Visible]) -> String {
        if depth > 0 && self.r.one_in(3) {
            let (a, b) = (self.condition(depth - 1, scope), self.condition(depth - 1, scope));
            return match self.r.below(5) {
                0 | 1 => format!("({a} AND {b})"),
                2 | 3 => format!("({a} OR {b})"),
                _ => format!("NOT ({a})"),
            };
        }
        let kind = self.any_kind(scope);
        // A column that stands for many may be compared, as it is.
        let left = match self.of_kind(kind, scope, false) {
            Some(c) if c.stands_for_many || self.r.one_in(2) => c.text,
            _ => self.expr(kind, depth, scope),
        };
        match self.r.below(12) {
            0 => format!("{left} IS NULL"),
            1 => format!("{left} IS NOT NULL"),
            2 => format!("{left} BETWEEN {} AND {}", self.literal(kind), self.literal(kind)),
            3 => {
                // Long ones are searched otherwise than short ones.
                let long = if self.r.one_in(4) { 18 } else { 0 };
                let mut list: Vec<String> = (0..1 + long + self.r.below(4)).map(|_| self.literal(kind)).collect();
                if self.r.one_in(6) {
                    list.push("NULL".into());
                }
                format!("{left} {}IN ({})", if self.r.one_in(3) { "NOT " } else { "" }, list.join(", "))
            }
            4 if matches!(kind, Kind::Text | Kind::Exact) => {
                format!("{left} {}LIKE '{}'", if self.r.one_in(4) { "NOT " } else { "" }, self.r.pick(&["a%", "%b", "_", "A_", "%", "x\\\\_%"]))
            }
            // What one column may be: as good as a list.
            5 => {
                let ranges = self.r.one_in(2);
                let one = |g: &mut Self| match g.r.below(if ranges { 4 } else { 1 }) {
                    0 => format!("{left} = {}", g.literal(kind)),
                    1 => format!("{left} BETWEEN {} AND {}", g.literal(kind), g.literal(kind)),
                    2 => format!("{left} > {}", g.literal(kind)),
                    _ => format!("{left} <= {}", g.literal(kind)),
                };
                let all: Vec<String> = (0..2 + self.r.below(3)).map(|_| one(self)).collect();
                format!("({})", all.join(" OR "))
            }
            6 => {
                let second = self.any_kind(scope);
                let right = self.expr(second, 0, scope);
                let count = if self.r.one_in(4) { 18 } else { 1 + self.r.below(3) };
                let list: Vec<String> = (0..count).map(|_| format!("({}, {})", self.literal(kind), self.literal(second))).collect();
                format!("({left}, {right}) {}IN ({})", if self.r.one_in(3) { "NOT " } else { "" }, list.join(", "))
            }
            _ => {
                let right = if self.r.one_in(2) { self.literal(kind) } else { self.expr(kind, depth, scope) };
                format!("{left} {} {right}", self.r.pick(&["=", "<>", "<", "<=", ">", ">=", "<=>"]))
            }
        }
    }

    /// A condition with a subquery in it.
    fn subquery_condition(&mut self, depth: usize, scope: &[Visible]) -> String {
        let t = self.r.pick(&self.db.tables).clone();
        let alias = self.alias();
        let inner: Vec<Visible> =
            t.columns.iter().map(|c| Visible { text: format!("{alias}.{}", c.name), kind: c.kind, stands_for_many: c.stands_for_many }).collect();
        let correlated = self.r.one_in(2);
        let mut wheres = Vec::new();
        if correlated && let Some(e) = self.equality(&inner, scope) {
            wheres.push(e);
        }
        if self.r.one_in(2) {
            wheres.push(self.condition(1, &inner));
        }
        if depth > 0 && self.r.one_in(5) {
            let mut both = inner.clone();
            both.extend(scope.iter().cloned());
            let scope = if self.r.one_in(2) { both } else { inner.clone() };
            wheres.push(self.subquery_condition(depth - 1, &scope));
        }
        let filter = if wheres.is_empty() { String::new() } else { format!(" WHERE {}", wheres.join(" AND ")) };
        match self.r.below(5) {
            0 => format!("{}EXISTS (SELECT 1 FROM {} AS {alias}{filter})", if self.r.one_in(2) { "NOT " } else { "" }, t.name),
            1 | 2 => {
                let column = self.r.pick(&inner).clone();
                let Some(own) = self.of_kind(column.kind, scope, false) else {
                    return format!("EXISTS (SELECT 1 FROM {} AS {alias}{filter})", t.name);
                };
                let not = if self.r.one_in(2) { "NOT " } else { "" };
                // MariaDB forgets the NULLs of an ENUM there.
                self.mysql_only |= !not.is_empty() && column.text.ends_with(".e");
                format!("{} {not}IN (SELECT {} FROM {} AS {alias}{filter})", own.text, column.text, t.name)
            }
            3 => {
                let aggregate = *self.r.pick(&["COUNT(*)", "MIN({})", "MAX({})", "SUM({})", "COUNT(DISTINCT {})"]);
                let numbers: Vec<&Visible> = inner.iter().filter(|v| v.kind == Kind::Number).collect();
                let n = self.r.pick(&numbers).text.clone();
                let left = self.expr(Kind::Number, 0, scope);
                format!("{left} {} (SELECT {} FROM {} AS {alias}{filter})", self.r.pick(&["=", "<", ">=", "<>"]), aggregate.replace("{}", &n), t.name)
            }
            _ => {
                let numbers: Vec<&Visible> = inner.iter().filter(|v| v.kind == Kind::Number).collect();
                let n = self.r.pick(&numbers).text.clone();
                let left = self.expr(Kind::Number, 0, scope);
                let (op, quantifier) = (*self.r.pick(&["=", "<", ">", "<>", "<="]), *self.r.pick(&["ANY", "ALL"]));
                format!("{left} {op} {quantifier} (SELECT {n} FROM {} AS {alias}{filter})", t.name)
            }
        }
    }

    fn filter(&mut self, depth: usize, scope: &[Visible]) -> String {
        let mut list = Vec::new();
        if self.r.one_in(2) {
            list.push(self.condition(2, scope));
        }
        if depth > 0 && self.r.one_in(3) {
            list.push(self.subquery_condition(depth, scope));
        }
        if list.is_empty() {
            return String::new();
        }
        let join = if self.r.one_in(4) { " OR " } else { " AND " };
        format!(" WHERE {}", list.join(join))
    }

    // ------------------------------------------------------------------ blocks

    fn select(&mut self, depth: usize) -> Block {
        let (from, scope) = self.from(depth);
        let distinct = self.r.one_in(4);
        let mut items = Vec::new();
        let mut columns = Vec::new();
        for i in 0..1 + self.r.below(4) {
            let kind = self.any_kind(&scope);
            let (text, many) = match self.of_kind(kind, &scope, false) {
                Some(c) if c.stands_for_many || self.r.one_in(2) => (c.text, c.stands_for_many),
                _ if depth > 0 && kind == Kind::Number && self.r.one_in(6) => (self.scalar_subquery(&scope), false),
                _ => (self.expr(kind, 2, &scope), false),
            };
            items.push(format!("{text} AS o{i}"));
            columns.push(out(format!("o{i}"), kind, many || (distinct && kind == Kind::Text)));
        }
        let filter = self.filter(depth, &scope);
        Block { sql: format!("SELECT {}{} FROM {from}{filter}", if distinct { "DISTINCT " } else { "" }, items.join(", ")), columns }
    }

    fn scalar_subquery(&mut self, scope: &[Visible]) -> String {
        let t = self.r.pick(&self.db.tables).clone();
        let alias = self.alias();
        let inner: Vec<Visible> =
            t.columns.iter().map(|c| Visible { text: format!("{alias}.{}", c.name), kind: c.kind, stands_for_many: c.stands_for_many }).collect();
        let filter = match self.equality(&inner, scope) {
            Some(e) if !self.r.one_in(4) => format!(" WHERE {e}"),
            _ => String::new(),
        };
        let aggregate = *self.r.pick(&["COUNT(*)", "MAX(id)", "MIN(id)", "SUM(id)", "COUNT(DISTINCT id)"]);
        format!("(SELECT {} FROM {} AS {alias}{filter})", aggregate.replace("id", &format!("{alias}.id")), t.name)
    }

    fn aggregate(&mut self, scope: &[Visible]) -> (String, Kind, bool) {
        let distinct = if self.r.one_in(5) { "DISTINCT " } else { "" };
        match self.r.below(9) {
            0 => ("COUNT(*)".into(), Kind::Number, false),
            1 => {
                let c = self.r.pick(scope).clone();
                (format!("COUNT({distinct}{})", c.text), Kind::Number, false)
            }
            2 | 3 => (format!("SUM({distinct}{})", self.expr(Kind::Number, 1, scope)), Kind::Number, false),
            4 => {
                // A quotient keeps more decimals inside an expression than it shows.
                let (n, m) = (self.expr(Kind::Number, 1, scope), self.r.pick(&["3", "7", "1.5"]));
                let text = match self.r.below(5) {
                    0 => format!("(AVG({n}) * {m})"),
                    1 => format!("SUM({n} / {m})"),
                    2 => format!("(SUM({n}) / {m} * {m})"),
                    3 => format!("MAX(({n}) / {m} * {m})"),
                    _ => format!("AVG({n})"),
                };
                (text, Kind::Number, false)
            }
            5 => (format!("SUM({})", self.expr(Kind::Double, 1, scope)), Kind::Double, false),
            6 | 7 => {
                let c = self.r.pick(scope).clone();
                let many = c.kind == Kind::Text || c.stands_for_many;
                // MySQL takes ENUMs by their text here, MariaDB by their numbers.
                self.mysql_only |= c.text.ends_with(".e") || c.stands_for_many;
                (format!("{}({})", self.r.pick(&["MIN", "MAX"]), c.text), c.kind, many)
            }
            _ => {
                let id = scope.iter().find(|v| v.kind == Kind::Number && !v.stands_for_many).map_or("1".to_string(), |v| v.text.clone());
                (format!("GROUP_CONCAT({id} ORDER BY {id} SEPARATOR ';')"), Kind::Exact, false)
            }
        }
    }

    fn grouped(&mut self, depth: usize) -> Block {
        let (from, scope) = self.from(depth);
        let mut items = Vec::new();
        let mut columns = Vec::new();
        let mut groups = Vec::new();
        for i in 0..self.r.below(3) {
            let kind = self.any_kind(&scope);
            let (text, many) = match self.of_kind(kind, &scope, false) {
                Some(c) if c.stands_for_many || !self.r.one_in(3) => (c.text, c.stands_for_many),
                _ => (self.expr(kind, 1, &scope), false),
            };
            // A constant in GROUP BY would be a position.
            if !text.contains('.') || text.parse::<f64>().is_ok() || groups.contains(&text) {
                continue;
            }
            items.push(format!("{text} AS g{i}"));
            columns.push(out(format!("g{i}"), kind, many || kind == Kind::Text));
            groups.push(text);
        }
        for i in 0..1 + self.r.below(3) {
            let (text, kind, many) = self.aggregate(&scope);
            items.push(format!("{text} AS a{i}"));
            columns.push(out(format!("a{i}"), kind, many));
        }
        let filter = self.filter(depth, &scope);
        let mut sql = format!("SELECT {} FROM {from}{filter}", items.join(", "));
        if !groups.is_empty() {
            let _ = write!(sql, " GROUP BY {}", groups.join(", "));
            if depth == 2 && self.r.one_in(6) {
                sql.push_str(" WITH ROLLUP");
                // MariaDB has no HAVING and ORDER BY rules of MySQL's beside ROLLUP.
                self.mysql_only = true;
            } else if self.r.one_in(4) {
                let _ =
                    write!(sql, " HAVING {} {} {}", self.r.pick(&["COUNT(*)", "MIN(1)", "SUM(2)"]), self.r.pick(&[">", "<=", "<>"]), self.r.below(5));
            }
        }
        Block { sql, columns }
    }

    fn windowed(&mut self) -> Block {
        let (from, scope) = self.from(1);
        let ids: Vec<String> = scope.iter().filter(|v| v.text.ends_with(".id")).map(|v| v.text.clone()).collect();
        if ids.is_empty() {
            return self.select(1);
        }
        let mut items: Vec<String> = ids.iter().enumerate().map(|(i, id)| format!("{id} AS i{i}")).collect();
        let mut columns: Vec<Out> = (0..ids.len()).map(|i| out(format!("i{i}"), Kind::Number, false)).collect();
        for i in 0..1 + self.r.below(2) {
            let partition = if self.r.one_in(2) { format!("PARTITION BY {} ", self.r.pick(&scope).text) } else { String::new() };
            let some = self.r.pick(&scope).text.clone();
            let desc = if self.r.one_in(3) { " DESC" } else { "" };
            let total = format!("ORDER BY {some}{desc}, {}", ids.join(", "));
            let partial = format!("ORDER BY {some}{desc}");
            let n = self.expr(Kind::Number, 0, &scope);
            let frame = match self.r.below(5) {
                0 => " ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING",
                1 => " ROWS UNBOUNDED PRECEDING",
                2 => " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
                3 => " ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING",
                _ => "",
            };
            let (f, over) = match self.r.below(10) {
                0 => ("ROW_NUMBER()".to_string(), total),
                1 => ("RANK()".into(), partial),
                2 => ("DENSE_RANK()".into(), partial),
                3 => (format!("SUM({n})"), format!("{total}{frame}")),
                4 => ("COUNT(*)".into(), partial),
                5 => (format!("LAG({n}, 1)"), total),
                6 => (format!("LEAD({n}, 2)"), total),
                7 => (format!("FIRST_VALUE({n})"), format!("{total}{frame}")),
                8 => ("NTILE(3)".into(), total),
                _ => (format!("SUM({n})"), String::new()),
            };
            items.push(format!("{f} OVER ({partition}{over}) AS w{i}"));
            columns.push(out(format!("w{i}"), Kind::Number, false));
        }
        let filter = self.filter(1, &scope);
        Block { sql: format!("SELECT {} FROM {from}{filter}", items.join(", ")), columns }
    }

    fn set_operation(&mut self) -> Block {
        let first = self.select(1);
        let mut sql = first.sql;
        let mut columns = first.columns;
        for _ in 0..1 + self.r.below(2) {
            let (from, scope) = self.from(0);
            let items: Vec<String> = columns.iter().map(|c| self.expr(c.kind, 1, &scope)).collect();
            let op = *self.r.pick(&["UNION", "UNION ALL", "UNION", "UNION ALL", "INTERSECT", "EXCEPT"]);
            let filter = self.filter(0, &scope);
            let _ = write!(sql, " {op} SELECT {} FROM {from}{filter}", items.join(", "));
            for c in &mut columns {
                c.stands_for_many |= c.kind == Kind::Text;
            }
        }
        Block { sql, columns }
    }

    fn with(&mut self) -> (String, Block) {
        let block = if self.r.one_in(2) { self.grouped(1) } else { self.select(1) };
        let names: Vec<String> = (0..block.columns.len()).map(|i| format!("c{i}")).collect();
        let with = format!("WITH q ({}) AS ({}) ", names.join(", "), block.sql);
        let (a, b) = (self.alias(), self.alias());
        let visible = |alias: &str| -> Vec<Visible> { block.columns.iter().zip(&names).map(|(c, n)| c.under(alias, n)).collect() };
        let (left, right) = (visible(&a), visible(&b));
        let on = self.equality(&left, &right).unwrap_or_else(|| "1 = 1".into());
        let filter = if self.r.one_in(2) { format!(" WHERE {}", self.condition(1, &left)) } else { String::new() };
        let columns = vec![block.columns[0].clone(), block.columns[block.columns.len() - 1].clone()];
        let sql = format!("SELECT {}, {} FROM q AS {a} JOIN q AS {b} ON {on}{filter}", left[0].text, right[right.len() - 1].text);
        (with, Block { sql, columns })
    }

    fn recursive(&mut self) -> (String, Block) {
        let t = self.r.pick(&self.db.tables).name.clone();
        let (first, last) = (self.r.below(4), 5 + self.r.below(15));
        let all = if self.r.one_in(3) { "" } else { " ALL" };
        let with = format!("WITH RECURSIVE n (v) AS (SELECT {first} UNION{all} SELECT v + 1 FROM n WHERE v < {last}) ");
        let join = *self.r.pick(&["JOIN", "LEFT JOIN"]);
        let sql = format!("SELECT n.v, COUNT(x.id) AS c FROM n {join} {t} AS x ON x.id = n.v GROUP BY n.v");
        (with, Block { sql, columns: vec![out("v", Kind::Number, false), out("c", Kind::Number, false)] })
    }
}
