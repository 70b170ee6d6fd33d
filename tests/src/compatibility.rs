//! `docs/compatibility.md`, from the golden scripts: what of MySQL answers as MySQL does, what differs and how, what is refused and with which error.
//!
//! Owns:     the list of features and how to recognise them in a statement, and MySQL's own list of functions.
//! Promises: a feature is "full" only if scripts use it and every block that does answers as MySQL 8.0; nothing is said that no script shows.
//! Never:    runs anything: that the scripts pass is `tests/golden.rs`'s to say, and what is known to fail is in `known_failures.txt`.
//!
//! In a script, a comment `# weald: …` over a block says that the answer is Weald's and differs from MySQL's on purpose, and how.

use crate::golden::{Block, Script};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Errors that mean "MySQL would do it, Weald does not".
const REFUSALS: &[&str] = &["1235", "1706", "1744", "1214"];

/// A group of features; each with words of which a statement has to have one. Words are matched whole, in upper case; `A … B` means A at
/// the start and, later, B; `^A` means A at the start.
type Group = (&'static str, &'static [(&'static str, &'static [&'static str])]);

const FEATURES: &[Group] = &[
    (
        "Queries",
        &[
            ("SELECT with WHERE, ORDER BY, LIMIT", &["SELECT … WHERE", "SELECT … ORDER BY", "SELECT … LIMIT"]),
            ("DISTINCT", &["DISTINCT"]),
            ("INNER and CROSS JOIN", &["INNER JOIN", "CROSS JOIN", "SELECT … JOIN"]),
            ("LEFT and RIGHT JOIN", &["LEFT JOIN", "RIGHT JOIN", "LEFT OUTER JOIN", "RIGHT OUTER JOIN"]),
            ("NATURAL JOIN and USING", &["NATURAL", "JOIN … USING"]),
            ("GROUP BY and aggregates", &["GROUP BY"]),
            ("HAVING", &["HAVING"]),
            ("WITH ROLLUP", &["WITH ROLLUP"]),
            ("subqueries: scalar, IN, EXISTS, ANY, ALL", &["( SELECT", "EXISTS", "ANY (", "ALL ("]),
            ("derived tables", &["FROM ( SELECT", "JOIN ( SELECT", "LATERAL"]),
            ("common table expressions", &["WITH … AS ("]),
            ("recursive common table expressions", &["WITH RECURSIVE"]),
            ("window functions", &["OVER (", "OVER W"]),
            ("UNION", &["UNION"]),
            ("INTERSECT and EXCEPT", &["INTERSECT", "EXCEPT"]),
            ("VALUES and TABLE statements", &["^VALUES ROW", "^TABLE T"]),
            ("FOR UPDATE and FOR SHARE", &["FOR UPDATE", "FOR SHARE", "LOCK IN SHARE MODE"]),
            ("user variables", &["SET @", "SELECT @"]),
            ("EXPLAIN", &["EXPLAIN", "DESCRIBE SELECT", "DESC SELECT"]),
            ("views", &["CREATE VIEW", "CREATE OR REPLACE VIEW", "DROP VIEW", "ALTER VIEW"]),
            ("SELECT … INTO", &["SELECT … INTO @", "INTO OUTFILE", "INTO DUMPFILE"]),
        ],
    ),
    (
        "Changing data",
        &[
            ("INSERT … VALUES", &["INSERT INTO … VALUES", "INSERT … SET"]),
            ("INSERT … SELECT", &["INSERT INTO … SELECT"]),
            ("INSERT IGNORE", &["INSERT IGNORE"]),
            ("ON DUPLICATE KEY UPDATE", &["ON DUPLICATE KEY UPDATE"]),
            ("REPLACE", &["REPLACE INTO"]),
            ("UPDATE", &["UPDATE … SET"]),
            ("UPDATE and DELETE with ORDER BY, LIMIT", &["UPDATE … SET … LIMIT", "DELETE FROM … LIMIT", "UPDATE … ORDER BY"]),
            ("UPDATE of several tables", &["UPDATE … JOIN … SET", "UPDATE A, … SET"]),
            ("DELETE", &["DELETE FROM"]),
            ("DELETE from several tables", &["DELETE A", "DELETE FROM … USING"]),
            ("LOAD DATA", &["LOAD DATA"]),
            ("AUTO_INCREMENT", &["AUTO_INCREMENT"]),
        ],
    ),
    (
        "Transactions",
        &[
            ("BEGIN, COMMIT, ROLLBACK", &["BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK"]),
            ("SAVEPOINT", &["SAVEPOINT"]),
            ("autocommit", &["AUTOCOMMIT"]),
            ("SET TRANSACTION", &["SET TRANSACTION", "SET SESSION TRANSACTION", "TRANSACTION_ISOLATION"]),
            ("READ ONLY transactions", &["READ ONLY"]),
            ("LOCK TABLES", &["LOCK TABLES", "UNLOCK TABLES"]),
            ("XA", &["XA START", "XA BEGIN"]),
        ],
    ),
    (
        "Definitions",
        &[
            ("databases", &["CREATE DATABASE", "DROP DATABASE", "ALTER DATABASE", "CREATE SCHEMA"]),
            ("CREATE TABLE", &["CREATE TABLE"]),
            ("CREATE TABLE … LIKE, … AS SELECT", &["CREATE TABLE … LIKE", "CREATE TABLE … SELECT"]),
            ("CREATE TEMPORARY TABLE", &["CREATE TEMPORARY TABLE"]),
            ("DROP TABLE", &["DROP TABLE"]),
            ("ALTER TABLE: columns", &["ALTER TABLE … ADD COLUMN", "ALTER TABLE … DROP COLUMN", "ALTER TABLE … MODIFY", "ALTER TABLE … CHANGE"]),
            ("ALTER TABLE: indexes", &["ALTER TABLE … ADD INDEX", "ALTER TABLE … ADD KEY", "ALTER TABLE … ADD UNIQUE", "ALTER TABLE … DROP INDEX"]),
            ("ALTER TABLE: the rest", &["ALTER TABLE … RENAME", "ALTER TABLE … ALTER", "ALTER TABLE … COMMENT", "ALTER TABLE … AUTO_INCREMENT"]),
            ("CREATE and DROP INDEX", &["CREATE INDEX", "CREATE UNIQUE INDEX", "DROP INDEX"]),
            ("RENAME TABLE", &["RENAME TABLE"]),
            ("TRUNCATE", &["TRUNCATE"]),
            ("generated columns", &["GENERATED ALWAYS", "STORED", "VIRTUAL"]),
            ("CHECK constraints", &["CHECK ("]),
            ("default expressions", &["DEFAULT ("]),
            ("foreign keys", &["FOREIGN KEY", "REFERENCES"]),
            ("SHARD KEY", &["SHARD KEY"]),
            ("stored programs, triggers, events", &["CREATE PROCEDURE", "CREATE FUNCTION", "CREATE TRIGGER", "CREATE EVENT", "CALL"]),
            ("declarative partitioning", &["PARTITION BY HASH", "PARTITION BY RANGE", "PARTITION BY LIST", "PARTITION BY KEY"]),
        ],
    ),
    (
        "Sessions and accounts",
        &[
            ("prepared statements", &["PREPARE", "EXECUTE", "DEALLOCATE PREPARE"]),
            ("SET of system variables", &["SET SESSION", "SET GLOBAL", "SET SQL_MODE", "SET TIME_ZONE", "SET PERSIST", "SELECT @@"]),
            ("SET NAMES", &["SET NAMES", "SET CHARACTER SET"]),
            ("sql_mode", &["SQL_MODE"]),
            ("users and passwords", &["CREATE USER", "DROP USER", "ALTER USER", "RENAME USER", "SET PASSWORD"]),
            ("GRANT and REVOKE", &["GRANT", "REVOKE"]),
            ("roles", &["CREATE ROLE", "DROP ROLE", "SET ROLE"]),
            ("KILL", &["KILL"]),
            ("SHOW", &["SHOW"]),
            ("information_schema", &["INFORMATION_SCHEMA"]),
            ("SHOW CREATE TABLE", &["SHOW CREATE TABLE"]),
            ("SHOW WARNINGS and ERRORS", &["SHOW WARNINGS", "SHOW ERRORS"]),
            ("FLUSH TABLES WITH READ LOCK", &["FLUSH TABLES WITH READ LOCK"]),
            ("HANDLER, CHECK, REPAIR, CHECKSUM TABLE", &["HANDLER", "CHECK TABLE", "REPAIR TABLE", "CHECKSUM TABLE"]),
        ],
    ),
    (
        "Types",
        &[
            ("integers, signed and unsigned", &["TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT"]),
            ("DECIMAL", &["DECIMAL"]),
            ("FLOAT and DOUBLE", &["FLOAT", "DOUBLE"]),
            ("BIT", &["BIT"]),
            ("CHAR, VARCHAR, TEXT", &["CHAR", "VARCHAR", "TEXT"]),
            ("BINARY, VARBINARY, BLOB", &["BINARY", "VARBINARY", "BLOB"]),
            ("DATE, DATETIME, TIMESTAMP", &["DATE", "DATETIME", "TIMESTAMP"]),
            ("TIME", &["TIME"]),
            ("YEAR", &["YEAR"]),
            ("ENUM and SET", &["ENUM", "SET ("]),
            ("JSON", &["JSON"]),
            ("collations", &["COLLATE"]),
            ("spatial types", &["GEOMETRY", "POINT", "POLYGON"]),
        ],
    ),
];

/// MySQL 8.0's functions and operators that look like functions: the manual's list.
const FUNCTIONS: &str = "\
ABS ACOS ADDDATE ADDTIME AES_DECRYPT AES_ENCRYPT ANY_VALUE ASCII ASIN ATAN ATAN2 AVG BENCHMARK BIN BIN_TO_UUID BIT_AND BIT_COUNT BIT_LENGTH BIT_OR BIT_XOR CAST CEIL CEILING \
CHAR CHARACTER_LENGTH CHARSET CHAR_LENGTH COALESCE COERCIBILITY COLLATION COMPRESS CONCAT CONCAT_WS CONNECTION_ID CONV CONVERT CONVERT_TZ COS COT COUNT CRC32 CUME_DIST CURDATE \
CURRENT_DATE CURRENT_ROLE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURTIME DATABASE DATE DATEDIFF DATE_ADD DATE_FORMAT DATE_SUB DAY DAYNAME DAYOFMONTH DAYOFWEEK DAYOFYEAR \
DEFAULT DEGREES DENSE_RANK ELT EXP EXPORT_SET EXTRACT EXTRACTVALUE FIELD FIND_IN_SET FIRST_VALUE FLOOR FORMAT FORMAT_BYTES FORMAT_PICO_TIME FOUND_ROWS FROM_BASE64 FROM_DAYS \
FROM_UNIXTIME GET_FORMAT GET_LOCK GREATEST GROUPING GROUP_CONCAT HEX HOUR ICU_VERSION IF IFNULL INET6_ATON INET6_NTOA INET_ATON INET_NTOA INSERT INSTR INTERVAL IS_FREE_LOCK \
IS_IPV4 IS_IPV6 IS_USED_LOCK IS_UUID JSON_ARRAY JSON_ARRAYAGG JSON_ARRAY_APPEND JSON_ARRAY_INSERT JSON_CONTAINS JSON_CONTAINS_PATH JSON_DEPTH JSON_EXTRACT JSON_INSERT JSON_KEYS \
JSON_LENGTH JSON_MERGE JSON_MERGE_PATCH JSON_MERGE_PRESERVE JSON_OBJECT JSON_OBJECTAGG JSON_OVERLAPS JSON_PRETTY JSON_QUOTE JSON_REMOVE JSON_REPLACE JSON_SCHEMA_VALID \
JSON_SCHEMA_VALIDATION_REPORT JSON_SEARCH JSON_SET JSON_STORAGE_FREE JSON_STORAGE_SIZE JSON_TABLE JSON_TYPE JSON_UNQUOTE JSON_VALID JSON_VALUE LAG LAST_DAY LAST_INSERT_ID \
LAST_VALUE LCASE LEAD LEAST LEFT LENGTH LN LOAD_FILE LOCALTIME LOCALTIMESTAMP LOCATE LOG LOG10 LOG2 LOWER LPAD LTRIM MAKEDATE MAKETIME MAKE_SET MAX MD5 MICROSECOND MID MIN MINUTE \
MOD MONTH MONTHNAME NAME_CONST NOW NTH_VALUE NTILE NULLIF OCT OCTET_LENGTH ORD PERCENT_RANK PERIOD_ADD PERIOD_DIFF PI POSITION POW POWER QUARTER QUOTE RADIANS RAND RANDOM_BYTES \
RANK REGEXP_INSTR REGEXP_LIKE REGEXP_REPLACE REGEXP_SUBSTR RELEASE_ALL_LOCKS RELEASE_LOCK REPEAT REPLACE REVERSE RIGHT ROUND ROW_COUNT ROW_NUMBER RPAD RTRIM SCHEMA SECOND \
SEC_TO_TIME SESSION_USER SHA SHA1 SHA2 SIGN SIN SLEEP SOUNDEX SPACE SQRT STATEMENT_DIGEST STATEMENT_DIGEST_TEXT STD STDDEV STDDEV_POP STDDEV_SAMP STRCMP STR_TO_DATE SUBDATE \
SUBSTR SUBSTRING SUBSTRING_INDEX SUBTIME SUM SYSDATE SYSTEM_USER TAN TIME TIMEDIFF TIMESTAMP TIMESTAMPADD TIMESTAMPDIFF TIME_FORMAT TIME_TO_SEC TO_BASE64 TO_DAYS TO_SECONDS TRIM \
TRUNCATE UCASE UNCOMPRESS UNCOMPRESSED_LENGTH UNHEX UNIX_TIMESTAMP UPDATEXML UPPER USER UTC_DATE UTC_TIME UTC_TIMESTAMP UUID UUID_SHORT UUID_TO_BIN VALUES VARIANCE VAR_POP \
VAR_SAMP VERSION WEEK WEEKDAY WEEKOFYEAR WEIGHT_STRING YEAR YEARWEEK";

/// What scripts show of one feature.
#[derive(Default)]
struct Shown {
    blocks: usize,
    scripts: BTreeSet<String>,
    /// Known to answer otherwise, by their first statements.
    failing: Vec<String>,
    /// Answers otherwise on purpose.
    differs: BTreeSet<String>,
    refused: BTreeSet<String>,
}

/// The page. `known` are the lines of `known_failures.txt`.
pub fn page(scripts: &[Script], known: &BTreeSet<String>) -> String {
    let mut features: BTreeMap<(usize, usize), Shown> = BTreeMap::new();
    let mut functions: BTreeMap<&str, Shown> = BTreeMap::new();
    let all_functions: BTreeSet<&str> = FUNCTIONS.split_whitespace().collect();
    for script in scripts {
        for block in script.blocks.iter().filter(|b| !b.statements.is_empty()) {
            let words: Vec<Vec<String>> = block.statements.iter().map(|s| words(&s.sql)).collect();
            for (g, (_, group)) in FEATURES.iter().enumerate() {
                for (f, (_, patterns)) in group.iter().enumerate() {
                    if words.iter().any(|w| patterns.iter().any(|p| has(w, p))) {
                        note(features.entry((g, f)).or_default(), script, block, known);
                    }
                }
            }
            let used: BTreeSet<&str> =
                words.iter().flat_map(|w| w.windows(2).filter(|p| p[1] == "(").filter_map(|p| all_functions.get(&*p[0]).copied())).collect();
            for name in used {
                note(functions.entry(name).or_default(), script, block, known);
            }
        }
    }
    let mut out = String::from(
        "# Compatibility with MySQL 8.0\n\n\
         Written by `cargo xtask compatibility` from the scripts in `tests/sql`; a test checks that it is up to date. Each script is a transcript of statements and MySQL's answers, \
         checked against the server at every test run. *Full*: every block that uses it answers as MySQL 8.0 does, rows, errors, warnings and counts included. *Differs*: how. \
         *Refused*: with which error. *No script yet*: nothing is claimed.\n",
    );
    for (g, (name, group)) in FEATURES.iter().enumerate() {
        write(&mut out, &format!("\n## {name}\n\n| | | shown by |\n|---|---|---|\n"));
        for (f, (feature, _)) in group.iter().enumerate() {
            let (status, by) = features.get(&(g, f)).map_or_else(|| ("no script yet".into(), String::new()), state);
            write(&mut out, &format!("| {feature} | {status} | {by} |\n"));
        }
    }
    let (mut full, mut rest, mut none) = (Vec::new(), Vec::new(), Vec::new());
    for name in &all_functions {
        match functions.get(name).map(state) {
            None => none.push(*name),
            Some((status, _)) if status == "full" => full.push(*name),
            Some((status, by)) => rest.push((*name, status, by)),
        }
    }
    write(&mut out, &format!("\n## Functions\n\nFull ({}): {}.\n\n", full.len(), full.join(", ")));
    if !rest.is_empty() {
        out.push_str("| | | shown by |\n|---|---|---|\n");
        for (name, status, by) in &rest {
            write(&mut out, &format!("| {name} | {status} | {by} |\n"));
        }
        out.push('\n');
    }
    write(&mut out, &format!("No script yet ({}): {}.\n", none.len(), none.join(", ")));
    out
}

fn write(out: &mut String, text: &str) {
    out.write_str(text).expect("a string grows");
}

fn note(shown: &mut Shown, script: &Script, block: &Block, known: &BTreeSet<String>) {
    shown.blocks += 1;
    shown.scripts.insert(script.name.clone());
    let first = block.statements.first().map(|s| s.source.replace('\n', " ")).unwrap_or_default();
    if known.contains(&format!("{}: {first}", script.name)) {
        shown.failing.push(first);
        return;
    }
    for comment in block.comments.iter().filter_map(|c| c.strip_prefix("# weald: ")) {
        shown.differs.insert(comment.trim_end_matches('.').to_string());
    }
    for line in &block.expected {
        if let Some(number) = line.strip_prefix("error ").and_then(|l| l.split(' ').next())
            && REFUSALS.contains(&number)
        {
            shown.refused.insert(number.to_string());
        }
    }
}

fn state(s: &Shown) -> (String, String) {
    let by = format!("{} ({})", s.scripts.iter().cloned().collect::<Vec<_>>().join(", "), s.blocks);
    let mut said = Vec::new();
    if !s.refused.is_empty() {
        let errors: Vec<_> = s.refused.iter().cloned().collect();
        let how: Vec<_> = s.differs.iter().cloned().collect();
        said.push(format!("refused, error {}{}", errors.join(", "), if how.is_empty() { String::new() } else { format!(": {}", how.join("; ")) }));
    } else if !s.differs.is_empty() {
        said.push(format!("differs: {}", s.differs.iter().cloned().collect::<Vec<_>>().join("; ")));
    }
    if !s.failing.is_empty() {
        let shown: Vec<String> =
            s.failing.iter().take(2).map(|f| format!("`{}`", f.replace('|', "\\|").chars().take(80).collect::<String>())).collect();
        let more = if s.failing.len() > 2 { format!(" and {} more", s.failing.len() - 2) } else { String::new() };
        said.push(format!("differs in {} of {} blocks, known faults: {}{more}", s.failing.len(), s.blocks, shown.join(", ")));
    }
    (if said.is_empty() { "full".into() } else { said.join("; ") }, by)
}

/// The statement's words in upper case, punctuation that matters apart; strings, quoted names and comments out.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        let end = |word: &mut String, words: &mut Vec<String>| {
            if !word.is_empty() {
                words.push(std::mem::take(word));
            }
        };
        match c {
            '\'' | '"' | '`' => {
                end(&mut word, &mut words);
                while let Some(inner) = chars.next() {
                    if inner == '\\' && c != '`' {
                        chars.next();
                    } else if inner == c {
                        break;
                    }
                }
            }
            '-' if chars.peek() == Some(&'-') => {
                end(&mut word, &mut words);
                chars.by_ref().find(|c| *c == '\n');
            }
            c if c.is_alphanumeric() || c == '_' || c == '@' => {
                // `@` leads a variable, whatever its name.
                word.extend(c.to_uppercase());
                if c == '@' && chars.peek() != Some(&'@') {
                    end(&mut word, &mut words);
                }
            }
            '(' | ')' | ',' => {
                end(&mut word, &mut words);
                words.push(c.to_string());
            }
            _ => end(&mut word, &mut words),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn has(words: &[String], pattern: &str) -> bool {
    let (anchored, pattern) = match pattern.strip_prefix('^') {
        Some(pattern) => (true, pattern),
        None => (pattern.contains(" … "), pattern),
    };
    let mut rest = words;
    for (n, part) in pattern.split(" … ").enumerate() {
        let wanted: Vec<String> = part.split_whitespace().map(|w| w.trim_end_matches(',').to_string()).collect();
        let found = rest.windows(wanted.len()).position(|w| w == wanted);
        match found {
            Some(at) if n > 0 || !anchored || at == 0 => rest = &rest[at + wanted.len()..],
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_recognised_by_their_words() {
        let has = |sql: &str, pattern: &str| has(&words(sql), pattern);
        assert!(has("select a from t where b = 'x'", "SELECT … WHERE"));
        assert!(!has("select 'where' from t", "SELECT … WHERE"));
        assert!(has("INSERT INTO t (a) SELECT 1", "INSERT INTO … SELECT"));
        assert!(!has("CREATE TABLE t AS SELECT 1", "INSERT INTO … SELECT"));
        assert!(has("set @x = 1", "SET @"));
        assert!(has("select @@version", "SELECT @@"));
        assert!(has("select a, (select 1)", "( SELECT"));
        assert!(!has("select count(*) from t -- for update", "FOR UPDATE"));
    }
}
