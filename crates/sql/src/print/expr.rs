//! Expressions.
//!
//! Owns:     nothing.
//! Promises: as [`super`].
//! Never:    leaves out parentheses that a reader with another `sql_mode` would need.

use super::{Home, Printer};
use crate::ast::{
    AggregateCall, BinaryOp, CastType, Expr, Frame, FrameBound, IntervalUnit, JsonOn, Literal, UnaryOp, VarScope, WindowRef, WindowSpec,
};

impl Printer {
    pub(super) fn exprs(&mut self, list: &[Expr]) {
        self.list(list, Self::expr)
    }

    pub(super) fn expr(&mut self, e: &Expr) {
        match e {
            Expr::Literal(l) => self.literal(l),
            Expr::Param(_) => self.push("?"),
            Expr::Column { database, table, name, .. } => {
                let database = database.as_ref().filter(|d| !matches!(&self.home, Home::LeftOut(home) if home == *d));
                for part in [database, table.as_ref()].into_iter().flatten() {
                    self.name(part);
                    self.push(".");
                }
                self.name(name);
            }
            Expr::UserVariable(name) => {
                self.push("@");
                self.name(name);
            }
            Expr::SystemVariable { scope, name } => self.system_variable(*scope, name),
            Expr::Assign { variable, value } => {
                self.push("(@");
                self.name(variable);
                self.push(":=");
                self.expr(value);
                self.push(")");
            }
            Expr::Unary { op, expr } => self.unary(*op, expr),
            Expr::Binary { op: op @ (BinaryOp::And | BinaryOp::Ampersands | BinaryOp::Or | BinaryOp::Pipes), .. } => {
                self.push("(");
                self.chain(*op, e, true);
                self.push(")");
            }
            Expr::Binary { op, left, right } => self.infix(left, operator(*op), right),
            Expr::IsNull { expr, negated } => self.postfix(expr, if *negated { "is not null" } else { "is null" }),
            Expr::IsTruth { expr, value, negated } => {
                let what = match value {
                    Some(true) => "true",
                    Some(false) => "false",
                    None => "unknown",
                };
                self.postfix(expr, &format!("is {}{what}", if *negated { "not " } else { "" }));
            }
            Expr::Between { expr, low, high, negated } => {
                self.push("(");
                self.expr(expr);
                self.push(if *negated { " not between " } else { " between " });
                self.expr(low);
                self.push(" and ");
                self.expr(high);
                self.push(")");
            }
            Expr::InList { expr, list, negated } => {
                self.push("(");
                self.expr(expr);
                self.push(if *negated { " not in (" } else { " in (" });
                self.exprs(list);
                self.push("))");
            }
            Expr::InSubquery { expr, query, negated } => {
                self.push("(");
                self.expr(expr);
                self.push(if *negated { " not in (" } else { " in (" });
                self.query(query);
                self.push("))");
            }
            Expr::Exists { query, negated } => {
                self.push(if *negated { "(not exists(" } else { "exists(" });
                self.query(query);
                self.push(if *negated { "))" } else { ")" });
            }
            Expr::Subquery(query) => {
                self.push("(");
                self.query(query);
                self.push(")");
            }
            Expr::Quantified { op, all, left, query } => {
                self.push("(");
                self.expr(left);
                self.push(&format!(" {} {} (", operator(*op), if *all { "all" } else { "any" }));
                self.query(query);
                self.push("))");
            }
            Expr::Like { expr, pattern, escape, negated } => {
                self.push(if *negated { "(not((" } else { "(" });
                self.expr(expr);
                self.push(" like ");
                self.expr(pattern);
                if let Some(escape) = escape {
                    self.push(" escape ");
                    self.expr(escape);
                }
                self.push(if *negated { ")))" } else { ")" });
            }
            Expr::Regexp { expr, pattern, negated } => {
                self.push(if *negated { "(not(regexp_like(" } else { "regexp_like(" });
                self.expr(expr);
                self.push(",");
                self.expr(pattern);
                self.push(if *negated { ")))" } else { ")" });
            }
            Expr::Case { operand, branches, otherwise } => self.case(operand.as_deref(), branches, otherwise.as_deref()),
            Expr::Function { name, args, .. } => self.function(name, args),
            Expr::Aggregate(call) => self.aggregate(call),
            Expr::Cast { expr, data_type } => {
                self.push("cast(");
                self.expr(expr);
                self.push(" as ");
                self.cast_type(data_type);
                self.push(")");
            }
            Expr::ConvertUsing { expr, charset } => {
                self.push("convert(");
                self.expr(expr);
                self.push(" using ");
                self.charset(charset);
                self.push(")");
            }
            Expr::Collate { expr, collation } => {
                self.push("(");
                self.expr(expr);
                self.push(" collate ");
                self.charset(collation);
                self.push(")");
            }
            Expr::Binary_(expr) => {
                self.push("cast(");
                self.expr(expr);
                self.push(" as char charset binary)");
            }
            Expr::DateArith { expr, amount, unit, subtract } => {
                self.push("(");
                self.expr(expr);
                self.push(if *subtract { " - interval " } else { " + interval " });
                self.expr(amount);
                self.push(&format!(" {})", unit_name(*unit)));
            }
            Expr::TimestampFunction { name, unit, args } => {
                self.push(&format!("{}({},", name.to_ascii_lowercase(), unit_name(*unit).to_ascii_uppercase()));
                self.exprs(args);
                self.push(")");
            }
            Expr::Extract { unit, expr } => {
                self.push(&format!("extract({} from ", unit_name(*unit)));
                self.expr(expr);
                self.push(")");
            }
            Expr::Row(list) => {
                self.push("(");
                self.exprs(list);
                self.push(")");
            }
            Expr::InsertValues(column) => {
                self.push("values(");
                self.name(column);
                self.push(")");
            }
            Expr::Default(column) => {
                self.push("default");
                if let Some(column) = column {
                    self.push("(");
                    self.name(column);
                    self.push(")");
                }
            }
            Expr::Match { columns, against, mode } => {
                self.push("(match ");
                self.exprs(columns);
                self.push(" against (");
                self.expr(against);
                if !mode.is_empty() {
                    let mode = mode.to_ascii_lowercase();
                    self.push(if mode.starts_with("with") { " " } else { " in " });
                    self.push(&mode);
                }
                self.push("))");
            }
            Expr::JsonExtract { column, path, unquote } => {
                self.push(if *unquote { "json_unquote(json_extract(" } else { "json_extract(" });
                self.expr(column);
                self.push(",");
                self.literal(&Literal::String { value: path.clone(), charset: None });
                self.push(if *unquote { "))" } else { ")" });
            }
            Expr::MemberOf { value, array } => {
                self.push("(");
                self.expr(value);
                self.push(" member of (");
                self.expr(array);
                self.push("))");
            }
            Expr::JsonValue { doc, path, returning, on_empty, on_error } => {
                self.push("json_value(");
                self.expr(doc);
                self.push(", ");
                self.quoted(path);
                if let Some(t) = returning {
                    self.push(" returning ");
                    self.cast_type(t);
                }
                self.json_on(on_empty.as_ref(), "empty");
                self.json_on(on_error.as_ref(), "error");
                self.push(")");
            }
        }
    }

    pub(super) fn json_on(&mut self, action: Option<&JsonOn>, when: &str) {
        match action {
            None => return,
            Some(JsonOn::Null) => self.push(" null"),
            Some(JsonOn::Error) => self.push(" error"),
            Some(JsonOn::Default(value)) => {
                self.push(" default ");
                self.expr(value);
            }
        }
        self.push(&format!(" on {when}"));
    }

    fn system_variable(&mut self, scope: Option<VarScope>, name: &str) {
        self.push("@@");
        self.push(match scope {
            Some(VarScope::Global) => "global.",
            Some(VarScope::Persist) => "persist.",
            Some(VarScope::PersistOnly) => "persist_only.",
            Some(VarScope::Session | VarScope::Next) => "session.",
            None => "",
        });
        for (i, part) in name.splitn(2, '.').enumerate() {
            if i > 0 {
                self.push(".");
            }
            self.charset(part);
        }
    }

    fn unary(&mut self, op: UnaryOp, expr: &Expr) {
        let mut expr = expr;
        // A plus says nothing and is not printed: what is under it stands there.
        while let Expr::Unary { op: UnaryOp::Plus, expr: inner } = expr {
            expr = inner;
        }
        match (op, expr) {
            (UnaryOp::Minus, Expr::Literal(Literal::Integer(_) | Literal::Decimal(_) | Literal::Double(_))) => {
                self.push("-");
                self.expr(expr);
            }
            (UnaryOp::Plus, _) => self.expr(expr),
            (UnaryOp::Not | UnaryOp::Bang, _) => {
                self.push("(not(");
                self.expr(expr);
                self.push("))");
            }
            _ => {
                self.push(if op == UnaryOp::Minus { "-(" } else { "~(" });
                self.expr(expr);
                self.push(")");
            }
        }
    }

    /// `a and b and c`, however the tree leans.
    fn chain(&mut self, op: BinaryOp, e: &Expr, first: bool) {
        match e {
            Expr::Binary { op: inner, left, right } if *inner == op => {
                self.chain(op, left, first);
                self.chain(op, right, false);
            }
            e => {
                if !first {
                    self.push(&format!(" {} ", operator(op)));
                }
                self.expr(e);
            }
        }
    }

    fn infix(&mut self, left: &Expr, op: &str, right: &Expr) {
        self.push("(");
        self.expr(left);
        self.push(&format!(" {op} "));
        self.expr(right);
        self.push(")");
    }

    fn postfix(&mut self, expr: &Expr, what: &str) {
        self.push("(");
        self.expr(expr);
        self.push(&format!(" {what})"));
    }

    fn case(&mut self, operand: Option<&Expr>, branches: &[(Expr, Expr)], otherwise: Option<&Expr>) {
        self.push("(case");
        if let Some(operand) = operand {
            self.push(" ");
            self.expr(operand);
        }
        for (when, then) in branches {
            self.push(" when ");
            self.expr(when);
            self.push(" then ");
            self.expr(then);
        }
        if let Some(otherwise) = otherwise {
            self.push(" else ");
            self.expr(otherwise);
        }
        self.push(" end)");
    }

    fn function(&mut self, name: &str, args: &[Expr]) {
        match (name, args) {
            ("TRIM_BOTH" | "TRIM_LEADING" | "TRIM_TRAILING", [from, rest @ ..]) => {
                self.push(&format!("trim({}", name[5..].to_ascii_lowercase()));
                if let [what] = rest {
                    self.push(" ");
                    self.expr(what);
                }
                self.push(" from ");
                self.expr(from);
                self.push(")");
            }
            ("WEIGHT_STRING", [of, Expr::Literal(Literal::String { value: kind, .. }), length]) => {
                self.push("weight_string(");
                self.expr(of);
                self.push(&format!(" as {}(", kind.to_ascii_lowercase()));
                self.expr(length);
                self.push("))");
            }
            ("GET_FORMAT", [Expr::Literal(Literal::String { value: what, .. }), of]) => {
                self.push(&format!("get_format({what},"));
                self.expr(of);
                self.push(")");
            }
            // MySQL's own name for it.
            ("SUBSTRING", _) => self.call("substr", args),
            _ => {
                let mut parts = name.splitn(2, '.');
                if let (Some(database), Some(function)) = (parts.next(), parts.next()) {
                    self.name(database);
                    self.push(".");
                    self.name(function);
                    self.push("(");
                    self.exprs(args);
                    self.push(")");
                } else {
                    self.call(&name.to_ascii_lowercase(), args);
                }
            }
        }
    }

    fn call(&mut self, name: &str, args: &[Expr]) {
        let plain = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if plain {
            self.push(name);
        } else {
            self.name(name);
        }
        self.push("(");
        self.exprs(args);
        self.push(")");
    }

    fn aggregate(&mut self, call: &AggregateCall) {
        self.push(&call.name.to_ascii_lowercase());
        self.push("(");
        if call.distinct {
            self.push("distinct ");
        }
        if call.star {
            // So MySQL shows COUNT(*).
            self.push("0");
        }
        self.exprs(&call.args);
        if !call.order_by.is_empty() {
            self.push(" order by ");
            self.list(&call.order_by, |p, item| {
                p.expr(&item.expr);
                p.push(if item.descending { " DESC" } else { " ASC" });
            });
        }
        if call.name == "GROUP_CONCAT" {
            self.push(" separator ");
            self.quoted(call.separator.as_deref().unwrap_or(","));
        }
        self.push(")");
        match &call.over {
            Some(WindowRef::Name(name)) => {
                self.push(" OVER ");
                self.name(name);
            }
            Some(WindowRef::Spec(spec)) => {
                self.push(" OVER ");
                self.window_spec(spec);
            }
            None => (),
        }
    }

    pub(super) fn window_spec(&mut self, spec: &WindowSpec) {
        self.push("(");
        if let Some(base) = &spec.base {
            self.name(base);
            self.push(" ");
        }
        if !spec.partition_by.is_empty() {
            self.push("PARTITION BY ");
            self.exprs(&spec.partition_by);
            self.push(" ");
        }
        if !spec.order_by.is_empty() {
            self.push("ORDER BY ");
            self.order_items(&spec.order_by);
            self.push(" ");
        }
        if let Some(frame) = &spec.frame {
            self.frame(frame);
        }
        self.push(")");
    }

    fn frame(&mut self, frame: &Frame) {
        self.push(if frame.rows { "ROWS BETWEEN " } else { "RANGE BETWEEN " });
        self.frame_bound(&frame.start);
        self.push(" AND ");
        self.frame_bound(&frame.end);
    }

    fn frame_bound(&mut self, bound: &FrameBound) {
        match bound {
            FrameBound::UnboundedPreceding => self.push("UNBOUNDED PRECEDING"),
            FrameBound::UnboundedFollowing => self.push("UNBOUNDED FOLLOWING"),
            FrameBound::CurrentRow => self.push("CURRENT ROW"),
            FrameBound::Preceding(amount) => {
                self.frame_amount(amount);
                self.push(" PRECEDING");
            }
            FrameBound::Following(amount) => {
                self.frame_amount(amount);
                self.push(" FOLLOWING");
            }
        }
    }

    fn frame_amount(&mut self, amount: &Expr) {
        match amount {
            Expr::DateArith { amount, unit, .. } => {
                self.push("INTERVAL ");
                self.expr(amount);
                self.push(&format!(" {}", unit_name(*unit)));
            }
            amount => self.expr(amount),
        }
    }

    /// The name of a character set, a collation or a system variable, quoted only where it must be.
    pub(super) fn charset(&mut self, name: &str) {
        if name == "binary"
            || name == "default"
            || (name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && name.starts_with(|c: char| c.is_ascii_alphabetic()))
        {
            if crate::keyword::Kw::of(name.as_bytes()).is_reserved() && name != "binary" && name != "default" {
                return self.name(name);
            }
            self.push(name);
        } else {
            self.name(name);
        }
    }

    pub(super) fn cast_type(&mut self, t: &CastType) {
        let length = |n: &Option<u32>| n.map_or(String::new(), |n| format!("({n})"));
        let text = match t {
            CastType::Signed => "signed".into(),
            CastType::Unsigned => "unsigned".into(),
            CastType::Char { chars, charset } => {
                self.push(&format!("char{}", length(chars)));
                if let Some(charset) = charset {
                    self.push(" charset ");
                    self.charset(charset);
                }
                return;
            }
            CastType::Binary { bytes } => format!("binary{}", length(bytes)),
            CastType::Decimal { precision: None, .. } => "decimal".into(),
            CastType::Decimal { precision: Some(p), scale } => format!("decimal({p},{})", scale.unwrap_or(0)),
            CastType::Float { precision } => format!("float{}", length(&precision.map(u32::from))),
            CastType::Double => "double".into(),
            CastType::Date => "date".into(),
            CastType::Time { fsp: 0 } => "time".into(),
            CastType::Time { fsp } => format!("time({fsp})"),
            CastType::DateTime { fsp: 0 } => "datetime".into(),
            CastType::DateTime { fsp } => format!("datetime({fsp})"),
            CastType::Year => "year".into(),
            CastType::Json => "json".into(),
        };
        self.push(&text);
    }
}

fn operator(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Or | BinaryOp::Pipes => "or",
        BinaryOp::Xor => "xor",
        BinaryOp::And | BinaryOp::Ampersands => "and",
        BinaryOp::Eq => "=",
        BinaryOp::NullSafeEq => "<=>",
        BinaryOp::Ne => "<>",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::BitOr => "|",
        BinaryOp::BitAnd => "&",
        BinaryOp::ShiftLeft => "<<",
        BinaryOp::ShiftRight => ">>",
        BinaryOp::BitXor => "^",
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::IntDivide => "DIV",
        BinaryOp::Mod => "%",
    }
}

pub(super) fn unit_name(unit: IntervalUnit) -> &'static str {
    match unit {
        IntervalUnit::Microsecond => "microsecond",
        IntervalUnit::Second => "second",
        IntervalUnit::Minute => "minute",
        IntervalUnit::Hour => "hour",
        IntervalUnit::Day => "day",
        IntervalUnit::Week => "week",
        IntervalUnit::Month => "month",
        IntervalUnit::Quarter => "quarter",
        IntervalUnit::Year => "year",
        IntervalUnit::SecondMicrosecond => "second_microsecond",
        IntervalUnit::MinuteMicrosecond => "minute_microsecond",
        IntervalUnit::MinuteSecond => "minute_second",
        IntervalUnit::HourMicrosecond => "hour_microsecond",
        IntervalUnit::HourSecond => "hour_second",
        IntervalUnit::HourMinute => "hour_minute",
        IntervalUnit::DayMicrosecond => "day_microsecond",
        IntervalUnit::DaySecond => "day_second",
        IntervalUnit::DayMinute => "day_minute",
        IntervalUnit::DayHour => "day_hour",
        IntervalUnit::YearMonth => "year_month",
    }
}
