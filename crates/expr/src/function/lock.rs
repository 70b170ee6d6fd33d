//! GET_LOCK, RELEASE_LOCK, RELEASE_ALL_LOCKS, IS_FREE_LOCK and IS_USED_LOCK.
//!
//! Owns:     nothing; the locks are the server's.
//! Promises: a wait ends with the lock, its time, KILL, or 3058 where it could never end. 1206: there are as many locks as there may be.
//! Never:    releases a session's locks at its end: the session does.

use super::argument::count;
use super::result_type::{nullable_int, nullable_unsigned, truth};
use super::{Call, FunctionDef};
use crate::named_locks::{Attempt, NamedLocks, Released};
use crate::{EvalContext, coerce};
use std::time::Duration;
use weald_types::{Fault, Value};

pub const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("GET_LOCK", 2, 2, nullable_int, get_lock).volatile(),
    FunctionDef::new("IS_FREE_LOCK", 1, 1, nullable_int, |call, v, ctx| {
        Ok(Value::Int(ctx.statement.server.locks.holder(&name(call, v)?).is_none() as i64))
    })
    .volatile(),
    FunctionDef::new("IS_USED_LOCK", 1, 1, nullable_unsigned, |call, v, ctx| {
        Ok(ctx.statement.server.locks.holder(&name(call, v)?).map_or(Value::Null, Value::UInt))
    })
    .volatile(),
    FunctionDef::new("RELEASE_ALL_LOCKS", 0, 0, truth, |_, _, ctx| {
        Ok(Value::Int(ctx.statement.server.locks.release_all(ctx.statement.connection_id) as i64))
    })
    .volatile(),
    FunctionDef::new("RELEASE_LOCK", 1, 1, nullable_int, |call, v, ctx| {
        Ok(match ctx.statement.server.locks.release(ctx.statement.connection_id, &name(call, v)?) {
            Released::Yes => Value::TRUE,
            Released::NotTheHolder => Value::FALSE,
            Released::NoSuchLock => Value::Null,
        })
    })
    .volatile(),
];

/// Characters of the longest name.
const LONGEST_NAME: usize = 64;

fn name(call: &Call<'_>, v: &[Value]) -> Result<String, Fault> {
    let wrong = |shown: &str| Fault::mysql(3057, "42000", format!("Incorrect user-level lock name '{shown}'."));
    match call.text(v, 0) {
        None => Err(wrong("NULL")),
        Some(text) if text.is_empty() || text.chars().count() > LONGEST_NAME => Err(wrong(&text)),
        Some(text) => Ok(text.into_owned()),
    }
}

/// How long a lock that has come free may go unnoticed.
const STEP: Duration = Duration::from_millis(5);

/// Takes the session out of the queue, however the wait ends.
struct Wait<'a> {
    locks: &'a NamedLocks,
    session: u64,
}
impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.locks.give_up(self.session);
    }
}

/// GET_LOCK(name, seconds): below 0 for ever.
fn get_lock(call: &Call<'_>, v: &[Value], ctx: &EvalContext<'_>) -> Result<Value, Fault> {
    let name = name(call, v)?;
    let seconds = match &v[1] {
        Value::Double(_) | Value::Decimal(_) => coerce::double(&v[1], ctx).map(f64::round),
        other => count(other, ctx).map(|n| n as f64),
    };
    let mut left = match seconds.unwrap_or(0.0) {
        s if s < 0.0 => Duration::MAX,
        s => Duration::from_secs_f64(s.min(31_536_000.0)),
    };
    let session = ctx.statement.connection_id;
    let locks = &ctx.statement.server.locks;
    let _wait = Wait { locks, session };
    let mut place = None;
    loop {
        match locks.try_take(session, &name) {
            Attempt::Taken => return Ok(Value::TRUE),
            Attempt::Deadlock => {
                let text = "Deadlock found when trying to get user-level lock; try rolling back transaction/releasing locks and restarting lock acquisition.";
                return Err(Fault::mysql(3058, "HY000", text));
            }
            Attempt::Full => return Err(Fault::mysql(1206, "HY000", "The total number of locks exceeds the lock table size")),
            Attempt::Wait if left.is_zero() => return Ok(Value::FALSE),
            Attempt::Wait => {
                ctx.statement.check_interrupted()?;
                if place.is_none() {
                    place = Some(ctx.statement.server.aside.take().ok_or_else(super::session::too_many_wait)?);
                }
                let step = left.min(STEP);
                (ctx.statement.pause)(step, &ctx.statement.interrupted);
                left -= step;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::StatementContext;
    use crate::testing::{call_in, in_session, shown};
    use std::sync::Arc;
    use weald_types::{Fault, Value};

    #[test]
    fn sessions_exclude_each_other() {
        let a = in_session(|s| s.connection_id = 1);
        let beside_a = |id, interrupted: u8| {
            in_session(|s| {
                s.connection_id = id;
                s.server = a.server.clone();
                s.interrupted = Arc::default();
                if interrupted != 0 {
                    s.interrupted.raise(crate::interrupt::Reason::Killed);
                }
            })
        };
        let b = beside_a(2, 0);
        let l = || Value::str("l");
        let now = |s: &StatementContext| shown(call_in(s, "GET_LOCK", &[l(), Value::Int(0)]));
        assert_eq!(now(&a), "1");
        assert_eq!(now(&a), "1");
        assert_eq!(now(&b), "0");
        assert_eq!(shown(call_in(&b, "IS_FREE_LOCK", &[l()])), "0");
        assert_eq!(shown(call_in(&b, "IS_USED_LOCK", &[l()])), "1");
        assert_eq!(shown(call_in(&b, "RELEASE_LOCK", &[l()])), "0");
        assert_eq!(shown(call_in(&a, "RELEASE_ALL_LOCKS", &[])), "2");
        assert_eq!(shown(call_in(&a, "RELEASE_LOCK", &[l()])), "NULL");
        assert_eq!(now(&b), "1");
        assert_eq!(shown(call_in(&a, "GET_LOCK", &[l(), Value::Double(0.4)])), "0");
        assert_eq!(shown(call_in(&a, "GET_LOCK", &[Value::str(""), Value::Int(0)])), "error 3057");
        assert_eq!(shown(call_in(&a, "GET_LOCK", &[Value::str("x".repeat(65)), Value::Int(0)])), "error 3057");
        // KILL ends the wait.
        let killed = beside_a(3, 1);
        assert_eq!(call_in(&killed, "GET_LOCK", &[l(), Value::Int(-1)]), Err(Fault::Interrupted));
    }
}
