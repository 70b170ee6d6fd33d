//! What is fuzzed: one function for each kind of bytes that come from a client, from the disk or from another node.
//!
//! Owns:     nothing.
//! Promises: a body panics where a promise of the code under it is broken: a panic of its own, a wrong answer, a damage that is not seen.
//! Never:    keeps anything between two calls.
//!
//! Two ways run them: `cargo fuzz` (the targets beside this file: coverage-guided, for as long as one likes) and `crates/node/tests/fuzz_bodies.rs` (mutations of
//! the seeds below from a fixed random generator, in every test run).

use bytes::BytesMut;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use weald_catalog::TableDef;
use weald_catalog::table::{ColumnDef, DefaultValue, IndexDef, IndexPart, Sharding, TableOptions};
use weald_env::sim::{SimDisk, Survives};
use weald_env::{Disk, Env, OpenMode};
use weald_expr::carried::{CarriedFacts, CarriedStatement, StatementEffects};
use weald_log::{Error, Log, Options, Progress, Record, Replay, SnapshotStore};
use weald_partition::{Cursor, KeyRange, MemoryLog, NodeContext, NodeMemory, Partition, Unfinished};
use weald_plan::carried::CarriedFragment;
use weald_sql::{Normalised, ParseOptions, normalise, parse, parse_expr, parse_normalised, parse_query, print};
use weald_types::json::{Json, JsonPath};
use weald_types::row::RowLayout;
use weald_types::{
    Collation, DatabaseId, Epoch, Fault, IndexId, Lsn, NodeId, PartitionId, SchemaVersion, SqlMode, SqlType, TableId, TypeKind, Value,
};

pub struct Body {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// What mutations begin from.
    pub seeds: &'static [&'static [u8]],
}

pub const ALL: &[Body] = &[
    Body { name: "login", run: login, seeds: LOGINS },
    Body { name: "command", run: command, seeds: COMMANDS },
    Body { name: "sql_text", run: sql_text, seeds: STATEMENTS },
    Body { name: "sql_normalise", run: sql_normalise, seeds: STATEMENTS },
    Body { name: "log_files", run: log_files, seeds: &[b"\x05\x10\x22\x30\x04\x58\x02\x00\x01", b"\x20\x01\x02\x03\x00\x00\x00\x00\x00"] },
    Body { name: "snapshot_file", run: snapshot_file, seeds: &[b"\x05\x10\x22\x30\x04\x40\x00\x01", b"\x02\xFF\xFF\x01\x50\x00\x80"] },
    Body {
        name: "row",
        run: row,
        seeds: &[
            b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09",
            b"\x09\x00\x04\x07\x00\x00\x00\x02\x00\x02\x00ab",
            b"\xE0\x00\x03\x00\x9F\x00\x00\x01\x00 ",
        ],
    },
    Body { name: "json", run: json, seeds: JSON },
    Body { name: "commit_record", run: commit_record, seeds: RECORDS },
    Body {
        name: "catalogue",
        run: catalogue,
        seeds: &[b"\x01\x02\x01d", b"\x01\x00\x01d\x02\x00\x01\x00", b"\x01\x0b\x01\x01d\x01v", b"\x01\x00\x00\xA2\xA2\xA2\xA2\x07\x00\x00\x00"],
    },
    Body { name: "carried", run: carried, seeds: CARRIED },
];

const LOGINS: &[&[u8]] = &[
    b"\xFF\xFF\xFF\xFF\x85\xA6\xFF\x19\x00\x00\x00\x01\x2D\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00root\x00\x00db\x00mysql_native_password\x00\x07\x03_os\x02xx",
    b"\xFF\xFF\xFF\xFF\x0A8.0.33\x00\x01\x00\x00\x00abcdefgh\x00\xFF\xF7\x2D\x02\x00\xFF\xDF\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00abcdefghijkl\x00caching_sha2_password\x00",
    b"\x00\x02\x00\x00u\x00\x00d\x00\x2D\x00",
];

/// The client's first packet, the server's greeting, COM_CHANGE_USER; and the frames around them, plain and compressed.
pub fn login(data: &[u8]) {
    let Some((offered, packet)) = data.split_first_chunk::<4>() else { return };
    let offered = u32::from_le_bytes(*offered);
    let _ = weald_wire::handshake::hello(packet, offered);
    let _ = weald_wire::handshake::change_user(packet, offered);
    let _ = weald_wire::handshake::read_greeting(packet);
    let mut decoder = weald_wire::frame::Decoder::new(1 << 16);
    let mut input = BytesMut::from(packet);
    while let Ok(Some(p)) = decoder.next(&mut input) {
        assert!(p.len() <= 1 << 16, "a packet over the limit");
    }
    for algorithm in [weald_wire::compress::Algorithm::Zlib, weald_wire::compress::Algorithm::Zstd { level: 3 }] {
        let (mut raw, mut plain) = (BytesMut::from(packet), BytesMut::new());
        let _ = weald_wire::compress::Compressor::new(algorithm).expand(&mut raw, &mut plain);
        assert!(plain.len() <= packet.len() / 7 * (1 << 24) + (1 << 24));
        let (mut packed, mut back) = (Vec::new(), BytesMut::new());
        weald_wire::compress::Compressor::new(algorithm).pack(packet, &mut packed).expect("what is whole can be packed");
        weald_wire::compress::Compressor::new(algorithm).expand(&mut BytesMut::from(&packed[..]), &mut back).expect("what was packed expands");
        assert_eq!(&back[..], packet);
    }
}

const COMMANDS: &[&[u8]] = &[
    b"\x00\x00\x03SELECT 1",
    b"\x01\x00\x03\x01\x01\x00\x01\x08\x00\x01n\x2A\x00\x00\x00\x00\x00\x00\x00SELECT 1",
    b"\x00\x02\x17\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x08\x00\xFD\x00\x07\x00\x00\x00\x00\x00\x00\x00\x03abc",
    b"\x00\x03\x17\x01\x00\x00\x00\x01\x01\x00\x00\x00\x00\x01\x0C\x00\x0B\x00\xF6\x00\x0B\xE7\x07\x0B\x1B\x0C\x0D\x0E\x01\x00\x00\x00\x08\x00\x01\x00\x00\x00\x02\x03\x04\x041.50",
    b"\x00\x00\x18\x01\x00\x00\x00\x00\x00long data",
    b"\x00\x00\x04table\x00wild%",
    b"\x00\x00\x1C\x01\x00\x00\x00\x0A\x00\x00\x00",
];

/// A command's packet, and with it an execution's parameters.
pub fn command(data: &[u8]) {
    let [flags, params, packet @ ..] = data else { return };
    let capabilities = if flags & 1 == 1 { u32::MAX } else { 0 };
    let Ok(command) = weald_wire::command::parse(packet, capabilities) else { return };
    if let weald_wire::command::Command::Execute(body) = command {
        let params = usize::from(params % 8);
        let long = |i: usize| flags >> (i % 8) & 2 == 2;
        let kept = [3, 0x8008, 253][..usize::from(flags >> 5) % 4].to_vec();
        if let Ok(e) = weald_wire::command::execute(body, params, &kept, capabilities, &long) {
            assert_eq!(e.params.len(), params, "as many values as parameters");
        }
        let _ = weald_wire::command::statement_of(body);
    }
}

const CARRIED: &[&[u8]] = &[
    b"\x00\x01\x01\x01\x00\x01\x01\x00\x01\x0A\x01\x04\x00\x00\x00?\x00\x00\x02\x01\x02\x02\x07\x14\x01-\x07\x14\x01-\x01\x02\x05\x12\x02\x01x\x02yz\x01-\x07\x02\x01-\x00\x00\x00\x00\x00\x00\x00",
    b"\x00\x01\x01\x02\x01\x03\x01\x01\x00\x01\x02\x01\x04\x00\x00\x00?\x01\x01\x00\x01\x04\x01\x04\x00\x00\x00?\x01\x01\x00\x01\x06\x01\x04\x00\x00\x00?\x01\x03\x02\x03\x0F\x00\x01?\x00\x09\x80\x80\x80\x80\x80\x84\x81\xFD\x01\x0E\x06\x00?\x06\x0B\x02\x01\x04\x00\x01\x01\x01??\x00\x00\x01\x01\x02\x01\x01\x03\x00\x00\x01?\x03\x00\x00\x00\x00\x01,\x01\x04\x00\x00\x00?\x02\x01\x03\x02\x04\x02\x0A\x02\x00\x01?\x00\x03\x012\x02\x02\x01\x00\x00?\x06\x14\x02\x02\x0C\x03\x00\x01??\x00\x00\x01,\x02\x22\x03\x00\x01?\x05\x01\x06\x02\x01\x01\x03\x00\x00\x01?\x00\x01\x02\x01\x04\x00\x00\x00?\x06\x06\x02\x01\x04\x00\x01\x01\x01??\x02\x02\x07\x14\x01-\x00\x05\x0A2024-01-02\x07\x1D\x01-\x08\x00\x01\x01\x07\x1D\x01-\x00\x00\x01,\x07\x1D\x01-\x00\x00\x00\x00\x00",
    b"\x00\x01\x01\x02\x00\x02\x01\x01\x00\x01\x02\x01\x04\x00\x00\x00?\x01\x01\x00\x01\x04\x01\x04\x00\x00\x00?\x01\x05\x02\x06\x11\x01.\x00\x05\x03$.a\x07\x03\x00-\x07\x0CJSON_EXTRACT\x02\x11\x01..\x00\x01\x06\x01\x04\x00\x00\x00?\x06\x06\x02\x01\x04\x00\x01\x01\x01??\x01\x02\x02\x03\x02\x02\x07\x14\x01-\x04\x01x\x01\x04\x00\x00\x01?\x07\x06CONCAT\x02\x07(\x01--\x04\x01\x00\x03\x01\x1E\x02\x02\x01\x00\x00?\x00\x01\x03\x01\x07\x03NOW\x00\x0E\x00\x01??\x00\x00\x00\x00",
    b"\x01\x0C\x00\x01\x05\x02\x07\x03\x01\xFA\x01\x03\x9E\x8C\xBD\xDF\xA8\x91\xE4\xE1\xFF\xB8\x9C\xB1\xB1\x1E\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x93\xD8\xA9\xA2\xEF\xFB\xA2\xB9\x9C\x01\x04\x00\x00\x00\x00\x00\x00\xF8?\x05\x02\xC3\xA9\x06\x02\x00\xFF\x07\xDD\xA0?\x08\xFF\xE6\xF9\xDC\xE7\xAF\x01\x09\xFF\xBF\xDD\xEE\xC1\xFE\xFC\xE1\x09\x0A\x19\x09\x02\x01a\x08\x04\x03\x02\x05\x00\x00\x00\x00\x00\x00\x04@\x07\x01x\x09\x00\x01b\x00",
    b"\x02\x90\xE8\x12\x01\x0DEurope/Vienna\x00\x01\x02db\x00\x00\x00-\x04\x80\x08\x00\x80\x80\x80 \x10\x00",
    b"\x03\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x01v\x01\x01\x02\x01\x04\x00\x00\x01?\x01w\x00",
    b"\x04\x01\x00'\x8C\x0A\x0522007\x04text\x01\x00\x00\x01\x01v\x01\x02\x01\x04\x00\x00\x01?\x00\x00",
];

/// What another node says of a statement: it is refused, or is the same after it has been sent on.
pub fn carried(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind {
        0 => {
            if let Some(fragment) = sent_on::<CarriedFragment<'static>>(bytes)
                && let Ok(fragment) = fragment.resolve(|_, _| Ok(wide_table()))
            {
                let _ = (fragment.reach(), fragment.variables());
                fragment.exprs(&mut |e| assert!(!weald_expr::print::text(e).is_empty()));
            }
        }
        1 => {
            for value in sent_on::<Vec<Value>>(bytes).unwrap_or_default() {
                let _ = (value.size_bytes(), format!("{value:?}"));
            }
        }
        2 => drop(sent_on::<CarriedFacts>(bytes)),
        3 => drop(sent_on::<CarriedStatement>(bytes)),
        4 => drop(sent_on::<StatementEffects>(bytes)),
        _ => drop(sent_on::<weald_expr::Expr>(bytes)),
    }
}

/// With as many columns as the seeds speak of.
fn wide_table() -> Arc<TableDef> {
    let mut table = TableDef::clone(&table());
    table.columns = table.columns.iter().cycle().take(7).cloned().collect();
    Arc::new(table)
}

fn sent_on<T: serde::Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let read: T = postcard::from_bytes(bytes).ok()?;
    let sent = postcard::to_stdvec(&read).expect("what was read can be sent");
    let again: T = postcard::from_bytes(&sent).expect("what was sent can be read");
    assert_eq!(postcard::to_stdvec(&again).ok(), Some(sent), "it is another now");
    Some(read)
}

const STATEMENTS: &[&[u8]] = &[
    b"SELECT a, `b`, 'c''d', \"e\\n\", 0x41, 1.5e3, N'x', _utf8mb4'y' FROM t AS u JOIN v USING (id) WHERE a IN (1,2) AND NOT b BETWEEN 1 AND 2 OR c IS NULL GROUP BY 1 WITH ROLLUP HAVING COUNT(*) > 1 ORDER BY 2 DESC LIMIT 3, 4 FOR UPDATE",
    b"WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n, ROW_NUMBER() OVER (PARTITION BY n ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM r",
    b"INSERT INTO t (a, b) VALUES (1, 'x'), (-2, DEFAULT) ON DUPLICATE KEY UPDATE a = VALUES(a) + 1",
    b"UPDATE t, u SET t.a = u.b + INTERVAL 1 DAY WHERE t.id = u.id -- comment\n",
    b"DELETE FROM t WHERE a LIKE 'x\\_%' ESCAPE '|' ORDER BY b LIMIT 1",
    b"CREATE TABLE t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, e ENUM('a','b') DEFAULT 'a', d DECIMAL(10,2), j JSON, KEY k (d DESC, e), SHARD KEY (id)) COMMENT 'x'",
    b"ALTER TABLE t ADD COLUMN c VARCHAR(10) AFTER a, DROP INDEX k, RENAME TO u",
    b"SELECT CASE WHEN a THEN b ELSE c END, CAST(a AS DECIMAL(5,2)), a->'$.b', JSON_TABLE('[]', '$[*]' COLUMNS (x INT PATH '$')) /*!80000 , 1 */ FROM (VALUES ROW(1,2)) d",
    b"SET @a := 1, GLOBAL sql_mode = 'ANSI_QUOTES', NAMES utf8mb4; SHOW FULL COLUMNS FROM t LIKE 'a%'",
    b"LOAD DATA LOCAL INFILE 'f' INTO TABLE t FIELDS TERMINATED BY ',' LINES STARTING BY 'x' IGNORE 1 LINES (a, @b) SET c = @b",
    b"GRANT SELECT (a), INSERT ON d.* TO 'u'@'%' WITH GRANT OPTION",
    b"~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~a",
    b"SELECT a +++333333333333333333333333333333E3333333333333333333CCCCC 333U33LECT 333",
    b"SELECT a FROM t WHERE a < 02122E3300000004457071",
    b"a--+4 - -+b",
];

fn modes() -> [SqlMode; 3] {
    [
        SqlMode::DEFAULT,
        SqlMode(SqlMode::ANSI_QUOTES | SqlMode::NO_BACKSLASH_ESCAPES),
        SqlMode(SqlMode::PIPES_AS_CONCAT | SqlMode::HIGH_NOT_PRECEDENCE),
    ]
}

/// Any text is a statement or an error; what is printed of a query or an expression is read back as the same.
pub fn sql_text(data: &[u8]) {
    for sql_mode in modes() {
        let options = ParseOptions { sql_mode };
        let _ = parse(data, &options);
    }
    let options = ParseOptions::default();
    if let Ok(query) = parse_query(data, &options) {
        let printed = print::query(&query);
        match parse_query(&printed, &options) {
            Ok(again) => assert_eq!(print::query(&again), printed),
            Err(fault) if is_too_deep(&fault) => (),
            Err(fault) => panic!("{printed}: {fault:?}"),
        }
    }
    if let Ok(expr) = parse_expr(data, &options) {
        let printed = print::stored_expr(&expr);
        match parse_expr(&printed, &options) {
            Ok(again) => assert_eq!(print::stored_expr(&again), printed),
            Err(fault) if is_too_deep(&fault) => (),
            Err(fault) => panic!("{printed}: {fault:?}"),
        }
    }
}

/// Printed, a statement has more parentheses. Whoever keeps a printed text parses it first, and refuses what nests too deep.
fn is_too_deep(fault: &Fault) -> bool {
    matches!(fault, Fault::MySql { number: 1436, .. })
}

/// The plan cache's normal form agrees with the parser: with its literals put back it is the statement.
pub fn sql_normalise(data: &[u8]) {
    for sql_mode in modes() {
        let options = ParseOptions { sql_mode };
        let mut n = Normalised::default();
        if !normalise(data, sql_mode, &mut n) {
            continue;
        }
        let (plain, with_params) = match (parse(data, &options), parse_normalised(data, &n, &options)) {
            (Ok(plain), Ok(Some(with_params))) => (plain, with_params),
            (Ok(_), Ok(None)) => continue,
            // Which of two things wrong with it is told depends on the way; but only the plain one's is ever told.
            (Err(_), Err(_)) => continue,
            (a, b) => panic!("{a:?}\n{b:?}"),
        };
        let mut filled = format!("{with_params:?}");
        for (i, slot) in n.slots.iter().enumerate() {
            filled = filled.replacen(&format!("Param({i})"), &format!("Literal({:?})", n.literal(data, slot)), 1);
        }
        // A text that itself says Param(0) makes the comparison as text meaningless.
        if !data.windows(6).any(|w| w == b"Param(") {
            assert_eq!(filled, format!("{plain:?}"));
        }
    }
}

/// Takes instructions from the fuzzer's bytes.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
    /// (where, what) to change in `len` bytes.
    fn edit(&mut self, len: usize) -> Option<(usize, u8)> {
        let (a, b, flip) = (self.next()?, self.next()?, self.next()?);
        (len > 0).then(|| (usize::from(u16::from_le_bytes([a, b])) % len, flip))
    }
}

#[derive(Default)]
struct Replayed {
    records: Mutex<BTreeMap<PartitionId, Vec<Vec<u8>>>>,
    broken: Mutex<Vec<PartitionId>>,
}

impl Replay for Replayed {
    fn starts_after(&self, _: PartitionId) -> Option<Lsn> {
        Some(Lsn::ZERO)
    }
    fn record(&self, r: Record<'_>) {
        let mut all = self.records.lock();
        let mine = all.entry(r.partition).or_default();
        mine.push(r.payload.to_vec());
        assert_eq!(r.lsn, Lsn::new(mine.len() as u64), "no gaps");
    }
    fn broken(&self, partition: PartitionId, _: Error) {
        self.broken.lock().push(partition);
    }
}

fn open_log(disk: Arc<SimDisk>) -> Result<(Arc<Log>, Replayed), Error> {
    let options = Options { segment_bytes: 1024, seal_after: None, spare_segments: 1, ..Options::default() };
    let seen = Replayed::default();
    let log = Log::open(&Env::with_disk(disk, 7), Path::new("/log"), options)?.replay(&seen, 1, &Progress::default())?;
    Ok((Arc::new(log), seen))
}

/// A log whose files were changed is read as it was, but for its end, or refused; it never gives a record that was not written.
pub fn log_files(data: &[u8]) {
    let mut bytes = Bytes(data);
    let disk = Arc::new(SimDisk::new());
    let mut written: BTreeMap<PartitionId, Vec<Vec<u8>>> = BTreeMap::new();
    {
        let (log, _) = open_log(disk.clone()).expect("an empty disk");
        for _ in 0..bytes.next().unwrap_or(0) % 24 {
            let Some(b) = bytes.next() else { break };
            let partition = PartitionId::new(u64::from(b % 3) + 1);
            let payload = vec![b; usize::from(b) * 2];
            log.partition(partition, Lsn::ZERO).append(0, &payload).expect("an open log").wait().expect("a good disk");
            written.entry(partition).or_default().push(payload);
        }
        log.close();
    }
    let damaged = disk.after_crash(Survives::Nothing);
    let files: Vec<_> = damaged.list(Path::new("/log")).expect("it is there").into_iter().filter(|f| f.name.ends_with(".wlog")).collect();
    let total: u64 = files.iter().map(|f| f.len).sum();
    let mut changed = false;
    while let Some((mut at, flip)) = bytes.edit(total as usize) {
        for f in &files {
            if at < f.len as usize {
                damaged.corrupt(&Path::new("/log").join(&f.name), at as u64, flip);
                changed |= flip != 0;
                break;
            }
            at -= f.len as usize;
        }
    }
    match open_log(Arc::new(damaged)) {
        Ok((_, seen)) => {
            let broken = seen.broken.lock().clone();
            for (partition, records) in seen.records.into_inner() {
                let mine = written.get(&partition).map_or(&[][..], |w| w);
                assert!(mine.starts_with(&records), "a record that was not written");
            }
            assert!(changed || broken.is_empty());
        }
        Err(error) => assert!(changed, "an undamaged log is refused: {error}"),
    }
}

/// A snapshot that was changed is read as it was, or refused.
pub fn snapshot_file(data: &[u8]) {
    let mut bytes = Bytes(data);
    let disk = Arc::new(SimDisk::new());
    let env = Env::with_disk(disk.clone(), 7);
    let partition = PartitionId::of(DatabaseId::new(1), 0);
    let dir = Path::new("/s");
    let mut store = SnapshotStore::open(&env, dir, partition).expect("an empty disk");
    let mut items = Vec::new();
    let mut writer = store.begin(Lsn::new(5)).expect("an empty disk");
    for _ in 0..bytes.next().unwrap_or(0) % 8 {
        let Some(b) = bytes.next() else { break };
        items.push(vec![b; usize::from(b) * 3]);
        writer.item(items.last().expect("pushed just now")).expect("a good disk");
    }
    let entry = writer.finish().expect("a good disk");
    let path = dir.join(&entry.file);
    store.take(entry, 2).expect("a good disk");
    let damaged = disk.after_crash(Survives::Nothing);
    let len = damaged.read(&path).expect("it is there").len();
    let mut changed = false;
    while let Some((at, flip)) = bytes.edit(len + 100) {
        let (path, at) = if at < len { (path.clone(), at) } else { (dir.join("MANIFEST"), at - len) };
        damaged.corrupt(&path, at as u64, flip);
        changed |= flip != 0;
    }
    let env = Env::with_disk(Arc::new(damaged), 7);
    let read = || -> Result<Vec<Vec<u8>>, Error> {
        let store = SnapshotStore::open(&env, dir, partition)?;
        let Some(entry) = store.newest() else { return Ok(Vec::new()) };
        let mut reader = store.read(entry)?;
        let mut found = Vec::new();
        while let Some(block) = reader.next_block()? {
            found.extend(block.map(<[u8]>::to_vec));
        }
        Ok(found)
    };
    match read() {
        Ok(found) => assert_eq!(found, items),
        Err(error) => assert!(changed, "an undamaged snapshot is refused: {error}"),
    }
    // And bytes that never were one.
    let disk = SimDisk::new();
    disk.create_dir_all(dir).expect("a good disk");
    disk.open(&dir.join("x.wsnap"), OpenMode::CreateNew).expect("a good disk").write_all_at(data, 0).expect("a good disk");
    if let Ok(mut reader) = weald_log::SnapshotReader::open(&Env::with_disk(Arc::new(disk), 7), &dir.join("x.wsnap")) {
        while let Ok(Some(_)) = reader.next_block() {}
    }
}

fn types(mut choice: u8) -> Vec<SqlType> {
    let text = |kind, nullable| SqlType::string(kind, nullable, Collation::UTF8MB4_GENERAL_CI);
    let all = [
        SqlType::bigint(false),
        text(TypeKind::VarChar { chars: 10 }, true),
        SqlType::new(TypeKind::Decimal { precision: 40, scale: 5, unsigned: false }, true),
        SqlType::new(TypeKind::DateTime { fsp: 6 }, true),
        SqlType::new(TypeKind::Time { fsp: 3 }, true),
        SqlType::new(TypeKind::Json, true),
        SqlType::new(TypeKind::Bit { bits: 13 }, true),
        text(TypeKind::Char { chars: 5 }, false),
        SqlType::new(TypeKind::Date, true),
        SqlType::double(true),
        SqlType::new(TypeKind::VarBinary { bytes: 10 }, true),
    ];
    let mut chosen = Vec::new();
    for ty in all.into_iter().cycle().skip(usize::from(choice & 7)).take(11) {
        if choice & 1 == 1 {
            chosen.push(ty);
        }
        choice = choice.rotate_right(1);
    }
    chosen
}

/// Any bytes can be asked for any field; those that pass the check read back as what would be written.
pub fn row(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let types = types(*choice);
    let layout = RowLayout::new(&types);
    let values = layout.decode(bytes);
    let mut key = Vec::new();
    let parts = types.iter().map(|ty| weald_types::key::KeyPart::ascending(ty.clone())).collect();
    let columns: Vec<usize> = (0..types.len()).collect();
    weald_types::key::KeyEncoder::new(parts).encode_row(&layout, bytes, &columns, &mut key);
    if layout.check(bytes).is_ok() {
        let mut again = Vec::new();
        layout.encode(&values, &mut again).unwrap_or_else(|e| panic!("what passes the check can be written: {e}: {values:?}"));
        assert_eq!(layout.decode(&again), values);
    }
}

const JSON: &[&[u8]] = &[
    b"\x08{\"a\": [1, -2.5e3, true, null, \"x\\u00e9\\n\"], \"b\": {\"c\": {}}}",
    b"\x06$.a[0]{\"a\": [[1], 2]}",
    b"\x0D$**.b[last-1]{\"b\": [1, 2]}",
    b"\x03$.\"[18446744073709551615, 1e400, 0.1]",
    // A stored number that is none.
    b"\x05\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
];

/// JSON as text, as stored bytes, and paths into it.
pub fn json(data: &[u8]) {
    if let Some(found) = Json::from_bytes(data) {
        check_json(&found);
    }
    let Some((len, rest)) = data.split_first() else { return };
    let (path, text) = rest.split_at(usize::from(*len).min(rest.len()));
    let path = std::str::from_utf8(path).ok().and_then(|p| JsonPath::parse(p).ok());
    for text in [std::str::from_utf8(text), std::str::from_utf8(rest)].into_iter().flatten() {
        let _ = Json::unquote(text);
        let Ok(parsed) = Json::parse(text) else { continue };
        check_json(&parsed);
        let Some(path) = &path else { continue };
        let _ = parsed.lookup(path);
        let _ = parsed.get(path);
        for change in [Json::set, Json::insert, Json::replace, Json::array_append, Json::array_insert] {
            let mut changed = parsed.clone();
            change(&mut changed, path, parsed.clone());
            let _ = changed.depth();
        }
        let mut changed = parsed.clone();
        changed.remove(path);
        let merged = parsed.clone().merge_patch(changed.clone());
        let mut steps = 0;
        let _ = merged.contains(&changed, &mut || {
            steps += 1;
            if steps < 10_000 { Ok(()) } else { Err(()) }
        });
        let _ = merged.overlaps(&changed);
        let _ = parsed.clone().merge_preserve(changed);
    }
}

fn check_json(found: &Json) {
    let mut bytes = Vec::new();
    found.to_bytes(&mut bytes);
    let back = Json::from_bytes(&bytes).expect("what was written is read");
    assert!(back.compare(found).is_eq());
    let mut text = String::new();
    found.write_text(&mut text);
    let again = Json::parse(&text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let mut printed = String::new();
    again.write_text(&mut printed);
    // Dates, decimals and opaque values print as strings and numbers, so it is the text that has to come back, not the value.
    assert_eq!(printed, text);
    let _ = (found.pretty(), found.depth(), found.length());
    let (mut a, mut b) = (Vec::new(), Vec::new());
    found.sort_key(&mut a);
    back.sort_key(&mut b);
    assert_eq!(a, b);
}

const RECORDS: &[&[u8]] = &[
    b"\x01\x07\x00\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00k\x0F\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x02\x00\x02\x00ab",
    b"\x00\x01\x07\x00\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00k\x03\x00\x00\x00\x00\x00\x07",
    // A timestamp that no version has room for.
    b"\x01\x07\x00\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\xFF\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00k\x0F\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x02\x00\x02\x00ab",
    b"\x01\x01\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00",
];

fn table() -> Arc<TableDef> {
    let column = |name: &str, ty: SqlType| ColumnDef {
        name: name.into(),
        ty,
        default: DefaultValue::None,
        on_update_now: false,
        auto_increment: name == "id",
        invisible: false,
        comment: "".into(),
        generated: None,
    };
    let index = |id: u16, unique: bool| IndexDef {
        id: IndexId::new(id),
        name: "i".into(),
        unique,
        parts: vec![IndexPart { column: id, prefix: None, descending: false }],
        hash: id == 2,
        comment: "".into(),
        invisible: false,
        ready: true,
    };
    Arc::new(TableDef {
        id: TableId::new(1),
        database: DatabaseId::new(1),
        database_name: "d".into(),
        name: "t".into(),
        version: SchemaVersion::FIRST,
        columns: vec![
            column("id", SqlType::bigint(false)),
            column("s", SqlType::varchar(10, true, Collation::UTF8MB4_GENERAL_CI)),
            column("j", SqlType::new(TypeKind::Decimal { precision: 40, scale: 5, unsigned: false }, true)),
        ],
        indexes: vec![index(0, true), index(1, false), index(2, false)],
        primary_key: true,
        sharding: Sharding::Hash { columns: vec![0], declared: false },
        collation: Collation::UTF8MB4_GENERAL_CI,
        comment: "".into(),
        checks: Vec::new(),
        auto_increment_start: 1,
        options: TableOptions::default(),
        created: 0,
        layouts: Vec::new(),
    })
}

/// Bytes in the place of a commit record or of a snapshot's item are applied or refused; the table can be read after them.
pub fn commit_record(data: &[u8]) {
    let node = NodeContext::new(Env::simulated(1), Arc::new(MemoryLog::default()), NodeMemory::unlimited());
    let partition = Partition::new(PartitionId::of(DatabaseId::new(1), 0), Epoch::FIRST, node.clone());
    partition.create_table(table());
    for _ in 0..2 {
        let _ = partition.replay(data, &mut Unfinished::default());
        let _ = weald_partition::snapshot::restore(&partition, data);
    }
    let table = partition.current_table(TableId::new(1)).expect("made above");
    let snapshot = node.snapshot();
    for mut cursor in [Cursor::rows(KeyRange::all()), Cursor::index(IndexId::new(1), KeyRange::all(), weald_partition::Direction::Backward)] {
        let _ = table.scan_batch(&mut cursor, snapshot.view(), 1000, &mut |row| {
            let _ = table.schema().values(row.version, row.bytes);
            ControlFlow::Continue(())
        });
    }
}

/// Bytes in the place of a command or a state of the catalogue.
pub fn catalogue(data: &[u8]) {
    if let Ok(command) = weald_meta::decode_command(data) {
        let bytes = weald_meta::encode_command(&command);
        assert_eq!(weald_meta::decode_command(&bytes).expect("what was written is read"), command);
        let mut state = weald_meta::State::bootstrap(NodeId::new(1), "h", 1);
        let before = state.clone();
        if state.apply(command).is_err() {
            assert_eq!(state, before, "a refused command leaves the state as it was");
        }
    }
    if let Ok(state) = weald_meta::decode_state(data) {
        let bytes = weald_meta::encode_state(&state);
        assert_eq!(weald_meta::decode_state(&bytes).expect("what was written is read"), state);
        let _ = weald_meta::invariant::broken(&state);
    }
}
