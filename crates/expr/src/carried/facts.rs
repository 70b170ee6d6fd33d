//! What a statement may know of its session, on a node that does not have the session.
//!
//! Owns:     nothing.
//! Promises: an expression that may be evaluated elsewhere ([`super::reach`]) finds there all that it would find here: the same NOW(), sql_mode, time zone, variables.
//! Never:    carries what a node has of its own: clock, ways to wait, locks, memory. That is [`Here`].

use crate::context::{Cost, SessionFacts, StatementContext, TimeZone, UserVariables, Warnings};
use crate::function::EncryptionMode;
use crate::interrupt::Interrupt;
use crate::server::ServerState;
use parking_lot::Mutex;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use weald_types::memory::{Budget, NodeMemory};
use weald_types::{Collation, Decimal, Fault, SqlMode, SqlType, Value};

/// Of a session, the same for its statements until it changes one of them: compare, and send it when it is another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CarriedFacts {
    sql_mode: SqlMode,
    time_zone: TimeZone,
    connection_id: u64,
    database: Option<Arc<str>>,
    user: Arc<str>,
    current_user: Arc<str>,
    version: Arc<str>,
    collation_connection: Collation,
    #[serde(deserialize_with = "at_most::<{ Decimal::MAX_SCALE }, _>")]
    div_precision_increment: u8,
    group_concat_max_len: u64,
    #[serde(deserialize_with = "at_most::<7, _>")]
    default_week_format: u8,
    max_allowed_packet: u64,
    encryption_mode: EncryptionMode,
}

fn at_most<'de, const MOST: u8, D: Deserializer<'de>>(d: D) -> Result<u8, D::Error> {
    let n = u8::deserialize(d)?;
    if n <= MOST { Ok(n) } else { Err(D::Error::custom("a variable beyond its bounds")) }
}

/// What the node that evaluates supplies.
#[derive(Clone)]
pub struct Here {
    pub wall_clock_micros: fn() -> i64,
    pub pause: fn(Duration, &Interrupt),
    pub aside: fn(&mut dyn FnMut()),
    pub server: Arc<ServerState>,
    /// Raised when whoever sent the statement wants it to end.
    pub interrupted: Arc<Interrupt>,
    /// What user variables take is counted there.
    pub memory: Arc<NodeMemory>,
}

impl CarriedFacts {
    pub fn of(s: &SessionFacts) -> Self {
        Self {
            sql_mode: s.sql_mode,
            time_zone: s.time_zone,
            connection_id: s.connection_id,
            database: s.database.clone(),
            user: s.user.clone(),
            current_user: s.current_user.clone(),
            version: s.version.clone(),
            collation_connection: s.collation_connection,
            div_precision_increment: s.div_precision_increment,
            group_concat_max_len: s.group_concat_max_len,
            default_week_format: s.default_week_format,
            max_allowed_packet: s.max_allowed_packet,
            encryption_mode: s.encryption_mode,
        }
    }

    /// The session as this node sees it: to be kept for its further statements. It has no user variables; a statement brings those that it reads.
    pub fn session(&self, here: &Here) -> SessionFacts {
        SessionFacts {
            sql_mode: self.sql_mode,
            time_zone: self.time_zone,
            wall_clock_micros: here.wall_clock_micros,
            pause: here.pause,
            aside: here.aside,
            connection_id: self.connection_id,
            database: self.database.clone(),
            user: self.user.clone(),
            current_user: self.current_user.clone(),
            version: self.version.clone(),
            collation_connection: self.collation_connection,
            div_precision_increment: self.div_precision_increment,
            group_concat_max_len: self.group_concat_max_len,
            default_week_format: self.default_week_format,
            max_allowed_packet: self.max_allowed_packet,
            encryption_mode: self.encryption_mode,
            user_variables: Arc::new(UserVariables::new(Budget::new(here.memory.clone(), u64::MAX))),
            server: here.server.clone(),
            interrupted: here.interrupted.clone(),
        }
    }
}

/// What changes from statement to statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedStatement {
    now_micros: i64,
    last_insert_id: u64,
    row_count: i64,
    found_rows: u64,
    modifies_data: bool,
    ignore_errors: bool,
    single_row: bool,
    random_seed: u64,
    /// How many more warnings there is room for.
    warnings: u32,
    without_notes: bool,
    /// Those that its expressions read or assign.
    variables: Vec<CarriedVariable>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CarriedVariable {
    name: Arc<str>,
    /// `None`: it has never been set.
    set: Option<(Value, SqlType)>,
}

impl CarriedStatement {
    /// `variables`: the names that its expressions read or assign ([`super::variables`]).
    pub fn of(s: &StatementContext, variables: &[Arc<str>]) -> Self {
        let (warnings, without_notes) = {
            let w = s.warnings.lock();
            (w.limit.saturating_sub(w.kept.len()), w.without_notes)
        };
        Self {
            now_micros: s.now_micros,
            last_insert_id: s.last_insert_id,
            row_count: s.row_count,
            found_rows: s.found_rows,
            modifies_data: s.modifies_data,
            ignore_errors: s.ignore_errors,
            single_row: s.single_row,
            random_seed: s.random_seed,
            warnings: u32::try_from(warnings).unwrap_or(u32::MAX),
            without_notes,
            variables: variables.iter().map(|name| CarriedVariable { name: name.clone(), set: s.user_variables.get(name) }).collect(),
        }
    }

    /// The statement on this node; `session` is what [`CarriedFacts::session`] made. [`Fault::OutOfMemory`]: there is no room for its variables.
    pub fn context(self, session: &Arc<SessionFacts>, memory: Budget) -> Result<StatementContext, Fault> {
        let mut session = session.clone();
        // Its variables are its own: others of the session may run beside it, or come after.
        if !self.variables.is_empty() {
            let own = session.user_variables.beside();
            for v in self.variables {
                if let Some((value, ty)) = v.set {
                    own.bring(v.name, value, ty)?;
                }
            }
            session = Arc::new(SessionFacts { user_variables: Arc::new(own), ..SessionFacts::clone(&session) });
        }
        Ok(StatementContext {
            session,
            now_micros: self.now_micros,
            last_insert_id: self.last_insert_id,
            row_count: self.row_count,
            found_rows: self.found_rows,
            modifies_data: self.modifies_data,
            ignore_errors: self.ignore_errors,
            single_row: self.single_row,
            warnings: Mutex::new(Warnings { kept: Vec::new(), total: 0, limit: self.warnings as usize, without_notes: self.without_notes }),
            warned_constants: Mutex::default(),
            set_last_insert_id: Mutex::new(None),
            random_seed: self.random_seed,
            random_state: Mutex::default(),
            memory,
            cost: Cost::default(),
            // It reads a table, or it would not have come here.
            reads_nothing: AtomicBool::new(false),
        })
    }
}

/// A fixed offset as its seconds, a named zone as its name.
#[derive(Serialize, Deserialize)]
enum CarriedZone<'a> {
    Fixed(i32),
    #[serde(borrow)]
    Named(Cow<'a, str>),
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            TimeZone::Fixed(seconds) => CarriedZone::Fixed(*seconds),
            TimeZone::Named(zone) => CarriedZone::Named(Cow::Borrowed(zone.name())),
        }
        .serialize(s)
    }
}
impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match CarriedZone::deserialize(d)? {
            // A day and more is no offset: chrono's arithmetic relies on it.
            CarriedZone::Fixed(seconds) if seconds.unsigned_abs() < 86_400 => Some(TimeZone::Fixed(seconds)),
            CarriedZone::Fixed(_) => None,
            CarriedZone::Named(name) => name.parse().ok().map(TimeZone::Named),
        }
        .ok_or_else(|| D::Error::custom("no time zone"))
    }
}

#[cfg(test)]
mod tests;
